#include "amalgam/weights/leaves.hpp"

#include <algorithm>

namespace amalgam {
namespace {

// A leaf of a tensor that is copied, or of scales.
constexpr std::uint64_t kCopyBytes = 1 << 20;

bool is_cut_by_bytes(const MergePlan& plan, std::size_t tensor) {
  return plan.tensors[tensor].action != PlanTensor::Action::merge;
}

}  // namespace

LeafIndex::LeafIndex(const std::vector<std::uint64_t>& counts) {
  first_.reserve(counts.size());
  for (const std::uint64_t count : counts) {
    first_.push_back(count_);
    count_ += count;
  }
}

LeafPlace LeafIndex::place(std::uint64_t leaf) const {
  const auto after = std::upper_bound(first_.begin(), first_.end(), leaf);
  const auto tensor = static_cast<std::size_t>(after - first_.begin()) - 1;
  return {tensor, leaf - first_[tensor]};
}

bool has_whole_rows(const MergePlan& plan, const WorkUnit& unit) {
  return plan.rule->whole_rows(plan.tensors[unit.tensors.front()].parameters);
}

std::vector<std::uint64_t> leaf_counts(const MergePlan& plan, const WorkUnit& unit) {
  std::vector<std::uint64_t> counts;
  counts.reserve(unit.tensors.size());
  const bool rows = !unit.copy && has_whole_rows(plan, unit);
  for (const std::size_t index : unit.tensors) {
    const TensorInfo& output = plan.tensors[index].output;
    counts.push_back(is_cut_by_bytes(plan, index) ? (output.bytes + kCopyBytes - 1) / kCopyBytes
                                                  : make_grid(output.shape, rows).leaves());
  }
  return counts;
}

OutputLeaf output_leaf(const MergePlan& plan, const WorkUnit& unit, LeafPlace place) {
  OutputLeaf leaf{.tensor = unit.tensors[place.tensor], .number = place.leaf};
  const TensorInfo& output = plan.tensors[leaf.tensor].output;
  if (is_cut_by_bytes(plan, leaf.tensor)) {
    leaf.offset = place.leaf * kCopyBytes;
    leaf.bytes = std::min(kCopyBytes, output.bytes - leaf.offset);
    return leaf;
  }
  const std::uint64_t elements =
      make_grid(output.shape, has_whole_rows(plan, unit)).leaf_elements();
  const std::uint64_t first = place.leaf * elements;
  leaf.offset = dtype_bytes(output.dtype, first);
  leaf.bytes = dtype_bytes(output.dtype, std::min(elements, output.elements - first));
  return leaf;
}

}  // namespace amalgam
