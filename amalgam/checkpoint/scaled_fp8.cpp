#include "amalgam/checkpoint/scaled_fp8.hpp"

#include <algorithm>
#include <set>

#include "amalgam/checkpoint/comfy_markers.hpp"
#include "amalgam/checkpoint/computed_source.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log_once.hpp"

namespace amalgam {
namespace {

constexpr std::string_view kWeight = "weight";
constexpr std::string_view kScaleWeight = "scale_weight";
constexpr std::string_view kMarker = "scaled_fp8";

// The name of a weight without its "weight".
std::string stem_of(const std::string& weight) {
  return weight.substr(0, weight.size() - kWeight.size());
}

using Markers = std::map<std::string, ComfyMarker>;  // by layer

const ComfyMarker* marker_of(const Markers& markers, const TensorInfo& weight) {
  const std::optional<std::string> layer = comfy_layer_of(weight.name);
  const auto found = layer ? markers.find(*layer) : markers.end();
  return found == markers.end() ? nullptr : &found->second;
}

// The tensor with the scales of `weight`, if it is one of 8-bit floats that has them. What is
// marked as another format (MXFP8) has scales of another kind.
std::optional<std::size_t> scale_of(const TensorSource& source, const Markers& markers,
                                    const TensorInfo& weight) {
  if (!is_fp8(weight)) return std::nullopt;
  const ComfyMarker* const marker = marker_of(markers, weight);
  if (marker != nullptr && !marker->is_scaled_fp8()) return std::nullopt;
  if (!weight.name.ends_with(kWeight) && weight.shape.size() != 3) return std::nullopt;
  for (const char* ending : {"_scale_inv", "_scale"}) {
    if (const auto found = source.find(weight.name + ending)) return found;
  }
  if (!weight.name.ends_with(kWeight)) return std::nullopt;
  return source.find(stem_of(weight.name) + std::string(kScaleWeight));
}

void check_type(const ComfyMarker& marker, const TensorInfo& weight) {
  const bool says_e5m2 = marker.format.starts_with("float8_e5m2");
  if (says_e5m2 == (weight.dtype == DType::f8_e5m2)) return;
  throw InputError("{}: says that '{}' is {}, but it is {}", marker.place, weight.name,
                   marker.format, dtype_name(weight.dtype));
}

// The metadata of the file, but for the markers of weights that are read as numbers.
std::map<std::string, std::string> metadata_without(const TensorSource& source,
                                                    const Markers& markers,
                                                    const std::set<std::string>& read) {
  std::map<std::string, std::string> metadata = source.metadata();
  const bool all = std::all_of(markers.begin(), markers.end(), [&](const auto& one) {
    return read.contains(one.first) || !source.find(comfy_weight_name(one.first));
  });
  if (all) metadata.erase(kComfyMetadata);
  return metadata;
}

// Sets how scales of the shape `scales` apply to a weight; false if they do not. One scale in
// "_scale_inv" is that of one block.
bool find_scaling(const Shape& weight, const Shape& scales, Fp8Format& format) {
  using enum Fp8Scaling;
  const std::array<Fp8Scaling, 3> kinds = format.ending == "_scale_inv"
                                              ? std::array{block, channel, tensor}
                                              : std::array{tensor, channel, block};
  const bool is_stack = weight.size() == 3;
  for (const bool one : {false, true}) {
    if (one && !is_stack) continue;
    format.one_for_stack = one;
    const std::size_t of_stack = is_stack && !one ? 1 : 0;
    if (scales.size() < of_stack) continue;
    format.scale_dimensions = scales.size() - of_stack;
    for (const Fp8Scaling kind : kinds) {
      format.scaling = kind;
      const bool is_possible = kind == tensor || weight.size() == 2 || (is_stack && !one);
      if (is_possible && format.scale_shape(weight) == scales) return true;
    }
  }
  return false;
}

}  // namespace

ScaledFp8Source::ScaledFp8Source(std::unique_ptr<TensorSource> inner, const Fp8Layout& layout)
    : inner_(std::move(inner)) {
  const std::vector<TensorInfo>& all = inner_->tensors();
  std::vector<std::optional<std::size_t>> scales(all.size());
  std::set<std::size_t> hidden;
  std::size_t inputs = 0;
  bool has_marker = false;
  const Markers markers = read_comfy_markers(*inner_);
  std::set<std::string> marked;  // layers
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::optional<std::size_t> own = scale_of(*inner_, markers, all[i]);
    if (!own) continue;
    scales[i] = own;
    hidden.insert(*own);
    if (const ComfyMarker* const marker = marker_of(markers, all[i])) {
      check_type(*marker, all[i]);
      if (marker->tensor) hidden.insert(*marker->tensor);
      marked.insert(*comfy_layer_of(all[i].name));
    }
    if (!all[i].name.ends_with(kWeight)) continue;
    for (const char* ending : {"input_scale", "scale_input"}) {
      if (const auto input = inner_->find(stem_of(all[i].name) + ending)) {
        hidden.insert(*input);
        ++inputs;
      }
    }
    has_marker = has_marker || all[*own].name.ends_with(kScaleWeight);
  }
  for (std::size_t i = 0; has_marker && i < all.size(); ++i) {
    if (is_fp8_marker(all[i])) hidden.insert(i);
  }
  if (inputs > 0) {
    log::warn_once(
        "{}: {} scale{} of activations ('input_scale' or 'scale_input') {} left out: weights are "
        "read without their quantisation",
        inner_->label(), inputs, inputs == 1 ? "" : "s", inputs == 1 ? "is" : "are");
  }
  std::vector<TensorInfo> infos;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (hidden.contains(i)) continue;
    places_.push_back({.weight = i, .scales = {}, .marker = {}});
    infos.push_back(all[i]);
    const std::optional<std::size_t>& own = scales[i];
    if (!own) continue;
    Fp8Format format = format_of(i, *own, layout);
    const Fp8Grid grid(all[i].shape, format);
    const bool is_written = all[i].dtype == DType::f8_e4m3 && !format.ending.empty();
    places_.back().scales = Scales{*own, std::move(format), grid, is_written};
    if (const ComfyMarker* const marker = marker_of(markers, all[i])) {
      places_.back().marker = marker->text;
    }
    infos.back() = make_tensor_info(all[i].name, DType::f32, all[i].shape, inner_->label());
  }
  set_tensors(inner_->label(), std::move(infos));
  set_metadata(metadata_without(*inner_, markers, marked));
}

