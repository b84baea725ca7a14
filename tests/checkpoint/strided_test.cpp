#include "amalgam/checkpoint/strided.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "amalgam/core/error.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

// Element i of the storage holds i (modulo 2^8 to the element size).
std::vector<std::byte> storage_bytes(std::uint64_t elements, std::size_t element) {
  std::vector<std::byte> bytes(elements * element);
  for (std::uint64_t i = 0; i < elements; ++i) {
    std::memcpy(bytes.data() + i * element, &i, element);
  }
  return bytes;
}

// The definition: one element at a time.
std::vector<std::byte> reference(const StridedLayout& layout, std::size_t element,
                                 const std::vector<std::byte>& storage, std::uint64_t first,
                                 std::uint64_t count) {
  std::vector<std::byte> out;
  for (std::uint64_t i = first; i < first + count; ++i) {
    std::uint64_t rest = i;
    std::uint64_t at = layout.offset;
    for (std::size_t axis = layout.shape.size(); axis-- > 0;) {
      at += rest % layout.shape[axis] * layout.strides[axis];
      rest /= layout.shape[axis];
    }
    const auto* from = storage.data() + at * element;
    out.insert(out.end(), from, from + element);
  }
  return out;
}

struct Reads {
  std::size_t calls = 0;
  std::size_t bytes = 0;
};

std::vector<std::byte> gather(const StridedLayout& layout, std::size_t element,
                              const std::vector<std::byte>& storage, std::uint64_t first,
                              std::uint64_t count, Reads* reads = nullptr) {
  std::vector<std::byte> out(count * element);
  gather_strided(layout, element, first, out, [&](std::uint64_t offset, std::span<std::byte> into) {
    if (offset + into.size() > storage.size()) throw Error("read outside the storage");
    std::memcpy(into.data(), storage.data() + offset, into.size());
    if (reads != nullptr) {
      ++reads->calls;
      reads->bytes += into.size();
    }
  });
  return out;
}

RC_GTEST_PROP(Strided, GathersWhatTheDefinitionSays, ()) {
  const auto axes = *rc::gen::inRange(0, 5);
  StridedLayout layout;
  std::uint64_t elements = 1;
  for (int i = 0; i < axes; ++i) {
    layout.shape.push_back(*rc::gen::inRange<std::uint64_t>(1, 9));
    layout.strides.push_back(
        *rc::gen::oneOf(rc::gen::inRange<std::uint64_t>(0, 12),
                        rc::gen::element<std::uint64_t>(64, 1000, 5000, 40000)));
    elements *= layout.shape.back();
  }
  layout.offset = *rc::gen::inRange<std::uint64_t>(0, 20);
  const auto element = *rc::gen::element<std::size_t>(1, 2, 4, 8);
  const auto storage = storage_bytes(strided_extent(layout, "test"), element);
  const auto first = *rc::gen::inRange<std::uint64_t>(0, elements);
  const auto count = *rc::gen::inRange<std::uint64_t>(0, elements - first + 1);
  RC_ASSERT(gather(layout, element, storage, first, count) ==
            reference(layout, element, storage, first, count));
}

TEST(Strided, TransposedMatricesLargerThanAWindow) {
  const StridedLayout layout{{500, 700}, {1, 500}, 0};
  const auto storage = storage_bytes(350000, 4);
  for (const auto& [first, count] : std::vector<std::pair<std::uint64_t, std::uint64_t>>{
           {0, 350000}, {350, 1400}, {701, 100000}, {0, 1}, {349999, 1}}) {
    EXPECT_EQ(gather(layout, 4, storage, first, count),
              reference(layout, 4, storage, first, count));
  }
}

TEST(Strided, ExpandedTensorsLargerThanAWindow) {
  const StridedLayout layout{{3, 40000}, {0, 1}, 5};
  const auto storage = storage_bytes(40005, 4);
  EXPECT_EQ(gather(layout, 4, storage, 0, 120000), reference(layout, 4, storage, 0, 120000));
}

TEST(Strided, ReadsRunsInOnePieceAndWindowsOnce) {
  Reads rows;  // rows of 1000 out of 2000: one read each
  gather({{100, 1000}, {2000, 1}, 0}, 8, storage_bytes(200000, 8), 0, 100000, &rows);
  EXPECT_EQ(rows.calls, 100U);
  EXPECT_EQ(rows.bytes, 800000U);
  Reads columns;  // every byte of a transposed matrix of 4 MB about once
  gather({{1000, 1000}, {1, 1000}, 0}, 4, storage_bytes(1000000, 4), 0, 1000000, &columns);
  EXPECT_LE(columns.bytes, 4100000U);
  EXPECT_LE(columns.calls, 100U);
}

TEST(Strided, KnowsContiguousLayouts) {
  EXPECT_TRUE(is_contiguous({{}, {}, 7}));
  EXPECT_TRUE(is_contiguous({{2, 3}, {3, 1}, 0}));
  EXPECT_TRUE(is_contiguous({{1, 3}, {77, 1}, 0}));
  EXPECT_TRUE(is_contiguous({{1}, {5}, 0}));
  EXPECT_TRUE(is_contiguous({{0, 3}, {9, 9}, 0}));
  EXPECT_FALSE(is_contiguous({{3, 2}, {1, 3}, 0}));
  EXPECT_FALSE(is_contiguous({{2, 3}, {4, 1}, 0}));
  EXPECT_FALSE(is_contiguous({{2}, {0}, 0}));
}

TEST(Strided, ExtentsAreCheckedForOverflow) {
  EXPECT_EQ(strided_extent({{2, 3}, {3, 1}, 4}, "x"), 10U);
  EXPECT_EQ(strided_extent({{}, {}, 4}, "x"), 5U);
  EXPECT_EQ(strided_extent({{0}, {1}, 4}, "x"), 0U);
  constexpr std::uint64_t kHalf = std::uint64_t{1} << 63;
  expect_error<InputError>([] { strided_extent({{3}, {kHalf}, 0}, "x"); }, "x: ", "overflow");
  expect_error<InputError>([] { strided_extent({{2, 2}, {kHalf, kHalf}, 0}, "x"); }, "overflow");
  expect_error<InputError>([] { strided_extent({{2}, {kHalf}, kHalf}, "x"); }, "overflow");
  expect_error<InputError>([] { strided_extent({{1}, {1}, ~std::uint64_t{0}}, "x"); }, "overflows");
}

}  // namespace
}  // namespace amalgam
