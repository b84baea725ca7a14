#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "amalgam/weights/plan.hpp"
#include "amalgam/weights/units.hpp"

namespace amalgam {

/// Which leaf of which tensor of a unit a leaf number of the unit means.
struct LeafPlace {
  std::size_t tensor = 0;  ///< index into the unit's tensors
  std::uint64_t leaf = 0;
};

/// Numbers the leaves of the tensors of a unit through.
class LeafIndex {
 public:
  /// `counts`: leaves of each tensor; 0 leaves a tensor out.
  explicit LeafIndex(const std::vector<std::uint64_t>& counts);
  std::uint64_t count() const { return count_; }
  LeafPlace place(std::uint64_t leaf) const;  ///< leaf < count()

 private:
  std::vector<std::uint64_t> first_;  // per tensor
  std::uint64_t count_ = 0;
};

/// A stretch of an output tensor that is made by one thread, and recorded as done, at once. Where
/// tensors are cut depends on their shapes and the rule alone.
struct OutputLeaf {
  std::size_t tensor = 0;    ///< index into MergePlan::tensors
  std::uint64_t number = 0;  ///< of the leaf within the tensor
  std::uint64_t offset = 0;  ///< of its bytes within the stored contents
  std::uint64_t bytes = 0;
};

/// How many leaves each tensor of a unit has, in the unit's order.
std::vector<std::uint64_t> leaf_counts(const MergePlan& plan, const WorkUnit& unit);

/// The leaf at `place` as part of the output.
OutputLeaf output_leaf(const MergePlan& plan, const WorkUnit& unit, LeafPlace place);

/// Whether the blocks of a unit that is not copied are whole rows.
bool has_whole_rows(const MergePlan& plan, const WorkUnit& unit);

/// Chooses the leaves that a run makes, and hears of those that are made: a journal of finished
/// work, or a check of samples. All calls come from many threads at once.
class LeafLog {
 public:
  virtual ~LeafLog() = default;
  /// Whether the run must make `leaf`. Asked once per leaf, before its unit is begun.
  virtual bool wants(const OutputLeaf& leaf) = 0;
  /// All bytes of `leaf` were handed to the sink; `checksum` is theirs (checkpoint/checksum.hpp).
  virtual void made(const OutputLeaf& leaf, std::uint64_t checksum) = 0;
};

}  // namespace amalgam
