#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/learning/network_file.hpp"

namespace amalgam::learning {

/// Which weights of a network exist: a part per prunable tensor, in the network's order. What is in
/// no part (biases, norms) is never pruned and does not count. A weight of value 0 may exist.
class PruningMask {
 public:
  struct Part {
    std::string name;
    torch::Tensor kept;  ///< bool, the shape of the weight
  };

  PruningMask() = default;
  explicit PruningMask(std::vector<Part> parts);

  const std::vector<Part>& parts() const { return parts_; }
  /// The part of this name; null if there is none.
  const torch::Tensor* find(std::string_view name) const;

  std::uint64_t weights() const { return weights_; }  ///< those that could exist
  std::uint64_t kept() const { return kept_; }
  /// 1 - kept / weights.
  double sparsity() const;
  /// Of names, shapes and bits: equal masks have equal hashes, on every machine.
  std::uint64_t hash() const;

  /// Sets what does not exist to exactly 0 in the tensors named like a part; the tensors' memory is
  /// written. InputError if a shape differs.
  void apply(const NamedTensors& tensors) const;
  /// The largest magnitude of what does not exist in the tensors named like a part.
  double largest_outside(const NamedTensors& tensors) const;

 private:
  std::vector<Part> parts_;
  std::uint64_t weights_ = 0;
  std::uint64_t kept_ = 0;
};

/// The elements of a bool tensor as bits, eight in a byte, the first element in the lowest bit.
std::vector<std::uint8_t> pack_bits(const torch::Tensor& kept);

/// The weights of every Linear and Convolution, the network's own tensors; one that layers share
/// appears once. InputError if there are none.
NamedTensors prunable_weights(const Network& network);

/// Nothing is pruned. InputError for an empty set.
PruningMask full_mask(const NamedTensors& weights);
/// What exists in any of the masks, as in an average of networks so masked. InputError if names or
/// shapes differ, or there is none.
PruningMask union_of(const std::vector<PruningMask>& masks);

struct PruningOptions {
  enum class Selector {
    global,   ///< the smallest magnitudes of all tensors together
    uniform,  ///< the same fraction of every tensor, its smallest magnitudes
    random    ///< any, over all tensors together: for comparison
  } selector = Selector::global;
  /// The largest weights of every tensor that are never pruned, so that no layer goes dead.
  /// `uniform` prunes fewer where they are in the way, the others choose from the rest.
  std::uint64_t min_per_tensor = 0;
  std::uint64_t seed = 0;  ///< of `random`
};

/// Prunes round_half_even(fraction * n) of the n weights that `mask` keeps (of each tensor, for
/// `uniform`): exactly so many, whatever their magnitudes; of equal ones the first in the order of
/// tensors and elements. `weights` are those of the mask's parts. Warns if a tensor loses all
/// weights. InputError for a fraction outside [0, 1], weights that are NaN or do not fit the mask,
/// and a min_per_tensor that keeps too many.
PruningMask prune(const NamedTensors& weights, const PruningMask& mask, double fraction,
                  const PruningOptions& options = {});

/// The same, so that round_half_even(sparsity * n) of all n weights are pruned afterwards; nothing
/// if there are so many already.
PruningMask prune_to(const NamedTensors& weights, const PruningMask& mask, double sparsity,
                     const PruningOptions& options = {});

/// The fraction of the remaining weights that each of `phases` phases prunes, 1 - (1 -
/// s)^(1/phases), so that the last one reaches sparsity s. InputError for s outside [0, 1) and no
/// phases.
double phase_fraction(double sparsity, std::uint64_t phases);

/// Gradual pruning (Zhu and Gupta 2017): s (1 - (1 - time / times)^3), the sparsity after pruning
/// time `time` of `times` (1 to `times`; 0 gives 0).
double gradual_sparsity(double sparsity, std::uint64_t time, std::uint64_t times);

/// The share of the norm that pruning takes away: sqrt(| |W|^2 - |W_pruned|^2 |) / |W| over all
/// parameters W; 0 if all are 0.
double norm_drop(const NamedTensors& parameters, const PruningMask& mask);

}  // namespace amalgam::learning
