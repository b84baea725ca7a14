#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "amalgam/weights/plan.hpp"
#include "amalgam/weights/rule.hpp"

namespace amalgam {

/// How one tensor is cut: blocks are what rules see, leaves (runs of blocks) are what threads take
/// and what the fold's tree stands on. Depends on shapes only, never on memory or threads.
struct BlockGrid {
  std::uint64_t elements = 0;
  std::uint64_t block_elements = kBlockElements;
  std::uint64_t leaf_blocks = kLeafBlocks;

  std::uint64_t leaf_elements() const { return block_elements * leaf_blocks; }
  std::uint64_t leaves() const { return (elements + leaf_elements() - 1) / leaf_elements(); }
};

/// `whole_rows`: every block holds whole rows of the last axis, at least one.
BlockGrid make_grid(const Shape& shape, bool whole_rows);

/// Tensors of a plan that are merged together (indices into MergePlan::tensors), or one to copy.
struct WorkUnit {
  bool copy = false;
  std::vector<std::size_t> tensors;
  /// How many of them, at the end, are scales of FP8 weights among the others.
  std::size_t scales = 0;

  /// Those that have inputs.
  std::span<const std::size_t> with_inputs() const {
    return std::span(tensors).first(tensors.size() - scales);
  }
};

/// Groups a plan's tensors by the scope that the rule has under each tensor's parameters. Units
/// come in the order of their first tensor.
std::vector<WorkUnit> group_units(const MergePlan& plan);

/// What the rule sees of a unit.
MergeUnit make_merge_unit(const MergePlan& plan, const WorkUnit& unit, std::uint64_t seed,
                          std::uint64_t statistics_memory);

}  // namespace amalgam
