#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "amalgam/tensor/dtype.hpp"

namespace amalgam {

/// A tensor as a view of a storage: element (i0, i1, ...) is the storage's element
/// offset + i0 * strides[0] + i1 * strides[1] + ... Strides may be 0 (expanded tensors).
struct StridedLayout {
  Shape shape;
  std::vector<std::uint64_t> strides;  ///< as many as `shape`; in elements
  std::uint64_t offset = 0;            ///< in elements
};

/// One past the highest storage element the view uses, 0 if it has none; InputError naming `what`
/// if that overflows.
std::uint64_t strided_extent(const StridedLayout& layout, std::string_view what);

/// Whether the view's elements follow each other in the storage in row-major order; the view must
/// lie inside a storage of at most 2^60 elements.
bool is_contiguous(const StridedLayout& layout);

/// Reads bytes of the storage from a byte offset.
using ReadStorage = std::function<void(std::uint64_t offset, std::span<std::byte> out)>;

/// Fills `out` with elements of `element_bytes` bytes each (1, 2, 4 or 8), from element `first` of
/// the view in row-major order. Runs are read in one piece, strided ones through windows of 64 KiB,
/// in the order of the storage where the request covers whole rows. The view must lie inside a
/// storage of at most 2^60 elements (see strided_extent).
void gather_strided(const StridedLayout& layout, std::size_t element_bytes, std::uint64_t first,
                    std::span<std::byte> out, const ReadStorage& read);

}  // namespace amalgam
