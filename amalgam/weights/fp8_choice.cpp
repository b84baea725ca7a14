#include "amalgam/weights/fp8_choice.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "amalgam/checkpoint/scaled_fp8.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

using nlohmann::json;

constexpr std::string_view kWeight = ".weight";

std::map<std::string, Fp8Format> stored_formats(const TensorSource& model) {
  std::map<std::string, Fp8Format> formats;
  const auto* scaled = dynamic_cast<const ScaledFp8Source*>(&model);
  if (scaled == nullptr) return formats;
  for (std::size_t i = 0; i < model.tensors().size(); ++i) {
    if (const Fp8Format* format = scaled->format(i)) {
      formats.emplace(model.tensors()[i].name, *format);
    }
  }
  return formats;
}

// Those of weights that are written as they are stored.
std::map<std::string, std::string> stored_markers(const TensorSource& model) {
  std::map<std::string, std::string> markers;
  const auto* scaled = dynamic_cast<const ScaledFp8Source*>(&model);
  if (scaled == nullptr) return markers;
  for (std::size_t i = 0; i < model.tensors().size(); ++i) {
    const std::string* const marker = scaled->marker(i);
    if (marker != nullptr && scaled->format(i) != nullptr) {
      markers.emplace(model.tensors()[i].name, *marker);
    }
  }
  return markers;
}

