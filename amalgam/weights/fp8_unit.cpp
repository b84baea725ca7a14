#include "amalgam/weights/fp8_unit.hpp"

#include <map>
#include <string_view>

#include "amalgam/tensor/convert.hpp"

namespace amalgam {
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

void Fp8Unit::measure(std::size_t tensor, std::uint64_t first, std::span<const float> values) {
  weights_[tensor]->magnitudes.add(first, values);
}

void Fp8Unit::choose_scales(std::size_t tensor, std::uint64_t first, std::uint64_t count) {
  Weight& weight = *weights_[tensor];
  if (count == 0) return;
  const std::uint64_t last = weight.grid.scale_at(first + count - 1);
  for (std::uint64_t place = weight.grid.scale_at(first); place <= last; ++place) {
    weight.scales[place] = weight.magnitudes.scale(place, weight.powers_of_two);
  }
}

void Fp8Unit::encode(std::size_t tensor, std::uint64_t first, std::span<const float> values,
                     std::span<std::byte> bytes, std::vector<float>& meant) const {
  const Weight& weight = *weights_[tensor];
  encode_fp8(weight.grid, weight.scales, first, values, bytes);
  meant.resize(values.size());
  decode(DType::f8_e4m3, bytes, std::span<float>(meant));
  multiply_by_scales(weight.grid, weight.scales, first, std::span<float>(meant));
}

std::span<const std::byte> Fp8Unit::scale_bytes(std::size_t tensor) const {
  return std::as_bytes(std::span(weights_[weight_of(tensor)]->scales));
}

}  // namespace amalgam