Fp8Format ScaledFp8Source::format_of(std::size_t weight, std::size_t scales,
                                     const Fp8Layout& layout) const {
  const TensorInfo& matrix = inner_->tensors()[weight];
  const TensorInfo& found = inner_->tensors()[scales];
  Fp8Format format;
  format.block = layout.block;
  format.powers_of_two = layout.powers_of_two;
  // That in "scale_weight" is one scale, in no tensor that is called after the weight.
  const bool is_one = !found.name.starts_with(matrix.name);
  format.ending = is_one ? std::string() : found.name.substr(matrix.name.size());
  if (dtype_is_floating(found.dtype) && !dtype_is_quantised(found.dtype) &&
      find_scaling(matrix.shape, found.shape, format) && (!is_one || found.elements == 1)) {
    return format;
  }
  if (is_one) {
    throw InputError(
        "{}: tensor '{}' is {} {}, which is no scale for '{}' of shape {}; expected one number",
        inner_->label(), found.name, dtype_name(found.dtype), format_shape(found.shape),
        matrix.name, format_shape(matrix.shape));
  }
  throw InputError(
      "{}: tensor '{}' is {} {}, which are no scales for '{}' of shape {}; expected one, one per "
      "row, or one per block of {} x {}, for each matrix",
      inner_->label(), found.name, dtype_name(found.dtype), format_shape(found.shape), matrix.name,
      format_shape(matrix.shape), layout.block[0], layout.block[1]);
}