// What chooses experts is small, and a wrong choice costs more than a wrong weight.
bool chooses_experts(std::string_view name) {
  constexpr std::array<std::string_view, 3> kEndings = {".gate.weight", ".router.weight",
                                                        ".shared_expert_gate.weight"};
  return std::any_of(kEndings.begin(), kEndings.end(),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

bool is_expert_stack(const TensorInfo& info) {
  return info.shape.size() == 3 && (info.name.find(".experts.") != std::string::npos ||
                                    info.name.find("_exps.") != std::string::npos);
}

// Of a linear layer, or of several.
bool is_layer_matrix(const TensorInfo& info) {
  return dtype_is_floating(info.dtype) &&
         ((info.shape.size() == 2 && info.name.ends_with(kWeight)) || is_expert_stack(info));
}

// The module that a weight belongs to.
std::string module_of(const std::string& weight) { return weight.substr(0, weight.rfind('.')); }

// The FP8 weight of most elements stands for all.
const PlanTensor* main_fp8(const MergePlan& plan) {
  const PlanTensor* most = nullptr;
  for (const PlanTensor& tensor : plan.tensors) {
    if (!tensor.fp8) continue;
    if (most == nullptr || tensor.output.elements > most->output.elements) most = &tensor;
  }
  return most;
}

json blocks_of(const Fp8Format& format) { return json::array({format.block[0], format.block[1]}); }

json member(const json& object, const char* key) {
  return object.is_object() ? object.value(key, json()) : json();
}

constexpr std::string_view strategy_name(Fp8Scaling scaling) {
  switch (scaling) {
    case Fp8Scaling::block:
      return "block";
    case Fp8Scaling::channel:
      return "channel";
    case Fp8Scaling::tensor:
      return "tensor";
  }
  return {};
}

bool describes(const json& config, const Fp8Format& format) {
  const json method = member(config, "quant_method");
  if (method == "fbgemm_fp8") return format.scaling == Fp8Scaling::channel;
  if (method == "fp8") {
    const json size = member(config, "weight_block_size");
    if (format.scaling == Fp8Scaling::block) return size == blocks_of(format);
    return format.scaling == Fp8Scaling::tensor && size.is_null();
  }
  const json groups = member(config, "config_groups");
  if (method != "compressed-tensors" || !groups.is_object()) return false;
  return std::all_of(groups.begin(), groups.end(), [&](const json& group) {
    const json weights = member(group, "weights");
    return member(weights, "type") == "float" && member(weights, "num_bits") == 8 &&
           member(weights, "strategy") == strategy_name(format.scaling);
  });
}

json new_config(const Fp8Format& format) {
  if (format.scaling == Fp8Scaling::block && format.ending == "_scale_inv") {
    json config = {{"quant_method", "fp8"},
                   {"fmt", "e4m3"},
                   {"activation_scheme", "dynamic"},
                   {"weight_block_size", blocks_of(format)}};
    if (format.powers_of_two) config["scale_fmt"] = "ue8m0";
    return config;
  }
  json weights = {{"num_bits", 8},
                  {"type", "float"},
                  {"strategy", strategy_name(format.scaling)},
                  {"symmetric", true},
                  {"dynamic", false}};
  if (format.scaling == Fp8Scaling::block) weights["block_structure"] = blocks_of(format);
  const json activations = {{"num_bits", 8},
                            {"type", "float"},
                            {"strategy", "token"},
                            {"symmetric", true},
                            {"dynamic", true}};
  return {
      {"quant_method", "compressed-tensors"},
      {"format", "float-quantized"},
      {"quantization_status", "compressed"},
      {"config_groups",
       {{"group_0",
         {{"targets", {"Linear"}}, {"weights", weights}, {"input_activations", activations}}}}}};
}

// Scales of activations that were measured once are not in the output.
void find_activations_at_run_time(json& config) {
  if (member(config, "activation_scheme") == "static") config["activation_scheme"] = "dynamic";
  if (!member(config, "config_groups").is_object()) return;
  for (json& group : config["config_groups"]) {
    if (!group.is_object() || !member(group, "input_activations").is_object()) continue;
    json& activations = group["input_activations"];
    if (activations.value("dynamic", json()) == true) continue;
    activations["dynamic"] = true;
    activations["strategy"] = "token";
    activations.erase("observer");
  }
}

// Modules with a matrix that stays what it was.
json unquantised_modules(const MergePlan& plan) {
  std::set<std::string> modules;
  for (const PlanTensor& tensor : plan.tensors) {
    const std::string& name = tensor.output.name;
    if (tensor.fp8 || tensor.action == PlanTensor::Action::scales ||
        !is_layer_matrix(tensor.output))
      continue;
    if (!tensor.layer && is_vocabulary_name(name) && !is_head_name(name)) continue;
    modules.insert(module_of(name));
  }
  return json(modules);
}

bool renumbers_layers(const MergePlan& plan) {
  return std::any_of(plan.layers.begin(), plan.layers.end(), [](const PlanLayers& layers) {
    for (std::size_t n = 0; n < layers.origins.size(); ++n) {
      if (layers.origins[n] != n) return true;
    }
    return layers.origins.size() != layers.old_count;
  });
}

}  // namespace

std::optional<Fp8Choice> Fp8Choice::as_stored(const TensorSource& model) {
  Fp8Choice choice;
  choice.stored_ = stored_formats(model);
  choice.markers_ = stored_markers(model);
  return choice.stored_.empty() ? std::nullopt : std::optional(std::move(choice));
}

Fp8Choice Fp8Choice::with(Fp8Scaling scaling, const TensorSource& model) {
  Fp8Choice choice;
  choice.stored_ = stored_formats(model);
  choice.markers_ = stored_markers(model);
  for (auto& [name, format] : choice.stored_) {
    if (format.scaling == scaling) continue;
    format = Fp8Format::usual(scaling);
    choice.markers_.erase(name);  // ComfyUI would read other scales
  }
  if (!choice.stored_.empty()) return choice;
  choice.others_ = Fp8Format::usual(scaling);
  std::vector<std::string_view> names;
  for (const TensorInfo& info : model.tensors()) names.emplace_back(info.name);
  choice.layers_ = find_layers(names);
  if (std::none_of(model.tensors().begin(), model.tensors().end(),
                   [&](const TensorInfo& info) { return choice.find(info) != nullptr; })) {
    throw InputError(
        "{}: no tensor to write as {}: expected matrices called '*.weight', or stacks of experts' "
        "matrices ('*.experts.*'), in numbered layers; "
        "F8_E4M3 is the type for every tensor, without scales",
        model.label(), fp8_scaling_name(scaling));
  }
  return choice;
}

const Fp8Format* Fp8Choice::find(const TensorInfo& info) const {
  if (const auto stored = stored_.find(info.name); stored != stored_.end()) return &stored->second;
  const bool is_chosen = others_ && is_layer_matrix(info) && info.elements > 0 &&
                         layers_.locate(info.name) && !chooses_experts(info.name);
  return is_chosen ? &*others_ : nullptr;
}

const std::string* Fp8Choice::marker(const TensorInfo& info) const {
  const auto found = markers_.find(info.name);
  return found == markers_.end() ? nullptr : &found->second;
}

bool has_fp8(const MergePlan& plan) { return main_fp8(plan) != nullptr; }

json fp8_quantisation_config(const json& old, const MergePlan& plan) {
  const PlanTensor* most = main_fp8(plan);
  if (most == nullptr) return {};
  const bool keeps = describes(old, *most->fp8);
  json config = keeps ? old : new_config(*most->fp8);
  find_activations_at_run_time(config);
  if (!keeps || renumbers_layers(plan)) {
    const bool is_compressed = member(config, "quant_method") == "compressed-tensors";
    config[is_compressed ? "ignore" : "modules_to_not_convert"] = unquantised_modules(plan);
  }
  return config;
}

}  // namespace amalgam
