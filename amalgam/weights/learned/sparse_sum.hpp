#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "amalgam/learning/pruning.hpp"

namespace amalgam::learned {

using learning::NamedTensors;
using learning::PruningMask;

/// The plain average of networks that share a pruning mask, as sums over what exists: O(n) in the
/// weights left, and parts may be made apart and in any grouping.
class SparseSum {
 public:
  explicit SparseSum(PruningMask mask);

  /// `mask` is the copy's own. InputError if it is another; if names or shapes are not those
  /// absorbed before; if a value is not finite, or is not 0 where nothing exists.
  void absorb(const NamedTensors& copy, const PruningMask& mask);
  /// InputError if the masks or the tensors differ.
  void combine(const SparseSum& right);
  /// The average, in the types of the first copy. InputError if nothing was absorbed.
  NamedTensors finish() const;

  const PruningMask& mask() const { return mask_; }
  std::uint64_t copies() const { return copies_; }

 private:
  struct Sum {
    std::string name;
    std::vector<std::int64_t> shape;
    torch::ScalarType type;
    torch::Tensor values;  // double; in a part of the mask those that exist, in order
  };
  void add(const std::vector<Sum>& sums);
  void check_mask(const PruningMask& other) const;

  PruningMask mask_;
  std::uint64_t mask_hash_ = 0;
  std::vector<Sum> sums_;
  std::uint64_t copies_ = 0;
};

/// A network's weights and which of them exist.
struct MaskedState {
  NamedTensors state;
  PruningMask mask;
};

/// The plain average of networks that were pruned apart. Its mask is the union of theirs: it is
/// denser than they are. InputError if there are none or they do not fit.
MaskedState average_of_pruned(const std::vector<MaskedState>& members);

/// `member` with its smallest magnitudes pruned until it has `sparsity`: what an average of
/// networks pruned apart needs to be as sparse as they are. InputError as learning::prune_to.
MaskedState pruned_again(const MaskedState& member, double sparsity,
                         const learning::PruningOptions& options = {});

}  // namespace amalgam::learned
