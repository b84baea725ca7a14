#include "amalgam/weights/learned/unit_split.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "amalgam/core/error.hpp"

namespace amalgam::learned {
namespace {

torch::Tensor zeros_along(const torch::Tensor& like, std::int64_t axis, std::int64_t size) {
  std::vector<std::int64_t> shape = like.sizes().vec();
  shape[static_cast<std::size_t>(axis)] = size;
  return torch::zeros(shape, like.options());
}

}  // namespace

std::int64_t separate_units(std::int64_t units, double ratio) {
  if (!(ratio >= 0 && ratio <= 1)) {
    throw InputError("pleas: the ratio of separate units is {}; expected 0 to 1", ratio);
  }
  return static_cast<std::int64_t>(std::nearbyint(ratio * static_cast<double>(units)));
}

UnitSplit split_units(const std::vector<std::int64_t>& partners, std::span<const double> scores,
                      std::int64_t separate) {
  const auto units = static_cast<std::int64_t>(partners.size());
  if (scores.size() != partners.size() || separate < 0 || separate > units) {
    throw InputError("pleas: {} scores and {} separate of {} units", scores.size(), separate,
                     units);
  }
  std::vector<std::size_t> order(partners.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](auto a, auto b) { return scores[a] > scores[b]; });
  std::vector<bool> merged(partners.size(), false);
  for (std::size_t i = 0; i < static_cast<std::size_t>(units - separate); ++i) {
    merged[order[i]] = true;
  }
  UnitSplit split;
  for (std::size_t i = 0; i < partners.size(); ++i) {
    if (merged[i]) {
      split.merged.push_back(static_cast<std::int64_t>(i));
      split.partners.push_back(partners[i]);
    } else {
      split.left.push_back(static_cast<std::int64_t>(i));
      split.right.push_back(partners[i]);
    }
  }
  std::ranges::sort(split.right);
  return split;
}

UnitSplit all_merged(std::int64_t units) {
  UnitSplit split;
  split.merged.resize(static_cast<std::size_t>(units));
  std::iota(split.merged.begin(), split.merged.end(), 0);
  split.partners = split.merged;
  return split;
}

UnitSplit all_separate(std::int64_t left_units, std::int64_t right_units) {
  return {.merged = {},
          .partners = {},
          .left = all_merged(left_units).merged,
          .right = all_merged(right_units).merged};
}

SplitIndex::SplitIndex(const UnitSplit& split, std::int64_t per_unit, bool constant)
    : merged_(unit_index(split.merged, per_unit)),
      partners_(unit_index(split.partners, per_unit)),
      left_(unit_index(split.left, per_unit)),
      right_(unit_index(split.right, per_unit)) {
  if (!constant) return;
  const auto units = static_cast<std::int64_t>(split.merged.size() + split.left.size());
  const torch::Tensor last = torch::full({1}, units * per_unit, torch::kLong);
  merged_ = torch::cat({merged_, last});
  partners_ = torch::cat({partners_, last});
}

torch::Tensor SplitIndex::mix(const torch::Tensor& left, const torch::Tensor& right,
                              std::int64_t axis) const {
  return torch::cat({(left.index_select(axis, merged_) + right.index_select(axis, partners_)) / 2,
                     left.index_select(axis, left_), right.index_select(axis, right_)},
                    axis);
}

torch::Tensor SplitIndex::spread_left(const torch::Tensor& tensor, std::int64_t axis) const {
  return torch::cat({tensor.index_select(axis, merged_), tensor.index_select(axis, left_),
                     zeros_along(tensor, axis, right())},
                    axis);
}

torch::Tensor SplitIndex::spread_right(const torch::Tensor& tensor, std::int64_t axis) const {
  return torch::cat({tensor.index_select(axis, partners_), zeros_along(tensor, axis, left()),
                     tensor.index_select(axis, right_)},
                    axis);
}

MergeCost merge_cost(const PermutationSpec& spec, const NamedTensors& state,
                     const std::vector<double>& ratios, std::size_t networks) {
  if (ratios.size() != spec.groups.size()) {
    throw InputError("pleas: {} ratios for {} groups of units", ratios.size(), spec.groups.size());
  }
  const auto all = static_cast<double>(networks);
  const auto width = [&](double ratio) { return 1 + (all - 1) * ratio; };
  double base = 0;
  double base_parameters = 0;
  MergeCost cost{0, 0, 0};
  for (const LayerUnits& layer : spec.layers) {
    const torch::Tensor& weight = tensor_named(state, layer.name + ".weight", "pleas");
    const auto entries = static_cast<double>(weight.numel());
    const auto outputs = static_cast<double>(weight.size(0));
    const double work = entries * static_cast<double>(layer.positions);
    const double r = layer.outputs ? ratios[*layer.outputs] : spec.own_outputs ? 1 : 0;
    const double s = layer.inputs ? ratios[*layer.inputs] : 0;
    base += work;
    base_parameters += entries + outputs;
    cost.compute += work * (width(r) * width(s) - all * (all - 1) * r * s);
    cost.dense_compute += work * width(r) * width(s);
    cost.parameters += entries * width(r) * width(s) + outputs * width(r);
  }
  return {cost.compute / base, cost.dense_compute / base, cost.parameters / base_parameters};
}

}  // namespace amalgam::learned
