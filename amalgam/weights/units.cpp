#include "amalgam/weights/units.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>

namespace amalgam {

BlockGrid make_grid(const Shape& shape, bool whole_rows) {
  BlockGrid grid;
  grid.elements = element_count(shape, "tensor");
  if (whole_rows && grid.elements > 0) {
    const std::uint64_t row = row_length(shape);
    grid.block_elements = std::max<std::uint64_t>(1, kBlockElements / row) * row;
    grid.leaf_blocks =
        std::max<std::uint64_t>(1, kBlockElements * kLeafBlocks / grid.block_elements);
  }
  return grid;
}

std::vector<WorkUnit> group_units(const MergePlan& plan) {
  std::vector<WorkUnit> units;
  std::map<std::size_t, std::size_t> unit_of_layer;
  std::optional<std::size_t> model_unit;
  std::map<std::string_view, std::size_t> unit_of_fp8;
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    const PlanTensor& tensor = plan.tensors[i];
    if (tensor.action == PlanTensor::Action::copy) {
      units.push_back({.copy = true, .tensors = {i}});
      continue;
    }
    if (tensor.action == PlanTensor::Action::scales) continue;
    const Scope scope = plan.rule->scope(tensor.parameters);
    std::size_t unit = units.size();
    if (scope == Scope::model) {
      if (!model_unit) model_unit = unit;
      unit = *model_unit;
    } else if (scope == Scope::layer && tensor.layer) {
      unit = unit_of_layer.try_emplace(*tensor.layer, unit).first->second;
    }
    if (unit == units.size()) units.emplace_back();
    units[unit].tensors.push_back(i);
    if (tensor.fp8) unit_of_fp8.emplace(tensor.output.name, unit);
  }
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    if (plan.tensors[i].action != PlanTensor::Action::scales) continue;
    WorkUnit& unit = units[unit_of_fp8.at(plan.tensors[i].scales_of)];
    unit.tensors.push_back(i);
    ++unit.scales;
  }
  return units;
}

MergeUnit make_merge_unit(const MergePlan& plan, const WorkUnit& unit, std::uint64_t seed,
                          std::uint64_t statistics_memory) {
  MergeUnit made;
  made.seed = seed;
  made.statistics_memory = statistics_memory;
  for (const std::size_t index : unit.with_inputs()) {
    const PlanTensor& tensor = plan.tensors[index];
    made.member_count = tensor.members.size();
    made.tensors.push_back({
        .name = tensor.output.name,
        .shape = tensor.output.shape,
        .elements = tensor.output.elements,
        .members = tensor.member_parameters,
        .rule = tensor.parameters,
        .has_base = tensor.base.has_value(),
        .tied = tensor.tied,
    });
  }
  return made;
}

}  // namespace amalgam
