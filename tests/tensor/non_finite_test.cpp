#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "amalgam/tensor/convert.hpp"
#include "amalgam/tensor/simd_targets.hpp"
#include "tests/tensor/rounding_reference.hpp"

namespace amalgam {
namespace {

template <class T>
void expect_found_anywhere(T bad) {
  for (std::size_t count = 0; count <= 67; ++count) {
    std::vector<T> values(count, std::numeric_limits<T>::max());
    ASSERT_EQ(find_non_finite(std::span<const T>(values)), std::nullopt) << count;
    for (std::size_t at = 0; at < count; ++at) {
      values[at] = bad;
      ASSERT_EQ(find_non_finite(std::span<const T>(values)), at) << count;
      // A later one does not matter.
      values[count - 1] = bad;
      ASSERT_EQ(find_non_finite(std::span<const T>(values)), at) << count;
      values[count - 1] = values[at] = -std::numeric_limits<T>::max();
    }
  }
  std::vector<T> many(5000, T{1});
  for (const std::size_t at : {0, 511, 512, 513, 4999}) {
    many[at] = bad;
    EXPECT_EQ(find_non_finite(std::span<const T>(many)), at);
    EXPECT_EQ(find_non_finite(std::span<const T>(many).subspan(at)), 0U);
    many[at] = T{1};
  }
}

TEST(FindNonFinite, FindsTheFirstNaNOrInfinity) {
  for_each_simd_target([](const std::string& target) {
    SCOPED_TRACE(target);
    for (const double bad :
         {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
          -std::numeric_limits<double>::infinity()}) {
      expect_found_anywhere<double>(bad);
      expect_found_anywhere<float>(static_cast<float>(bad));
    }
  });
}

// Every pattern of the narrow types: found exactly if it does not decode to a finite number.
TEST(FindNonFinite, KnowsEveryPatternOfTheNarrowTypes) {
  for_each_simd_target([](const std::string& target) {
    SCOPED_TRACE(target);
    for (const testing::NarrowFormat& format : testing::narrow_formats()) {
      const std::size_t width = dtype_block_bytes(format.dtype);
      for (std::uint32_t pattern = 0; pattern < format.patterns(); ++pattern) {
        std::vector<std::byte> bytes(3 * width);
        std::memcpy(bytes.data() + width, &pattern, width);
        const bool finite = std::isfinite(testing::narrow_value(format, pattern));
        ASSERT_EQ(find_non_finite(format.dtype, bytes), finite ? std::nullopt : std::optional(1UL))
            << format << " " << pattern;
      }
    }
  });
}

TEST(FindNonFinite, LooksAtScaleAndMinimumOfQuantisedBlocks) {
  for (const DType dtype : {DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::q8_0}) {
    SCOPED_TRACE(dtype_name(dtype));
    std::vector<float> values(96);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) - 40.5F;
    std::vector<std::byte> bytes(dtype_bytes(dtype, values.size()));
    encode(dtype, std::span<const float>(values), bytes);
    // Quants of all ones are ordinary numbers.
    std::memset(bytes.data() + 2 * dtype_block_bytes(dtype) - 4, 0xFF, 4);
    EXPECT_EQ(find_non_finite(dtype, bytes), std::nullopt);
    const std::uint16_t infinity = 0xFC00;
    std::memcpy(bytes.data() + 2 * dtype_block_bytes(dtype), &infinity, sizeof infinity);
    EXPECT_EQ(find_non_finite(dtype, bytes), 64U);
    if (dtype == DType::q4_1 || dtype == DType::q5_1) {
      std::memcpy(bytes.data() + dtype_block_bytes(dtype) + 2, &infinity, sizeof infinity);
      EXPECT_EQ(find_non_finite(dtype, bytes), 32U);
    }
  }
}

TEST(FindNonFinite, IntegersAreFinite) {
  const std::vector<std::byte> ones(64, std::byte{0xFF});
  for (const DType dtype : {DType::i8, DType::u16, DType::i32, DType::u64, DType::boolean}) {
    EXPECT_EQ(find_non_finite(dtype, ones), std::nullopt);
  }
}

}  // namespace
}  // namespace amalgam
