#include "amalgam/checkpoint/source.hpp"

#include <algorithm>
#include <memory>

#include "amalgam/core/error.hpp"
#include "amalgam/tensor/convert.hpp"

namespace amalgam {
namespace {

// Elements that are read and decoded at a time (a multiple of every block).
constexpr std::uint64_t kChunk = 65536;

template <class T>
void read_decoded(const TensorSource& source, std::size_t tensor, std::uint64_t first,
                  std::span<T> out) {
  const DType dtype = source.tensors()[tensor].dtype;
  if (dtype == (sizeof(T) == sizeof(float) ? DType::f32 : DType::f64)) {
    source.read_bytes(tensor, dtype_bytes(dtype, first), std::as_writable_bytes(out));
    return;
  }
  // Not set to zero first, which would take as long as decoding.
  const std::uint64_t most = std::min<std::uint64_t>(out.size(), kChunk);
  const auto memory = std::make_unique_for_overwrite<std::byte[]>(dtype_bytes(dtype, most));
  while (!out.empty()) {
    const std::uint64_t count = std::min<std::uint64_t>(out.size(), kChunk);
    const std::span<std::byte> bytes(memory.get(), dtype_bytes(dtype, count));
    source.read_bytes(tensor, dtype_bytes(dtype, first), bytes);
    decode(dtype, bytes, out.first(count));
    first += count;
    out = out.subspan(count);
  }
}

}  // namespace

TensorInfo make_tensor_info(std::string name, DType dtype, Shape shape, std::string_view where) {
  TensorInfo info{std::move(name), dtype, std::move(shape), 0, 0};
  info.elements = element_count(info.shape, fmt::format("{}: tensor '{}'", where, info.name));
  if (info.elements % dtype_block_elements(dtype) != 0 ||
      row_length(info.shape) % dtype_block_elements(dtype) != 0) {
    throw InputError("{}: tensor '{}' has shape {}, but {} needs rows that are multiples of {}",
                     where, info.name, format_shape(info.shape), dtype_name(dtype),
                     dtype_block_elements(dtype));
  }
  if (info.elements > (std::uint64_t{1} << 60)) {
    throw InputError("{}: tensor '{}' of shape {} is too large", where, info.name,
                     format_shape(info.shape));
  }
  info.bytes = dtype_bytes(dtype, info.elements);
  return info;
}

std::optional<std::size_t> TensorSource::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? std::nullopt : std::optional(found->second);
}

void TensorSource::read(std::size_t tensor, std::uint64_t first, std::span<float> out) const {
  read_decoded(*this, tensor, first, out);
}

void TensorSource::read(std::size_t tensor, std::uint64_t first, std::span<double> out) const {
  read_decoded(*this, tensor, first, out);
}

void TensorSource::will_need(std::size_t, std::uint64_t, std::uint64_t) const {}

void TensorSource::set_tensors(std::string label, std::vector<TensorInfo> tensors) {
  label_ = std::move(label);
  tensors_ = std::move(tensors);
  std::sort(tensors_.begin(), tensors_.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  index_.clear();
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    if (!index_.emplace(tensors_[i].name, i).second) {
      throw InputError("{}: tensor '{}' appears twice", label_, tensors_[i].name);
    }
  }
}

}  // namespace amalgam
