#include "amalgam/weights/plan_fp8.hpp"

#include <algorithm>

#include "amalgam/checkpoint/comfy_markers.hpp"
#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/checkpoint/scaled_fp8.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam {

std::vector<PlanTensor> Fp8Planner::stored(const PlanInput& from, const Fp8Format& wanted,
                                           const std::string& output) {
  const auto* model = dynamic_cast<const ScaledFp8Source*>(plan_.sources[from.source].get());
  if (model == nullptr) return {};
  const Fp8Format* const format = model->format(from.tensor);
  if (format == nullptr || *format != wanted) return {};
  const std::string name = model->tensors()[from.tensor].name;
  const auto [view, is_new] = stored_sources_.try_emplace(from.source, plan_.sources.size());
  if (is_new) plan_.sources.push_back(model->stored());
  const TensorSource& stored = *plan_.sources[view->second];
  std::vector<PlanTensor> copies;
  for (const std::string& ending : {std::string(), wanted.ending}) {
    const std::size_t tensor = stored.find(name + ending).value();
    const TensorInfo& info = stored.tensors()[tensor];
    PlanTensor& planned = copies.emplace_back();
    planned.action = PlanTensor::Action::copy;
    planned.output = make_tensor_info(output + ending, info.dtype, info.shape, label_);
    planned.members = {{view->second, tensor}};
    planned.member_parameters.emplace_back();
    if (ending.empty()) planned.fp8 = wanted;
  }
  return copies;
}

PlanTensor Fp8Planner::marker_of(const std::string& weight, const std::string& text) {
  const std::optional<std::string> layer = comfy_layer_of(weight);
  if (!layer) {
    throw InputError("{}: '{}' has a marker for ComfyUI, but is not called '*.weight'", label_,
                     weight);
  }
  const auto [known, is_new] = marker_sources_.try_emplace(text, plan_.sources.size());
  if (is_new) {
    MemoryTensor marker{make_tensor_info(comfy_marker_name(""), DType::u8, {text.size()}, label_),
                        std::vector<std::byte>(text.size())};
    std::ranges::copy(std::as_bytes(std::span(text)), marker.bytes.begin());
    std::vector<MemoryTensor> tensors;
    tensors.push_back(std::move(marker));
    plan_.sources.push_back(
        std::make_shared<MemorySource>("markers for ComfyUI", std::move(tensors)));
  }
  PlanTensor planned;
  planned.action = PlanTensor::Action::copy;
  planned.output = make_tensor_info(comfy_marker_name(*layer), DType::u8, {text.size()}, label_);
  planned.members = {{known->second, 0}};
  planned.member_parameters.emplace_back();
  return planned;
}

PlanTensor Fp8Planner::scales_of(const PlanTensor& weight) const {
  PlanTensor planned;
  planned.action = PlanTensor::Action::scales;
  planned.layer = weight.layer;
  planned.scales_of = weight.output.name;
  planned.output = make_tensor_info(weight.output.name + weight.fp8->ending, DType::f32,
                                    weight.fp8->scale_shape(weight.output.shape), label_);
  return planned;
}

}  // namespace amalgam
