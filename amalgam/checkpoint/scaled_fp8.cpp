#include "amalgam/checkpoint/scaled_fp8.hpp"

#include <algorithm>
#include <cstring>
#include <set>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/tensor/convert.hpp"

namespace amalgam {
namespace {

constexpr std::uint64_t kChunk = 16384;
constexpr std::string_view kWeight = "weight";

std::uint64_t pieces(std::uint64_t length, std::uint64_t block) {
  return (length + block - 1) / block;
}

// The tensor with the scales of `weight`, if it is one of 8-bit floats that has them.
std::optional<std::size_t> scale_of(const TensorSource& source, const TensorInfo& weight) {
  if (weight.dtype != DType::f8_e4m3 || !weight.name.ends_with(kWeight)) return std::nullopt;
  for (const char* ending : {"_scale_inv", "_scale"}) {
    if (const auto found = source.find(weight.name + ending)) return found;
  }
  return std::nullopt;
}

}  // namespace

ScaledFp8Source::ScaledFp8Source(std::unique_ptr<TensorSource> inner, const Fp8Layout& layout)
    : inner_(std::move(inner)) {
  const std::vector<TensorInfo>& all = inner_->tensors();
  std::vector<std::optional<std::size_t>> scales(all.size());
  std::set<std::size_t> hidden;
  std::size_t inputs = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    scales[i] = scale_of(*inner_, all[i]);
    if (!scales[i]) continue;
    hidden.insert(*scales[i]);
    const std::string stem = all[i].name.substr(0, all[i].name.size() - kWeight.size());
    if (const auto input = inner_->find(stem + "input_scale")) {
      hidden.insert(*input);
      ++inputs;
    }
  }
  if (inputs > 0) {
    log::warn(
        "{}: {} scales of activations ('input_scale') are left out: weights are read "
        "without their quantisation",
        inner_->label(), inputs);
  }
  std::vector<TensorInfo> infos;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (hidden.contains(i)) continue;
    infos.push_back(scales[i]
                        ? make_tensor_info(all[i].name, DType::bf16, all[i].shape, inner_->label())
                        : all[i]);
    places_.push_back(scales[i] ? place_of(i, *scales[i], layout)
                                : Place{.weight = i, .scale = {}});
  }
  set_tensors(inner_->label(), std::move(infos));
  set_metadata(inner_->metadata());
}

ScaledFp8Source::Place ScaledFp8Source::place_of(std::size_t weight, std::size_t scale,
                                                 const Fp8Layout& layout) const {
  const TensorInfo& matrix = inner_->tensors()[weight];
  const TensorInfo& scales = inner_->tensors()[scale];
  Place place{.weight = weight, .scale = scale};
  const bool is_number = dtype_is_floating(scales.dtype) && !dtype_is_quantised(scales.dtype);
  if (is_number && scales.elements == 1) {
    place.block = {std::max<std::uint64_t>(matrix.elements, 1), 1};
    return place;
  }
  if (is_number && matrix.shape.size() == 2) {
    const std::uint64_t rows = matrix.shape[0];
    const std::uint64_t columns = matrix.shape[1];
    if (scales.shape == Shape{rows} || scales.shape == Shape{rows, 1}) {
      place.block = {1, std::max<std::uint64_t>(columns, 1)};
      return place;
    }
    place.scales_per_row = pieces(columns, layout.block[1]);
    place.block = layout.block;
    if (scales.shape == Shape{pieces(rows, layout.block[0]), place.scales_per_row}) return place;
  }
  throw InputError(
      "{}: tensor '{}' is {} {}, which are no scales for '{}' of shape {}; expected one, one per "
      "row, or one per block of {} x {}",
      inner_->label(), scales.name, dtype_name(scales.dtype), format_shape(scales.shape),
      matrix.name, format_shape(matrix.shape), layout.block[0], layout.block[1]);
}

