#pragma once

#include <cstdint>
#include <vector>

#include "amalgam/weights/learned/pair_gram.hpp"
#include "amalgam/weights/learned/permutation.hpp"

namespace amalgam::learned {

/// Which unit of the second network each unit of the first goes with, by group.
struct Matching {
  Permutations partners;                  ///< [group][unit of the first]: unit of the second
  std::vector<torch::Tensor> similarity;  ///< [group]: double [units of first, units of second]
  /// Of weight matching: <A, P(B)> over all permutable tensors, at first and after every sweep.
  std::vector<double> objective;

  /// The similarity of each unit of the first with its partner.
  std::vector<double> scores(std::size_t group) const;
  /// The sum of these; and without a permutation.
  double matched(std::size_t group) const;
  double unmatched(std::size_t group) const;
};

struct WeightMatchingOptions {
  std::uint64_t seed = 0;  ///< of the order in which groups are visited
  int sweeps = 100;        ///< at most
};

/// Weight matching (Ainsworth et al. 2022, "Git Re-Basin", algorithm 1): units go together so that
/// <A, P(B)> is large, by coordinate ascent over the groups with exact assignments. The objective
/// never falls; the end is a local optimum. InputError as check_pair.
Matching match_weights(const PermutationSpec& spec, const Network& left, const Network& right,
                       const WeightMatchingOptions& options = {});

enum class ActivationSimilarity {
  squared_distance,  ///< minus the squared distance, summed over the data
  correlation,       ///< of units over the data; 0 for a unit that is constant
};

/// Activation matching: units go together whose activations, as the next layers see them, are alike
/// on the data behind `grams`; one exact assignment per group. InputError if `grams` lack a layer.
Matching match_activations(const PermutationSpec& spec, const PairGrams& grams,
                           ActivationSimilarity kind = ActivationSimilarity::squared_distance);

/// Every unit with the one at its own place; similarities are those of `matching`.
Matching without_permutation(Matching matching);

}  // namespace amalgam::learned
