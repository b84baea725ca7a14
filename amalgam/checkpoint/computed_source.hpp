#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "amalgam/checkpoint/source.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/tensor/convert.hpp"

/// What sources share whose tensors are computed rather than stored.
namespace amalgam::computed {

/// Computed sources work through this many elements at a time (a multiple of every block).
inline constexpr std::uint64_t kChunk = 65536;

inline std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

/// Error unless [first, first + count) lies within `size` elements (or bytes) of `tensor`.
inline void check_range(const TensorSource& source, std::size_t tensor, std::uint64_t first,
                        std::uint64_t count, std::uint64_t size) {
  if (first > size || count > size - first) {
    throw Error("{}: read past the end of '{}'", source.label(), source.tensors()[tensor].name);
  }
}

/// Bytes [offset, offset + out.size()) of a tensor that exists only as values: those of the blocks
/// they lie in, encoded. `read(first, span)` gives the values to encode.
template <class T, class Read>
void encode_bytes(const TensorInfo& info, std::uint64_t offset, std::span<std::byte> out,
                  const Read& read) {
  const std::uint64_t block_bytes = dtype_block_bytes(info.dtype);
  const std::uint64_t block_elements = dtype_block_elements(info.dtype);
  const std::uint64_t blocks_per_chunk = kChunk / block_elements;
  // Not set to zero first, which would take as long as encoding.
  const auto memory = std::make_unique_for_overwrite<T[]>(
      std::min<std::uint64_t>(out.size() / block_bytes + 2, blocks_per_chunk) * block_elements);
  std::vector<std::byte> partial;
  while (!out.empty()) {
    const std::uint64_t first_block = offset / block_bytes;
    const std::uint64_t last_block = (offset + out.size() - 1) / block_bytes + 1;
    const std::uint64_t blocks = std::min(last_block - first_block, blocks_per_chunk);
    const std::uint64_t bytes = blocks * block_bytes;
    const std::span<T> values(memory.get(), blocks * block_elements);
    read(first_block * block_elements, values);
    const std::uint64_t skip = offset - first_block * block_bytes;
    const std::uint64_t taken = std::min<std::uint64_t>(out.size(), bytes - skip);
    if (taken == bytes) {
      encode(info.dtype, std::span<const T>(values), out.first(bytes));
    } else {
      partial.resize(bytes);
      encode(info.dtype, std::span<const T>(values), std::span<std::byte>(partial));
      std::memcpy(out.data(), partial.data() + skip, taken);
    }
    offset += taken;
    out = out.subspan(taken);
  }
}

/// Hints the byte range of a tensor that holds what a byte range of a view with as many elements
/// needs.
inline void will_need_elements(const TensorSource& source, std::size_t tensor,
                               const TensorInfo& view, std::uint64_t offset, std::uint64_t bytes) {
  const TensorInfo& info = source.tensors()[tensor];
  const std::uint64_t first =
      offset / dtype_block_bytes(view.dtype) * dtype_block_elements(view.dtype);
  const std::uint64_t last = round_up(offset + bytes, dtype_block_bytes(view.dtype)) /
                             dtype_block_bytes(view.dtype) * dtype_block_elements(view.dtype);
  const std::uint64_t block = dtype_block_elements(info.dtype);
  const std::uint64_t begin = dtype_bytes(info.dtype, first / block * block);
  const std::uint64_t end = dtype_bytes(info.dtype, std::min(round_up(last, block), info.elements));
  if (end > begin) source.will_need(tensor, begin, end - begin);
}

}  // namespace amalgam::computed
