#include "amalgam/weights/fp8_unit.hpp"

#include <algorithm>
#include <map>
#include <string_view>

#include "amalgam/tensor/convert.hpp"

namespace amalgam {
namespace {

std::span<const float> round_to_float(std::span<const double> merged, WorkerScratch& scratch) {
  scratch.rounded.resize(merged.size());
  std::transform(merged.begin(), merged.end(), scratch.rounded.begin(),
                 [](double value) { return static_cast<float>(value); });
  return scratch.rounded;
}

}  // namespace

Fp8Unit::Fp8Unit(const MergePlan& plan, const WorkUnit& unit) {
  if (unit.scales == 0) return;
  const std::span<const std::size_t> tensors = unit.with_inputs();
  std::map<std::string_view, std::size_t> places;
  weights_.resize(tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const PlanTensor& tensor = plan.tensors[tensors[i]];
    if (!tensor.fp8) continue;
    weights_[i] = std::make_unique<Weight>(tensor.output.shape, *tensor.fp8);
    places.emplace(tensor.output.name, i);
  }
  for (std::size_t i = tensors.size(); i < unit.tensors.size(); ++i) {
    owners_.push_back(places.at(plan.tensors[unit.tensors[i]].scales_of));
  }
}

void Fp8Unit::measure(std::size_t tensor, std::uint64_t first, std::span<const double> merged,
                      WorkerScratch& scratch) {
  weights_[tensor]->magnitudes.add(first, round_to_float(merged, scratch));
}

void Fp8Unit::choose_scales() {
  for (const auto& weight : weights_) {
    if (weight) weight->scales = weight->magnitudes.scales(weight->powers_of_two);
  }
}

void Fp8Unit::encode(std::size_t tensor, std::uint64_t first, std::span<const double> merged,
                     std::span<std::byte> bytes, WorkerScratch& scratch) const {
  const Weight& weight = *weights_[tensor];
  encode_fp8(weight.grid, weight.scales, first, round_to_float(merged, scratch), bytes);
  const std::span<float> stored(scratch.rounded);
  decode(DType::f8_e4m3, bytes, stored);
  multiply_by_scales(weight.grid, weight.scales, first, stored);
}

std::span<const std::byte> Fp8Unit::scale_bytes(std::size_t tensor) const {
  return std::as_bytes(std::span(weights_[owners_[tensor - weights_.size()]]->scales));
}

}  // namespace amalgam
