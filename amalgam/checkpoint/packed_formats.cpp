#include "amalgam/checkpoint/packed_formats.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "amalgam/checkpoint/comfy_markers.hpp"
#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/folder.hpp"
#include "amalgam/checkpoint/json.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t kLargestConfig = 16'000'000;
constexpr std::uint64_t kLargestBlock = 1 << 20;
constexpr std::uint64_t kLargestIndex = 100'000'000;
constexpr std::string_view kModelOptConfig = "hf_quant_config.json";

struct PackedFormat {
  std::string_view method;   // quant_method in config.json
  std::string_view ending;   // of a tensor's name, empty if it tells nothing
  std::string_view besides;  // of another tensor's, with the same stem
  const char* name;
};

// AWQ and GPTQ have the same names; "g_idx" is GPTQ's alone.
constexpr std::array kFormats = {
    PackedFormat{"gptq", ".qweight", ".g_idx", "GPTQ"},
    PackedFormat{"awq", ".qweight", ".qzeros", "AWQ"},
    PackedFormat{"bitsandbytes", ".weight.absmax", ".weight", "bitsandbytes"},
    PackedFormat{"bitsandbytes", ".SCB", ".weight", "bitsandbytes"},
    PackedFormat{"mxfp4", "_blocks", "_scales", "MXFP4"},
    PackedFormat{"modelopt", ".weight_scale_2", ".weight", "NVFP4"},
    PackedFormat{"compressed-tensors", ".weight_packed", ".weight_scale", "compressed-tensors"},
    PackedFormat{"hqq", ".W_q", ".meta", "HQQ"},
    PackedFormat{"aqlm", ".codes", ".codebooks", "AQLM"},
};

bool has_names(const TensorSource& source, const PackedFormat& format) {
  return std::any_of(source.tensors().begin(), source.tensors().end(), [&](const TensorInfo& info) {
    if (!info.name.ends_with(format.ending)) return false;
    const std::string stem = info.name.substr(0, info.name.size() - format.ending.size());
    return source.find(stem + std::string(format.besides)).has_value();
  });
}

[[noreturn]] void refuse(const fs::path& path, std::string_view name) {
  throw InputError(
      "{}: the weights are packed as {}, which is not computed with; take the model they were made "
      "from, or unpack them (load the model with transformers, call dequantize(), and "
      "save_pretrained)",
      path.string(), name);
}

json quantisation_of(const fs::path& folder) {
  const fs::path file = folder / "config.json";
  if (!names_file(file)) return {};
  const json config = parse_json(read_text_file(file, kLargestConfig), file.string());
  return config.is_object() ? config.value("quantization_config", json()) : json();
}

json member(const json& object, const char* key) {
  return object.is_object() ? object.value(key, json()) : json();
}

// Rows and columns per scale: in two places, by the program that quantised.
json block_size_of(const json& quantisation) {
  const json groups = member(quantisation, "config_groups");
  if (!groups.is_object()) return member(quantisation, "weight_block_size");
  for (const json& group : groups) {
    const json weights = member(group, "weights");
    if (member(weights, "strategy") == "block") return member(weights, "block_structure");
  }
  return {};
}

// The weights that a tensor of this name may hold the scales of: of "a.weight_scale", "a.scale",
// "a_scale" and "a.input_scale", among others, "a.weight". Empty if it is not called like scales.
std::vector<std::string> weights_scaled_by(const std::string& name) {
  const std::size_t module = name.rfind('.') + 1;  // 0 without one
  const std::size_t at = name.rfind("scale");
  if (at == std::string::npos || at < module) return {};
  std::vector<std::string> weights;
  const bool starts = at == module;
  if (starts || name[at - 1] == '_') weights.push_back(name.substr(0, module) + "weight");
  if (at > 0 && (starts || name[at - 1] == '_')) {
    const std::string stem = name.substr(0, at - 1);
    weights.push_back(stem);
    weights.push_back(stem + ".weight");
  }
  return weights;
}

// The first of `names` that is called like the scales of one of `weights`, after that weight.
template <class Names>
std::optional<std::pair<std::string, std::string>> find_scales(const std::set<std::string>& weights,
                                                               const Names& names) {
  for (const std::string& name : names) {
    for (const std::string& weight : weights_scaled_by(name)) {
      if (weights.contains(weight)) return std::pair(weight, name);
    }
  }
  return std::nullopt;
}

// The tensors of all shards if `file` is called like one ("model-00001-of-00002.safetensors") and
// its index is beside it.
std::vector<std::string> names_in_index(const fs::path& file) {
  const std::string name = file.stem().string();
  const std::size_t of = name.rfind("-of-");
  const std::size_t number = of == std::string::npos || of == 0 ? of : name.rfind('-', of - 1);
  if (number == std::string::npos) return {};
  const fs::path index =
      file.parent_path() / (name.substr(0, number) + file.extension().string() + ".index.json");
  if (!names_file(index)) return {};
  std::vector<std::string> names;
  for (const auto& [tensor, shard] :
       parse_weight_map(read_text_file(index, kLargestIndex), index.string())) {
    names.push_back(tensor);
  }
  return names;
}

