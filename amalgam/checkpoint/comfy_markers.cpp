#include "amalgam/checkpoint/comfy_markers.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "amalgam/checkpoint/json.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

using nlohmann::json;

constexpr std::string_view kMarker = "comfy_quant";
constexpr std::string_view kWeight = "weight";
constexpr std::uint64_t kLongestMarker = 65'536;
constexpr std::size_t kLongestMetadata = 16'000'000;
constexpr std::size_t kLongestFormat = 64;
// The last two are those of programs beside ComfyUI, with scales of other shapes.
constexpr std::array<std::string_view, 4> kScaledFp8 = {
    "float8_e4m3fn", "float8_e5m2", "float8_e4m3fn_rowwise", "float8_e4m3fn_blockwise"};

// The layer of "LAYER.ending"; empty for "ending" alone.
std::optional<std::string> layer_of(std::string_view name, std::string_view ending) {
  if (name == ending) return std::string();
  if (!name.ends_with(ending)) return std::nullopt;
  name.remove_suffix(ending.size());
  if (!name.ends_with('.')) return std::nullopt;
  return std::string(name.substr(0, name.size() - 1));
}

std::string name_in(const std::string& layer, std::string_view ending) {
  return layer.empty() ? std::string(ending) : fmt::format("{}.{}", layer, ending);
}

ComfyMarker parse_marker(const json& value, std::string place, std::string text) {
  const auto format = value.is_object() ? value.find("format") : value.end();
  if (format == value.end() || !format->is_string() ||
      format->get_ref<const std::string&>().size() > kLongestFormat) {
    throw InputError("{}: expected a JSON object with a 'format', such as {}", place,
                     R"({"format": "float8_e4m3fn"})");
  }
  return {.place = std::move(place),
          .text = std::move(text),
          .format = format->get<std::string>(),
          .rotated = value.value("convrot", json()) == true,
          .tensor = {}};
}

ComfyMarker read_marker(const TensorSource& source, std::size_t tensor) {
  const TensorInfo& info = source.tensors()[tensor];
  std::string place = fmt::format("{}: tensor '{}'", source.label(), info.name);
  if (info.dtype != DType::u8 || info.bytes > kLongestMarker) {
    throw InputError("{} is {} {}; expected the bytes of a JSON text, U8 and at most {} of them",
                     place, dtype_name(info.dtype), format_shape(info.shape), kLongestMarker);
  }
  std::string text(info.bytes, '\0');
  source.read_bytes(tensor, 0, std::as_writable_bytes(std::span(text)));
  const json value = parse_json(text, place);
  ComfyMarker marker = parse_marker(value, std::move(place), std::move(text));
  marker.tensor = tensor;
  return marker;
}

void add_markers_of_metadata(const TensorSource& source,
                             std::map<std::string, ComfyMarker>& markers) {
  const auto found = source.metadata().find(kComfyMetadata);
  if (found == source.metadata().end()) return;
  const std::string place = fmt::format("{}: metadata '{}'", source.label(), kComfyMetadata);
  if (found->second.size() > kLongestMetadata) {
    throw InputError("{}: {} bytes; expected at most {}", place, found->second.size(),
                     kLongestMetadata);
  }
  const json value = parse_json(found->second, place);
  const auto layers = value.is_object() ? value.find("layers") : value.end();
  if (layers == value.end() || !layers->is_object()) {
    throw InputError("{}: expected a JSON object with 'layers', an object", place);
  }
  for (const auto& [layer, config] : layers->items()) {
    ComfyMarker marker =
        parse_marker(config, fmt::format("{}, layer '{}'", place, layer), config.dump());
    marker.tensor = markers[layer].tensor;
    markers[layer] = std::move(marker);
  }
}

// The format as people know it.
std::string packed_as(const ComfyMarker& marker) {
  return marker.rotated ? marker.format + " with 'convrot'" : marker.format;
}

}  // namespace

bool ComfyMarker::is_scaled_fp8() const {
  return !rotated && std::find(kScaledFp8.begin(), kScaledFp8.end(), format) != kScaledFp8.end();
}

std::map<std::string, ComfyMarker> read_comfy_markers(const TensorSource& source) {
  std::map<std::string, ComfyMarker> markers;
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    if (auto layer = layer_of(source.tensors()[i].name, kMarker)) {
      markers.emplace(*std::move(layer), read_marker(source, i));
    }
  }
  add_markers_of_metadata(source, markers);
  return markers;
}

std::optional<std::string> comfy_layer_of(const std::string& weight) {
  return layer_of(weight, kWeight);
}

std::string comfy_marker_name(const std::string& layer) { return name_in(layer, kMarker); }
std::string comfy_weight_name(const std::string& layer) { return name_in(layer, kWeight); }

void refuse_marked_formats(const TensorSource& source, const std::filesystem::path& path) {
  for (const auto& [layer, marker] : read_comfy_markers(source)) {
    if (marker.is_scaled_fp8()) continue;
    const std::string weight = comfy_weight_name(layer);
    if (!source.find(weight)) continue;
    throw InputError(
        "{}: the weights are packed for ComfyUI, '{}' as {}, which is not computed with; take "
        "the model they were made from, or one in BF16, FP16 or 'float8_e4m3fn'",
        path.string(), weight, packed_as(marker));
  }
}

void refuse_idle_markers(const TensorSource& source, const std::filesystem::path& path) {
  for (const auto& [layer, marker] : read_comfy_markers(source)) {
    if (!marker.is_scaled_fp8()) continue;
    const std::string weight = comfy_weight_name(layer);
    const auto found = source.find(weight);
    if (!found) continue;
    throw InputError(
        "{}: '{}' is {}, but its marker for ComfyUI says {}; expected that type, with '{}_scale' "
        "beside it: take the model that was quantised, or delete the marker if these are plain "
        "numbers",
        path.string(), weight, dtype_name(source.tensors()[*found].dtype), packed_as(marker),
        weight);
  }
}

}  // namespace amalgam
