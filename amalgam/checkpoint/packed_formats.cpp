#include "amalgam/checkpoint/packed_formats.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/json.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t kLargestConfig = 16'000'000;
constexpr std::uint64_t kLargestBlock = 1 << 20;

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

}  // namespace

void refuse_packed_weights(const TensorSource& source, const fs::path& path) {
  for (const PackedFormat& format : kFormats) {
    if (has_names(source, format)) refuse(path, format.name);
  }
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
