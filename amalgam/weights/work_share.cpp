#include "amalgam/weights/work_share.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "amalgam/core/shared_fold.hpp"

namespace amalgam {

std::vector<UnitOwner> share_units(const MergePlan& plan, const std::vector<WorkUnit>& units,
                                   const std::vector<char>& has_pass, std::size_t processes) {
  // With fewer leaves per process than this, stretches of them would differ much in size.
  constexpr std::uint64_t kLeavesToSplit = 4;
  std::vector<std::uint64_t> load(processes);
  std::vector<UnitOwner> owners(units.size());
  for (std::size_t i = 0; i < units.size(); ++i) {
    const WorkUnit& unit = units[i];
    const PlanTensor& first = plan.tensors[unit.tensors.front()];
    const bool model = !unit.copy && plan.rule->scope(first.parameters) == Scope::model;
    const std::vector<std::uint64_t> counts = leaf_counts(plan, unit);
    const auto leaves = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
    owners[i].split = (has_pass[i] == 0 || model) && leaves >= kLeavesToSplit * processes;
    if (owners[i].split) continue;
    const auto least = std::min_element(load.begin(), load.end());
    owners[i].rank = static_cast<std::size_t>(least - load.begin());
    for (const std::size_t tensor : unit.tensors) *least += plan.tensors[tensor].output.bytes;
  }
  return owners;
}

std::vector<std::uint64_t> passed_leaf_counts(const MergePlan& plan, const WorkUnit& unit) {
  std::vector<std::uint64_t> counts = leaf_counts(plan, unit);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const PlanTensor& tensor = plan.tensors[unit.tensors[i]];
    if (tensor.tied || tensor.action == PlanTensor::Action::scales) counts[i] = 0;
  }
  return counts;
}

std::vector<LeafPlace> leaves_of_share(const MergePlan& plan, const WorkUnit& unit,
                                       const WorkShare& share) {
  const std::vector<std::uint64_t> passed = passed_leaf_counts(plan, unit);
  std::vector<std::uint64_t> others = leaf_counts(plan, unit);
  for (std::size_t i = 0; i < others.size(); ++i) others[i] -= passed[i];
  std::vector<LeafPlace> leaves;
  for (const auto& counts : {passed, others}) {
    const LeafIndex index(counts);
    const RankShare part = leaf_share(share.rank, share.processes, index.count());
    for (std::size_t i = part.first; i < part.last; ++i) leaves.push_back(index.place(i));
  }
  return leaves;
}

}  // namespace amalgam
