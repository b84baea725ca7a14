#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "amalgam/weights/learned/permutation.hpp"

namespace amalgam::learned {

/// How the units of two networks become those of one: [merged pairs | the first's own | the
/// second's own], each in ascending order of the first's (or its own) number.
struct UnitSplit {
  std::vector<std::int64_t> merged;    ///< units of the first network
  std::vector<std::int64_t> partners;  ///< the second's units they are merged with
  std::vector<std::int64_t> left;      ///< units of the first network that stay by themselves
  std::vector<std::int64_t> right;     ///< the same of the second: as many

  std::int64_t width() const {
    return static_cast<std::int64_t>(merged.size() + left.size() + right.size());
  }
};

/// How many of `units` stay separate at this ratio: ratio * units, halves to the even number.
/// InputError unless the ratio is in [0, 1].
std::int64_t separate_units(std::int64_t units, double ratio);

/// Merges all but `separate` of the pairs, those with the best scores; of equal scores, those of
/// the lower units.
UnitSplit split_units(const std::vector<std::int64_t>& partners, std::span<const double> scores,
                      std::int64_t separate);

/// Every unit merged with the one at its own place: inputs and outputs of a network.
UnitSplit all_merged(std::int64_t units);

/// No unit merged: outputs of networks that tell different classes apart.
UnitSplit all_separate(std::int64_t left_units, std::int64_t right_units);

/// A split as positions along an axis on which every unit has `per_unit` entries; `constant`: one
/// more entry of either network at the end of the axis (a bias) comes after the merged ones.
class SplitIndex {
 public:
  SplitIndex(const UnitSplit& split, std::int64_t per_unit, bool constant = false);

  std::int64_t merged() const { return merged_.size(0); }
  std::int64_t left() const { return left_.size(0); }
  std::int64_t right() const { return right_.size(0); }
  std::int64_t size() const { return merged() + left() + right(); }

  /// What the result's units are made of: [(left + right) / 2 | left | right] along `axis`.
  torch::Tensor mix(const torch::Tensor& left, const torch::Tensor& right, std::int64_t axis) const;
  /// What the first network takes of the result's units: [merged | its own | 0] along `axis`.
  torch::Tensor spread_left(const torch::Tensor& tensor, std::int64_t axis) const;
  /// What the second takes: [merged | 0 | its own].
  torch::Tensor spread_right(const torch::Tensor& tensor, std::int64_t axis) const;

 private:
  torch::Tensor merged_;
  torch::Tensor partners_;
  torch::Tensor left_;
  torch::Tensor right_;
};

/// What a merged network costs, as a multiple of one of those it is made of.
struct MergeCost {
  double compute = 1;        ///< multiplications, not counting blocks that are zero
  double dense_compute = 1;  ///< counting them, as a dense layer computes
  double parameters = 1;     ///< stored, zero blocks and biases included
};

/// The cost of merging K = `networks` of them at these ratios of separate units, one per group
/// (PLeaS, section 3.4, for two): a layer between groups with ratios r and s costs
/// (1 + (K - 1) r)(1 + (K - 1) s) - K (K - 1) r s of its own; r is 1 for outputs of the networks'
/// own.
MergeCost merge_cost(const PermutationSpec& spec, const NamedTensors& state,
                     const std::vector<double>& ratios, std::size_t networks = 2);

}  // namespace amalgam::learned
