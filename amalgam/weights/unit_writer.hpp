#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/weights/budget.hpp"
#include "amalgam/weights/fp8_stretches.hpp"
#include "amalgam/weights/fp8_unit.hpp"
#include "amalgam/weights/merge_output.hpp"
#include "amalgam/weights/unit_reader.hpp"

namespace amalgam {

/// Makes the output of one unit when all passes are done: merges block by block, rounds to the
/// output's types, writes.
///
/// The scale of an FP8 element depends on others that may lie in another leaf. So leaves of such a
/// weight are taken together in stretches that share no scale (Fp8Stretches), whose merged elements
/// are kept until the scales are known, or are merged twice where they do not fit.
class UnitWriter {
 public:
  /// All outlive this. `scratch`: one for each worker of `parallel`.
  UnitWriter(const MergePlan& plan, const WorkUnit& unit, const UnitMerge& merge,
             UnitReader& reader, MergeOutput& output, const MemoryShare& share,
             std::span<WorkerScratch> scratch, const Parallel& parallel);

  /// Makes these leaves of the unit. Raises what reading and writing raise, InputError for values
  /// that the output's type does not hold unless they may pass, Interrupted.
  void write(const std::vector<LeafPlace>& leaves);

 private:
  // Leaves [first, last) of an FP8 weight.
  struct Stretch {
    std::size_t tensor = 0;
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    bool kept = false;
  };
  // Of the leaves of an FP8 weight, which are to be written, and whether all scales are needed.
  struct WantedLeaves {
    std::vector<char> leaves;
    bool scales = false;
  };

  void write_leaf(const LeafPlace& place, WorkerScratch& scratch);
  void write_scales(const LeafPlace& place);
  void write_weight(std::size_t tensor, const WantedLeaves& wanted);
  void write_stretch(const Stretch& stretch, const WantedLeaves& wanted, const Parallel& parallel,
                     std::span<WorkerScratch> scratch);
  void measure_leaf(std::size_t tensor, std::uint64_t leaf, float* kept, WorkerScratch& scratch);
  void write_kept_leaf(const LeafPlace& place, const float* kept, WorkerScratch& scratch);
  template <class Visit>
  void merge_blocks(const Piece& piece, WorkerScratch& scratch, const Visit& visit) const;
  template <class T>
  std::span<const double> merge_block(const Block<T>& block, WorkerScratch& scratch) const;
  void store(const LeafPlace& place, std::uint64_t first, std::span<const double> merged,
             std::span<std::byte> bytes, WorkerScratch& scratch);
  void store_fp8(const LeafPlace& place, std::uint64_t first, std::span<const float> values,
                 std::span<std::byte> bytes, WorkerScratch& scratch);
  template <class T>
  void check_overflow(const TensorInfo& info, std::uint64_t first, std::span<const T> merged,
                      std::span<const std::byte> stored) const;
  const TensorInfo& info(std::size_t tensor) const {
    return plan_.tensors[unit_.tensors[tensor]].output;
  }
  OutputLeaf leaf_of(const LeafPlace& place) const { return output_leaf(plan_, unit_, place); }

  const MergePlan& plan_;
  const WorkUnit& unit_;
  const UnitMerge& merge_;
  UnitReader& reader_;
  MergeOutput& output_;
  const std::uint64_t kept_bytes_;
  const std::span<WorkerScratch> scratch_;
  const Parallel parallel_;
  const bool refuses_non_finite_;
  const bool spreads_nan_;
  Fp8Unit fp8_;
};

}  // namespace amalgam
