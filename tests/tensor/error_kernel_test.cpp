#include "amalgam/tensor/error_kernel.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/tensor/kernels.hpp"
#include "amalgam/tensor/simd_targets.hpp"

namespace amalgam {
namespace {

template <class T>
std::vector<T> varied(std::size_t count, std::uint64_t seed) {
  RandomStream random(seed, "error_kernel");
  std::vector<T> values(count);
  for (T& value : values) {
    value = static_cast<T>(std::ldexp(random.normal(), static_cast<int>(random.below(30)) - 15));
  }
  return values;
}

// The same by the separate kernels.
template <class T>
kernels::ErrorSums separate(const std::vector<T>& values, const std::vector<T>& stored) {
  std::vector<T> difference(values.size());
  kernels::subtract(std::span<const T>(stored), std::span<const T>(values), std::span(difference));
  return {kernels::dot(std::span<const T>(values), std::span<const T>(values)),
          kernels::dot(std::span<const T>(difference), std::span<const T>(difference))};
}

template <class T>
void expect_same_bits() {
  for (const std::size_t count : {0, 1, 15, 16, 17, 1000}) {
    const std::vector<T> values = varied<T>(count, 1);
    const std::vector<T> stored = varied<T>(count, 2);
    const kernels::ErrorSums expected = separate(values, stored);
    for_each_simd_target([&](const std::string& target) {
      const kernels::ErrorSums sums =
          kernels::error_sums(std::span<const T>(values), std::span<const T>(stored));
      EXPECT_EQ(sums.squares, expected.squares) << target << ' ' << count;
      EXPECT_EQ(sums.squared_error, expected.squared_error) << target << ' ' << count;
    });
  }
}

TEST(ErrorSums, AreThoseOfSeparatePassesOnEveryTarget) {
  expect_same_bits<float>();
  expect_same_bits<double>();
}

TEST(ErrorSums, AreOfEquallyManyValues) {
  const std::vector<float> values = {1, 2};
  EXPECT_THROW(
      kernels::error_sums(std::span<const float>(values), std::span<const float>(values).first(1)),
      Error);
}

}  // namespace
}  // namespace amalgam
