#include "amalgam/weights/padded_source.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "amalgam/checkpoint/decorators.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/tensor/convert.hpp"

namespace amalgam {
namespace {

constexpr std::uint64_t kChunk = 16384;

DType common_dtype(DType a, DType b) {
  if (a == b && !dtype_is_quantised(a)) return a;
  return a == DType::f64 || b == DType::f64 ? DType::f64 : DType::f32;
}

}  // namespace

PaddedSource::PaddedSource(std::shared_ptr<const TensorSource> model, std::size_t model_tensor,
                           std::shared_ptr<const TensorSource> base, std::size_t base_tensor)
    : model_(std::move(model)),
      base_(std::move(base)),
      model_tensor_(model_tensor),
      base_tensor_(base_tensor) {
  const TensorInfo& mine = model_->tensors().at(model_tensor);
  const TensorInfo& theirs = base_->tensors().at(base_tensor);
  if (mine.shape.size() != 2 || theirs.shape.size() != 2) {
    throw Error("{}: tensor '{}' cannot be padded: it is not a matrix", model_->label(), mine.name);
  }
  common_rows_ = std::min(mine.shape[0], theirs.shape[0]);
  common_columns_ = std::min(mine.shape[1], theirs.shape[1]);
  set_tensors(model_->label(), {make_tensor_info(mine.name, common_dtype(mine.dtype, theirs.dtype),
                                                 theirs.shape, model_->label())});
}

void PaddedSource::check_range(std::uint64_t first, std::uint64_t count, std::uint64_t size) const {
  if (first > size || count > size - first) {
    throw Error("{}: read past the end of '{}'", label(), tensors()[0].name);
  }
}

template <class T>
void PaddedSource::read_values(std::uint64_t first, std::span<T> out) const {
  check_range(first, out.size(), tensors()[0].elements);
  const std::uint64_t columns = tensors()[0].shape[1];
  const std::uint64_t model_columns = model_->tensors()[model_tensor_].shape[1];
  while (!out.empty()) {
    const std::uint64_t row = first / columns;
    const std::uint64_t column = first % columns;
    const bool common = row < common_rows_ && column < common_columns_;
    // Up to where one source goes on without a break.
    std::uint64_t run = columns - column;
    if (common) {
      run = common_columns_ - column;
    } else if (row >= common_rows_) {
      run = out.size();
    }
    const std::span<T> part = out.first(std::min<std::uint64_t>(run, out.size()));
    if (common) {
      read_elements(*model_, model_tensor_, row * model_columns + column, part);
    } else {
      read_elements(*base_, base_tensor_, first, part);
    }
    first += part.size();
    out = out.subspan(part.size());
  }
}

void PaddedSource::read(std::size_t, std::uint64_t first, std::span<float> out) const {
  read_values(first, out);
}

void PaddedSource::read(std::size_t, std::uint64_t first, std::span<double> out) const {
  read_values(first, out);
}

void PaddedSource::read_bytes(std::size_t, std::uint64_t offset, std::span<std::byte> out) const {
  const TensorInfo& info = tensors()[0];
  check_range(offset, out.size(), info.bytes);
  const std::uint64_t size = dtype_block_bytes(info.dtype);
  std::vector<double> values;
  std::vector<std::byte> encoded;
  while (!out.empty()) {
    const std::uint64_t first = offset / size;
    const std::uint64_t skip = offset % size;
    const std::uint64_t count = std::min(kChunk, (skip + out.size() + size - 1) / size);
    values.resize(count);
    encoded.resize(count * size);
    read_values(first, std::span<double>(values));
    encode(info.dtype, std::span<const double>(values), std::span<std::byte>(encoded));
    const std::uint64_t taken = std::min<std::uint64_t>(out.size(), encoded.size() - skip);
    std::memcpy(out.data(), encoded.data() + skip, taken);
    offset += taken;
    out = out.subspan(taken);
  }
}

}  // namespace amalgam
