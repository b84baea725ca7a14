#include "amalgam/checkpoint/row_map_source.hpp"

#include <algorithm>
#include <cstring>

#include "amalgam/core/error.hpp"
#include "amalgam/tensor/convert.hpp"

namespace amalgam {
namespace {

constexpr std::uint64_t kChunk = 16384;

}  // namespace

RowMapSource::RowMapSource(std::string name, std::string label, std::vector<Input> inputs,
                           std::shared_ptr<const RowMap> map, std::uint64_t total_rows)
    : inputs_(std::move(inputs)), map_(std::move(map)) {
  if (inputs_.empty()) throw Error("{}: a matrix of no inputs", label);
  const auto info_of = [](const Input& input) -> const TensorInfo& {
    return input.source->tensors().at(input.tensor);
  };
  const TensorInfo& first = info_of(inputs_.front());
  DType dtype = DType::f32;
  for (const Input& input : inputs_) {
    const TensorInfo& info = info_of(input);
    const bool fits = !info.shape.empty() && dtype_is_floating(info.dtype) &&
                      std::equal(info.shape.begin() + 1, info.shape.end(), first.shape.begin() + 1,
                                 first.shape.end());
    if (!fits) {
      throw InputError("{}: tensor '{}' is {} {}, but {} has {} {}; expected rows of one size",
                       input.source->label(), info.name, dtype_name(info.dtype),
                       format_shape(info.shape), inputs_.front().source->label(),
                       dtype_name(first.dtype), format_shape(first.shape));
    }
    if (info.dtype == DType::f64) dtype = DType::f64;
  }
  for (const RowMap::Origin& origin : map_->origins) {
    const TensorInfo& info = info_of(inputs_.at(origin.input));
    if (origin.row >= info.shape[0]) {
      throw InputError("{}: tensor '{}' has {} rows, but the vocabulary needs row {}",
                       inputs_[origin.input].source->label(), info.name, info.shape[0], origin.row);
    }
  }
  Shape shape = first.shape;
  shape[0] = std::max<std::uint64_t>(map_->rows(), total_rows);
  for (std::size_t axis = 1; axis < shape.size(); ++axis) columns_ *= shape[axis];
  const std::string where = label;
  set_tensors(std::move(label),
              {make_tensor_info(std::move(name), dtype, std::move(shape), where)});
}

// Of single rows, `out` may reach into those that follow in the same input.
template <class T>
void RowMapSource::read_row(std::uint64_t row, std::uint64_t column, std::span<T> out) const {
  if (row >= map_->rows()) {
    const std::span<const double> mean = mean_row().subspan(column, out.size());
    std::transform(mean.begin(), mean.end(), out.begin(),
                   [](double value) { return static_cast<T>(value); });
    return;
  }
  const auto origins = map_->row(row);
  const auto read_origin = [&](const RowMap::Origin& origin, auto values) {
    const Input& input = inputs_[origin.input];
    read_elements(*input.source, input.tensor, origin.row * columns_ + column, values);
  };
  if (origins.empty()) {
    std::fill(out.begin(), out.end(), T{});
  } else if (origins.size() == 1) {
    read_origin(origins.front(), out);
  } else {
    std::vector<double> sum(out.size());
    std::vector<double> part(out.size());
    for (const RowMap::Origin& origin : origins) {
      read_origin(origin, std::span<double>(part));
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += part[i];
    }
    for (std::size_t i = 0; i < sum.size(); ++i) {
      out[i] = static_cast<T>(sum[i] / static_cast<double>(origins.size()));
    }
  }
}

// How many rows from `row` on, until `elements` are there, lie one after the other in one input.
std::uint64_t RowMapSource::run_length(std::uint64_t row, std::uint64_t elements) const {
  std::uint64_t run = 1;
  if (row >= map_->rows() || map_->row(row).size() != 1) return run;
  const RowMap::Origin first = map_->row(row).front();
  while (run * columns_ < elements && row + run < map_->rows()) {
    const auto next = map_->row(row + run);
    if (next.size() != 1 || next.front().input != first.input ||
        next.front().row != first.row + run) {
      break;
    }
    ++run;
  }
  return run;
}

// Added up row by row, so the same bits whoever asks first.
std::span<const double> RowMapSource::mean_row() const {
  std::call_once(mean_made_, [&] {
    std::vector<double> sum(columns_);
    std::vector<double> row(columns_);
    for (std::uint64_t i = 0; i < map_->rows(); ++i) {
      read_row(i, 0, std::span<double>(row));
      for (std::size_t c = 0; c < sum.size(); ++c) sum[c] += row[c];
    }
    for (double& value : sum) value /= static_cast<double>(map_->rows());
    mean_ = std::move(sum);
  });
  return mean_;
}

template <class T>
void RowMapSource::read_values(std::uint64_t first, std::span<T> out) const {
  const TensorInfo& info = tensors()[0];
  if (first > info.elements || out.size() > info.elements - first) {
    throw Error("{}: read past the end of '{}'", label(), info.name);
  }
  while (!out.empty()) {
    const std::uint64_t row = first / columns_;
    const std::uint64_t column = first % columns_;
    const std::uint64_t run = run_length(row, column + out.size()) * columns_ - column;
    const std::span<T> part = out.first(std::min<std::uint64_t>(run, out.size()));
    read_row(row, column, part);
    first += part.size();
    out = out.subspan(part.size());
  }
}

void RowMapSource::read(std::size_t, std::uint64_t first, std::span<float> out) const {
  read_values(first, out);
}

void RowMapSource::read(std::size_t, std::uint64_t first, std::span<double> out) const {
  read_values(first, out);
}

void RowMapSource::read_bytes(std::size_t, std::uint64_t offset, std::span<std::byte> out) const {
  const TensorInfo& info = tensors()[0];
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
    read_values(offset / size, std::span<double>(values));
    encode(info.dtype, std::span<const double>(values), std::span<std::byte>(encoded));
    const std::uint64_t taken = std::min<std::uint64_t>(out.size(), encoded.size() - skip);
    std::memcpy(out.data(), encoded.data() + skip, taken);
    offset += taken;
    out = out.subspan(taken);
  }
}

}  // namespace amalgam
