// AdaptedSource: the elements and bytes of what an adapter changes.
#include <algorithm>
#include <cmath>

#include "amalgam/checkpoint/adapted_source.hpp"
#include "amalgam/checkpoint/computed_source.hpp"
#include "amalgam/tensor/low_rank_kernel.hpp"

namespace amalgam {
namespace {

using computed::check_range;
using computed::kChunk;

// Factors of matrices that are not read at the moment are dropped beyond this.
constexpr std::size_t kCachedBytes = 32'000'000;

// Calls body(row, column, offset in the range, length) for the runs of a range within rows.
template <class Body>
void for_each_row_run(std::uint64_t columns, std::uint64_t first, std::uint64_t count,
                      const Body& body) {
  for (std::uint64_t done = 0; done < count;) {
    const std::uint64_t column = (first + done) % columns;
    const std::uint64_t length = std::min(columns - column, count - done);
    body((first + done) / columns, column, done, length);
    done += length;
  }
}

}  // namespace

std::uint64_t AdaptedSource::elements_per_row(const TensorInfo& info) {
  return info.shape.empty() || info.shape[0] == 0 ? 1 : info.elements / info.shape[0];
}

template <>
AdaptedSource::Cache<float>& AdaptedSource::cache<float>() const {
  return narrow_;
}
template <>
AdaptedSource::Cache<double>& AdaptedSource::cache<double>() const {
  return wide_;
}

// Calls body(block, offset) for parts of a range whose columns lie in rows of one length: whole
// rows together, and what is before and after them. The blocks have no `out`.
template <class T, class Body>
void AdaptedSource::for_each_block(std::size_t tensor, const LowRankFactors<T>& factors,
                                   std::uint64_t first, std::uint64_t count,
                                   const Body& body) const {
  const std::uint64_t columns = elements_per_row(tensors()[tensor]);
  for (std::uint64_t done = 0; done < count;) {
    const std::uint64_t row = (first + done) / columns;
    const std::uint64_t column = (first + done) % columns;
    const std::uint64_t left = count - done;
    const std::uint64_t rows = column == 0 ? std::max<std::uint64_t>(1, left / columns) : 1;
    const std::uint64_t length = std::min<std::uint64_t>(columns - column, left);
    body(kernels::LowRankBlock<T>{.left = factors.left.data() + row * factors.rank,
                                  .rank = factors.rank,
                                  .right = factors.right.data() + column,
                                  .stride = columns,
                                  .rows = rows,
                                  .columns = length},
         done);
    done += rows == 1 ? length : rows * columns;
  }
}

template <class T>
void AdaptedSource::add_factors(std::size_t tensor, const LowRankFactors<T>& factors,
                                std::uint64_t first, std::span<T> out) const {
  for_each_block(tensor, factors, first, out.size(),
                 [&](kernels::LowRankBlock<T> block, std::uint64_t offset) {
                   block.out = out.data() + offset;
                   kernels::add_low_rank(block);
                 });
}

// The product is added to the bytes of a BF16 tensor where they lie, with the bits of compute()
// and encode(): false if the tensor, or the place, is not of the kind for it.
bool AdaptedSource::add_in_place(std::size_t tensor, std::uint64_t offset,
                                 std::span<std::byte> out) const {
  const Change& change = changes_[places_.at(tensor)];
  const TensorInfo& info = tensors()[tensor];
  const auto address = reinterpret_cast<std::uintptr_t>(out.data());
  if (change.what != Change::What::product || !change.vector.empty() || info.dtype != DType::bf16 ||
      start_of(change).tensors()[change.start].dtype != DType::bf16 ||
      (address | offset | out.size()) % sizeof(std::uint16_t) != 0) {
    return false;
  }
  start_of(change).read_bytes(change.start, offset, out);
  auto* const elements = reinterpret_cast<std::uint16_t*>(out.data());
  const auto loaded = load<float>(tensor);
  for_each_block(tensor, loaded->factors, offset / sizeof(std::uint16_t),
                 out.size() / sizeof(std::uint16_t),
                 [&](const kernels::LowRankBlock<float>& block, std::uint64_t at) {
                   kernels::add_low_rank(block, elements + at);
                 });
  return true;
}

// DoRA: the magnitude of every output over the norm of its weights. All of the tensor is read.
template <class T>
std::vector<T> AdaptedSource::output_factors(std::size_t tensor,
                                             const LowRankFactors<T>& factors) const {
  const Change& change = changes_[places_[tensor]];
  if (change.vector.empty()) return {};
  const TensorInfo& info = tensors()[tensor];
  std::vector<double> squares(change.vector.size());
  std::vector<T> values(std::min<std::uint64_t>(info.elements, kChunk));
  for (std::uint64_t first = 0; first < info.elements; first += kChunk) {
    const std::span<T> part(values.data(), std::min(kChunk, info.elements - first));
    read_elements(start_of(change), change.start, first, part);
    add_factors(tensor, factors, first, part);
    for_each_row_run(
        elements_per_row(info), first, part.size(),
        [&](std::uint64_t row, std::uint64_t column, std::uint64_t at, std::uint64_t length) {
          for (std::uint64_t i = 0; i < length; ++i) {
            const auto value = static_cast<double>(part[at + i]);
            squares[change.by_row ? row : column + i] += value * value;
          }
        });
  }
  std::vector<T> result(squares.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    result[i] = static_cast<T>(change.vector[i] / std::sqrt(squares[i]));
  }
  return result;
}

template <class T>
std::shared_ptr<const AdaptedSource::Loaded<T>> AdaptedSource::load(std::size_t tensor) const {
  const std::lock_guard lock(cache<T>().mutex);
  auto& entries = cache<T>().entries;
  const auto known =
      std::ranges::find(entries, tensor, [](const auto& entry) { return entry.first; });
  if (known != entries.end()) {
    entries.splice(entries.begin(), entries, known);
    return known->second;
  }
  const AdapterModule& module = adapter_.modules[changes_[places_[tensor]].module];
  auto loaded = std::make_shared<Loaded<T>>();
  loaded->factors = adapter_.factors<T>(module);
  loaded->outputs = output_factors(tensor, loaded->factors);
  entries.emplace_front(tensor, loaded);
  std::size_t bytes = 0;
  for (const auto& entry : entries) bytes += entry.second->bytes();
  while (bytes > kCachedBytes && entries.size() > 1) {
    bytes -= entries.back().second->bytes();
    entries.pop_back();
  }
  return loaded;
}

template <class T>
void AdaptedSource::compute(std::size_t tensor, std::uint64_t first, std::span<T> out) const {
  const Change& change = changes_[places_.at(tensor)];
  const TensorInfo& info = tensors()[tensor];
  check_range(*this, tensor, first, out.size(), info.elements);
  read_elements(start_of(change), change.start, first, out);
  const auto apply_vector = [&](const auto& vector, const auto& apply) {
    for_each_row_run(
        elements_per_row(info), first, out.size(),
        [&](std::uint64_t row, std::uint64_t column, std::uint64_t at, std::uint64_t length) {
          for (std::uint64_t i = 0; i < length; ++i) {
            const std::uint64_t place = change.by_row ? row : (column + i) / change.group;
            apply(out[at + i], static_cast<T>(vector[place]));
          }
        });
  };
  switch (change.what) {
    case Change::What::none:
      break;
    case Change::What::product: {
      const auto loaded = load<T>(tensor);
      add_factors(tensor, loaded->factors, first, out);
      if (!loaded->outputs.empty()) {
        apply_vector(loaded->outputs, [](T& value, T factor) { value *= factor; });
      }
      break;
    }
    case Change::What::shift:
      apply_vector(change.vector, [](T& value, T shift) { value += shift; });
      break;
    case Change::What::scale:
      apply_vector(change.vector, [](T& value, T factor) { value *= factor; });
      break;
  }
}

void AdaptedSource::read_bytes(std::size_t tensor, std::uint64_t offset,
                               std::span<std::byte> out) const {
  const Change& change = changes_[places_.at(tensor)];
  if (unchanged(tensor)) {
    start_of(change).read_bytes(change.start, offset, out);
    return;
  }
  const TensorInfo& info = tensors()[tensor];
  check_range(*this, tensor, offset, out.size(), info.bytes);
  if (add_in_place(tensor, offset, out)) return;
  const auto encode_as = [&]<class T>(T) {
    computed::encode_bytes<T>(info, offset, out, [&](std::uint64_t first, std::span<T> values) {
      compute(tensor, first, values);
    });
  };
  if (info.dtype == DType::f64) {
    encode_as(double{});
  } else {
    encode_as(float{});
  }
}

void AdaptedSource::read(std::size_t tensor, std::uint64_t first, std::span<float> out) const {
  const Change& change = changes_[places_.at(tensor)];
  if (unchanged(tensor)) {
    start_of(change).read(change.start, first, out);
  } else if (tensors()[tensor].dtype == DType::f32) {
    compute(tensor, first, out);
  } else {
    TensorSource::read(tensor, first, out);
  }
}

void AdaptedSource::read(std::size_t tensor, std::uint64_t first, std::span<double> out) const {
  const Change& change = changes_[places_.at(tensor)];
  if (unchanged(tensor)) {
    start_of(change).read(change.start, first, out);
  } else if (tensors()[tensor].dtype == DType::f64) {
    compute(tensor, first, out);
  } else {
    TensorSource::read(tensor, first, out);
  }
}

void AdaptedSource::will_need(std::size_t tensor, std::uint64_t offset, std::uint64_t bytes) const {
  const Change& change = changes_[places_.at(tensor)];
  computed::will_need_elements(start_of(change), change.start, tensors()[tensor], offset, bytes);
}

}  // namespace amalgam
