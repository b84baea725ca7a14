// updated_config: config.json of an output.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "amalgam/checkpoint/config_vocabulary.hpp"
#include "amalgam/checkpoint/side_files.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/weights/fp8_choice.hpp"
#include "amalgam/weights/layers.hpp"
#include "amalgam/weights/model_config.hpp"
#include "amalgam/weights/output_files.hpp"

namespace amalgam {
namespace {

using nlohmann::json;

constexpr int kDeepest = 4;

bool contains_any(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return text.find(word) != std::string_view::npos;
  });
}

bool is_vision(std::string_view text) { return contains_any(text, {"vision", "visual", "image"}); }
bool is_audio(std::string_view text) { return contains_any(text, {"audio", "speech"}); }

// Whether what `key` (with the keys around it) states can be about the layers under `prefix`.
bool can_mean(std::string_view key, std::string_view prefix) {
  const bool of_encoder = contains_any(prefix, {"encoder"});
  const bool of_decoder = contains_any(prefix, {"decoder"});
  if (of_encoder != of_decoder) {
    if (of_encoder && contains_any(key, {"decoder"})) return false;
    if (of_decoder && contains_any(key, {"encoder"})) return false;
  }
  return is_vision(key) == is_vision(prefix) && is_audio(key) == is_audio(prefix);
}

// Lists with one entry per layer are told by their length and name.
bool is_per_layer_key(std::string_view key) {
  return contains_any(key, {"layer", "block", "attention", "attn", "mlp", "ffn", "rope", "heads"});
}

class LayerUpdate {
 public:
  explicit LayerUpdate(const PlanLayers& layers) : layers_(layers) {}

  /// Whether a count was found.
  bool apply(json& config, const std::string& path, int depth) {
    if (!config.is_object() || depth > kDeepest) return false;
    bool states = false;
    bool found = false;
    for (auto& [key, value] : config.items()) {
      if (is_layer_count_key(key) && value.is_number_unsigned() &&
          value.get<std::uint64_t>() == layers_.old_count && can_mean(path + key, layers_.prefix)) {
        value = layers_.origins.size();
        states = true;
      } else if (value.is_object()) {
        found = apply(value, path + key + ".", depth + 1) || found;
      }
    }
    if (states) {
      for (auto& [key, value] : config.items()) {
        if (value.is_array() && value.size() == layers_.old_count && is_per_layer_key(key) &&
            can_mean(path + key, layers_.prefix)) {
          reorder(key, value);
        }
      }
    }
    return states || found;
  }

 private:
  void reorder(const std::string& key, json& list) const {
    json reordered = json::array();
    for (const std::size_t origin : layers_.origins) {
      if (origin >= list.size()) {
        log::warn(
            "config.json: '{}' has no entry for layer {} of another model and is left as it is",
            key, origin);
        return;
      }
      reordered.push_back(list[origin]);
    }
    list = std::move(reordered);
  }

  const PlanLayers& layers_;
};

bool keeps_layers(const PlanLayers& layers) {
  for (std::size_t n = 0; n < layers.origins.size(); ++n) {
    if (layers.origins[n] != n) return false;
  }
  return layers.origins.size() == layers.old_count;
}

// Rows of the largest token embedding or head.
std::uint64_t vocabulary_rows(const MergePlan& plan) {
  std::uint64_t rows = 0;
  for (const PlanTensor& tensor : plan.tensors) {
    if (!tensor.layer && tensor.output.shape.size() == 2 &&
        is_vocabulary_name(tensor.output.name)) {
      rows = std::max(rows, tensor.output.shape[0]);
    }
  }
  return rows;
}

// The floating-point type of most bytes.
std::optional<DType> main_dtype(const MergePlan& plan) {
  std::map<DType, std::uint64_t> bytes;
  for (const PlanTensor& tensor : plan.tensors) {
    if (dtype_is_floating(tensor.output.dtype)) bytes[tensor.output.dtype] += tensor.output.bytes;
  }
  const auto most = std::max_element(
      bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? std::nullopt : std::optional(most->first);
}

bool update_dtype(json& config, const std::string& name, int depth) {
  bool found = false;
  for (auto& [key, value] : config.items()) {
    if ((key == "torch_dtype" || key == "dtype") && value.is_string()) {
      value = name;
      found = true;
    } else if (value.is_object() && depth < kDeepest && key != "quantization_config") {
      found = update_dtype(value, name, depth + 1) || found;
    }
  }
  return found;
}

}  // namespace

json updated_config(json config, const MergePlan& plan, bool another_vocabulary) {
  if (!config.is_object()) return config;
  for (const PlanLayers& layers : plan.layers) {
    if (keeps_layers(layers)) continue;
    if (!LayerUpdate(layers).apply(config, "", 0)) {
      log::warn(
          "config.json: no field states the {} layers of '{}'; set their number to {} by hand",
          layers.old_count, layers.prefix, layers.origins.size());
    }
  }
  if (const std::uint64_t rows = vocabulary_rows(plan); rows > 0) {
    // Without another vocabulary embeddings are only ever cut, so a larger stated one is out of
    // date.
    set_vocabulary_size(config, rows,
                        [&](std::uint64_t stated) { return another_vocabulary || stated > rows; });
  }
  // Weights with scales were read as what they mean, and other quantised ones were refused.
  json quantisation = fp8_quantisation_config(config.value("quantization_config", json()), plan);
  config.erase("quantization_config");
  if (!quantisation.is_null()) config["quantization_config"] = std::move(quantisation);
  if (const auto dtype = main_dtype(plan)) {
    const std::string name(torch_dtype_name(*dtype));
    if (!name.empty() && !update_dtype(config, name, 0)) config["torch_dtype"] = name;
  }
  return config;
}

}  // namespace amalgam