template <class T>
void ScaledFp8Source::read_values(std::size_t tensor, std::uint64_t first, std::span<T> out) const {
  const Place& place = places_.at(tensor);
  inner_->read(place.weight, first, out);
  if (!place.scale || out.empty()) return;
  const TensorInfo& info = tensors()[tensor];
  if (inner_->tensors()[*place.scale].elements == 1) {
    float scale = 0;
    inner_->read(*place.scale, 0, std::span<float>(&scale, 1));
    for (T& value : out) value *= static_cast<T>(scale);
    return;
  }
  const std::uint64_t columns = info.shape[1];
  std::vector<float> scales(place.scales_per_row);
  std::optional<std::uint64_t> read_row;  // whose scales `scales` are
  for (std::size_t done = 0; done < out.size();) {
    const std::uint64_t row = (first + done) / columns;
    const std::uint64_t column = (first + done) % columns;
    const std::uint64_t scale_row = row / place.block[0];
    if (read_row != scale_row) {
      inner_->read(*place.scale, scale_row * place.scales_per_row, std::span<float>(scales));
      read_row = scale_row;
    }
    const std::uint64_t at = column / place.block[1];
    const std::uint64_t end = std::min((at + 1) * place.block[1], columns);
    const std::size_t count = std::min<std::uint64_t>(end - column, out.size() - done);
    const T scale = static_cast<T>(scales[at]);
    for (std::size_t i = done; i < done + count; ++i) out[i] *= scale;
    done += count;
  }
}

void ScaledFp8Source::read(std::size_t tensor, std::uint64_t first, std::span<float> out) const {
  read_values(tensor, first, out);
}

void ScaledFp8Source::read(std::size_t tensor, std::uint64_t first, std::span<double> out) const {
  read_values(tensor, first, out);
}

void ScaledFp8Source::read_bytes(std::size_t tensor, std::uint64_t offset,
                                 std::span<std::byte> out) const {
  const Place& place = places_.at(tensor);
  if (!place.scale) {
    inner_->read_bytes(place.weight, offset, out);
    return;
  }
  const TensorInfo& info = tensors()[tensor];
  if (offset > info.bytes || out.size() > info.bytes - offset) {
    throw Error("{}: read past the end of '{}'", label(), info.name);
  }
  const std::uint64_t size = dtype_block_bytes(info.dtype);
  std::vector<double> values;
  std::vector<std::byte> encoded;
  while (!out.empty()) {
    const std::uint64_t skip = offset % size;
    const std::uint64_t count = std::min(kChunk, (skip + out.size() + size - 1) / size);
    values.resize(count);
    encoded.resize(count * size);
    read_values(tensor, offset / size, std::span<double>(values));
    encode(info.dtype, std::span<const double>(values), std::span<std::byte>(encoded));
    const std::uint64_t taken = std::min<std::uint64_t>(out.size(), encoded.size() - skip);
    std::memcpy(out.data(), encoded.data() + skip, taken);
    offset += taken;
    out = out.subspan(taken);
  }
}

void ScaledFp8Source::will_need(std::size_t tensor, std::uint64_t offset,
                                std::uint64_t bytes) const {
  const Place& place = places_.at(tensor);
  // A number of two bytes here is one of one byte there.
  if (place.scale) {
    inner_->will_need(place.weight, offset / 2, (bytes + 1) / 2);
  } else {
    inner_->will_need(place.weight, offset, bytes);
  }
}

std::unique_ptr<TensorSource> unscale_fp8(std::unique_ptr<TensorSource> source,
                                          const Fp8Layout& layout) {
  const auto& all = source->tensors();
  const bool has_scales = std::any_of(all.begin(), all.end(), [&](const TensorInfo& info) {
    return scale_of(*source, info).has_value();
  });
  if (!has_scales) return source;
  return std::make_unique<ScaledFp8Source>(std::move(source), layout);
}

}  // namespace amalgam