const Fp8Format* ScaledFp8Source::format(std::size_t tensor) const {
  const std::optional<Scales>& scales = places_.at(tensor).scales;
  return scales && scales->is_written ? &scales->format : nullptr;
}

const std::string* ScaledFp8Source::marker(std::size_t tensor) const {
  const std::string& text = places_.at(tensor).marker;
  return text.empty() ? nullptr : &text;
}

template <class T>
void ScaledFp8Source::read_values(std::size_t tensor, std::uint64_t first, std::span<T> out) const {
  const Place& place = places_.at(tensor);
  inner_->read(place.weight, first, out);
  if (!place.scales || out.empty()) return;
  // Only the scales in use: those of a matrix may be many.
  const Fp8Grid& grid = place.scales->grid;
  std::uint64_t least = grid.scales();
  std::uint64_t most = 0;
  grid.for_each_run(first, out.size(), [&](std::uint64_t scale, std::uint64_t, std::uint64_t) {
    least = std::min(least, scale);
    most = std::max(most, scale);
  });
  std::vector<float> scales(most - least + 1);
  inner_->read(place.scales->tensor, least, std::span<float>(scales));
  grid.for_each_run(first, out.size(),
                    [&](std::uint64_t scale, std::uint64_t offset, std::uint64_t length) {
                      const T factor = static_cast<T>(scales[scale - least]);
                      T* const run = out.data() + offset;
                      for (std::uint64_t i = 0; i < length; ++i) run[i] *= factor;
                    });
}

void ScaledFp8Source::read(std::size_t tensor, std::uint64_t first, std::span<float> out) const {
  read_values(tensor, first, out);
}

// The values are floats, as of every other type that is narrower.
void ScaledFp8Source::read(std::size_t tensor, std::uint64_t first, std::span<double> out) const {
  if (!places_.at(tensor).scales) return read_values(tensor, first, out);
  TensorSource::read(tensor, first, out);
}

void ScaledFp8Source::read_bytes(std::size_t tensor, std::uint64_t offset,
                                 std::span<std::byte> out) const {
  const Place& place = places_.at(tensor);
  if (!place.scales) {
    inner_->read_bytes(place.weight, offset, out);
    return;
  }
  const TensorInfo& info = tensors()[tensor];
  computed::check_range(*this, tensor, offset, out.size(), info.bytes);
  const auto address = reinterpret_cast<std::uintptr_t>(out.data());
  if ((address | offset | out.size()) % sizeof(float) == 0) {
    const std::span<float> values(reinterpret_cast<float*>(out.data()), out.size() / sizeof(float));
    read_values(tensor, offset / sizeof(float), values);
    return;
  }
  computed::encode_bytes<float>(info, offset, out, [&](std::uint64_t first, std::span<float> part) {
    read_values(tensor, first, part);
  });
}

void ScaledFp8Source::will_need(std::size_t tensor, std::uint64_t offset,
                                std::uint64_t bytes) const {
  const Place& place = places_.at(tensor);
  computed::will_need_elements(*inner_, place.weight, tensors()[tensor], offset, bytes);
}

bool is_fp8(const TensorInfo& info) {
  return info.dtype == DType::f8_e4m3 || info.dtype == DType::f8_e5m2;
}

bool is_fp8_marker(const TensorInfo& info) {
  return is_fp8(info) && (info.name == kMarker || info.name.ends_with("." + std::string(kMarker)));
}

std::unique_ptr<TensorSource> unscale_fp8(std::unique_ptr<TensorSource> source,
                                          const Fp8Layout& layout) {
  const auto& all = source->tensors();
  if (std::none_of(all.begin(), all.end(), is_fp8)) return source;
  const Markers markers = read_comfy_markers(*source);
  const bool has_scales = std::any_of(all.begin(), all.end(), [&](const TensorInfo& info) {
    return scale_of(*source, markers, info).has_value();
  });
  if (!has_scales) return source;
  return std::make_unique<ScaledFp8Source>(std::move(source), layout);
}

}  // namespace amalgam