// The file of `folder` that says weights are quantised, if there is one.
std::optional<fs::path> quantising_config(const fs::path& folder) {
  if (member(quantisation_of(folder), "quant_method").is_string()) return folder / "config.json";
  fs::path file = folder / kModelOptConfig;
  if (!names_file(file)) return std::nullopt;
  const json config = parse_json(read_text_file(file, kLargestConfig), file.string());
  const bool quantises = member(member(config, "quantization"), "quant_algo").is_string();
  return quantises ? std::optional(std::move(file)) : std::nullopt;
}

void refuse_missing_scales(const TensorSource& source, const fs::path& path) {
  std::set<std::string> weights;
  std::vector<std::string> others;
  for (const TensorInfo& info : source.tensors()) {
    if (!is_fp8(info)) {
      others.push_back(info.name);
    } else if (!is_fp8_marker(info)) {
      weights.insert(info.name);
    }
  }
  if (weights.empty()) return;
  const auto type_of = [&](const std::string& weight) {
    return dtype_name(source.tensors()[source.find(weight).value()].dtype);
  };
  if (const auto found = find_scales(weights, others)) {
    const auto& [weight, scales] = *found;
    throw InputError(
        "{}: tensor '{}' is {} and '{}' beside it is called like its scales, which are applied "
        "only where they are '*.weight_scale', '*.weight_scale_inv' or '*.scale_weight'; take the "
        "model that was quantised, or rename them if they are what the weight is multiplied by",
        path.string(), weight, type_of(weight), scales);
  }
  const bool is_file = names_file(path);
  if (is_file) {
    if (const auto found = find_scales(weights, names_in_index(path))) {
      const auto& [weight, scales] = *found;
      throw InputError(
          "{}: tensor '{}' is {} and its scales, '{}', are in another shard; name the folder with "
          "all of them",
          path.string(), weight, type_of(weight), scales);
    }
  }
  if (const auto config = quantising_config(is_file ? path.parent_path() : path)) {
    const std::string& weight = *weights.begin();
    throw InputError(
        "{}: tensor '{}' is {} without scales, but {} says that weights are quantised; expected "
        "'{}_scale' or '{}_scale_inv' beside it: name the folder with all shards, or take the "
        "model that was quantised",
        path.string(), weight, type_of(weight), config->string(), weight, weight);
  }
}

}  // namespace

void refuse_unscaled_fp8(const TensorSource& source, const fs::path& path) {
  refuse_marked_formats(source, path);
  refuse_missing_scales(source, path);
  refuse_idle_markers(source, path);
}

void refuse_packed_weights(const TensorSource& source, const fs::path& path) {
  for (const PackedFormat& format : kFormats) {
    if (has_names(source, format)) refuse(path, format.name);
  }
  refuse_unscaled_fp8(source, path);
  const json quantisation = quantisation_of(path);
  if (!quantisation.is_object()) return;
  const json method = quantisation.value("quant_method", json());
  if (!method.is_string()) return;
  // What has no packed tensors by then has weights that were read with their scales.
  const bool packs = std::any_of(
      source.tensors().begin(), source.tensors().end(),
      [](const TensorInfo& info) { return info.dtype == DType::u8 || info.dtype == DType::i8; });
  for (const PackedFormat& format : kFormats) {
    if (packs && method.get_ref<const std::string&>() == format.method) refuse(path, format.name);
  }
}

Fp8Layout read_fp8_layout(const fs::path& folder) {
  Fp8Layout layout;
  const json quantisation = quantisation_of(folder);
  if (!quantisation.is_object()) return layout;
  layout.powers_of_two = quantisation.value("scale_fmt", json()) == "ue8m0";
  const char* const key =
      quantisation.contains("config_groups") ? "block_structure" : "weight_block_size";
  const json size = block_size_of(quantisation);
  if (size.is_null()) return layout;
  const auto is_length = [](const json& value) {
    return value.is_number_unsigned() && value.get<std::uint64_t>() >= 1 &&
           value.get<std::uint64_t>() <= kLargestBlock;
  };
  if (!size.is_array() || size.size() != 2 || !is_length(size[0]) || !is_length(size[1])) {
    throw InputError("{}: '{}' is {}; expected two whole numbers",
                     (folder / "config.json").string(), key, size.dump());
  }
  layout.block = {size[0].get<std::uint64_t>(), size[1].get<std::uint64_t>()};
  return layout;
}

}  // namespace amalgam
