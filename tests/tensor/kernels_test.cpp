#include "amalgam/tensor/kernels.hpp"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/tensor/simd_targets.hpp"

namespace amalgam {
namespace {

// Values of very different size, so that any other order of additions gives other bits.
template <class T>
std::vector<T> varied(std::size_t count, std::uint64_t seed) {
  RandomStream stream(seed, "kernels");
  std::vector<T> values(count);
  for (T& value : values) {
    value = static_cast<T>(std::ldexp(stream.normal(), static_cast<int>(stream.below(40)) - 20));
  }
  return values;
}

// The order of additions that kernels.hpp documents, written out.
double sixteen_lanes(std::size_t count, const std::function<double(std::size_t)>& term) {
  std::array<double, 16> l{};
  for (std::size_t i = 0; i < count; ++i) l.at(i % 16) += term(i);
  for (std::size_t j = 0; j < 8; ++j) l.at(j) += l.at(j + 8);
  for (std::size_t j = 0; j < 4; ++j) l.at(j) += l.at(j + 4);
  for (std::size_t j = 0; j < 2; ++j) l.at(j) += l.at(j + 2);
  return l[0] + l[1];
}

std::uint64_t bits(double value) { return std::bit_cast<std::uint64_t>(value); }

std::vector<std::size_t> sizes() {
  std::vector<std::size_t> all;
  for (std::size_t size = 0; size <= 67; ++size) all.push_back(size);
  all.insert(all.end(), {255, 1000, 8191, 8192});
  return all;
}

template <class T>
class Kernels : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Kernels, Types);

TYPED_TEST(Kernels, ElementwiseOnesAreTheirFormula) {
  using T = TypeParam;
  constexpr double kWeight = 0.3;
  for_each_simd_target([&](const std::string& target) {
    SCOPED_TRACE(target);
    for (const std::size_t count : sizes()) {
      // One element more, so that the spans begin unaligned.
      const std::vector<T> x = varied<T>(count + 1, 1);
      const std::vector<T> base = varied<T>(count + 1, 2);
      const std::vector<double> start = varied<double>(count + 1, 3);
      const auto x_span = std::span(x).subspan(1);
      const auto base_span = std::span(base).subspan(1);

      std::vector<double> scaled = start;
      kernels::scale(kWeight, x_span, std::span(scaled).subspan(1));
      std::vector<double> sum = start;
      kernels::accumulate(kWeight, x_span, std::span(sum).subspan(1));
      std::vector<T> difference(count + 1, T{5});
      kernels::subtract(x_span, base_span, std::span(difference).subspan(1));

      ASSERT_EQ(scaled[0], start[0]);
      ASSERT_EQ(sum[0], start[0]);
      ASSERT_EQ(difference[0], T{5});
      for (std::size_t i = 1; i <= count; ++i) {
        // volatile: the reference must not be fused or kept wider either.
        const volatile double product = kWeight * static_cast<double>(x[i]);
        const volatile double total = start[i] + product;
        const volatile T expected = x[i] - base[i];
        ASSERT_EQ(bits(scaled[i]), bits(product)) << count << " " << i;
        ASSERT_EQ(bits(sum[i]), bits(total)) << count << " " << i;
        ASSERT_EQ(difference[i], expected) << count << " " << i;
      }
    }
  });
}

TYPED_TEST(Kernels, ReductionsAddInSixteenLanes) {
  using T = TypeParam;
  for_each_simd_target([&](const std::string& target) {
    SCOPED_TRACE(target);
    for (const std::size_t count : sizes()) {
      const std::vector<T> a = varied<T>(count + 1, 4);
      const std::vector<T> b = varied<T>(count + 1, 5);
      const auto a_span = std::span(a).subspan(1);
      const auto b_span = std::span(b).subspan(1);
      const auto wide = [](T value) { return static_cast<double>(value); };
      ASSERT_EQ(bits(kernels::dot(a_span, b_span)),
                bits(sixteen_lanes(count,
                                   [&](std::size_t i) {
                                     const volatile double product =
                                         wide(a_span[i]) * wide(b_span[i]);
                                     return product;
                                   })))
          << count;
      ASSERT_EQ(bits(kernels::sum(a_span)),
                bits(sixteen_lanes(count, [&](std::size_t i) { return wide(a_span[i]); })))
          << count;
      ASSERT_EQ(
          bits(kernels::sum_abs(a_span)),
          bits(sixteen_lanes(count, [&](std::size_t i) { return std::abs(wide(a_span[i])); })))
          << count;
    }
  });
}

TYPED_TEST(Kernels, NaNAndInfinityComeThrough) {
  using T = TypeParam;
  std::vector<T> x(40, T{1});
  x[37] = std::numeric_limits<T>::quiet_NaN();
  EXPECT_TRUE(std::isnan(kernels::sum(std::span<const T>(x))));
  EXPECT_TRUE(std::isnan(kernels::dot(std::span<const T>(x), std::span<const T>(x))));
  x[37] = -std::numeric_limits<T>::infinity();
  EXPECT_EQ(kernels::sum_abs(std::span<const T>(x)), std::numeric_limits<double>::infinity());
  std::vector<double> out(40, 2.0);
  kernels::accumulate(0.5, std::span<const T>(x), out);
  EXPECT_EQ(out[37], -std::numeric_limits<double>::infinity());
  EXPECT_EQ(out[36], 2.5);
}

TYPED_TEST(Kernels, RefuseSpansOfDifferentLength) {
  using T = TypeParam;
  const std::vector<T> three(3);
  const std::vector<T> four(4);
  std::vector<T> out(3);
  std::vector<double> wide(4);
  const std::span<const T> x(three);
  EXPECT_THROW(kernels::scale(1, x, wide), Error);
  EXPECT_THROW(kernels::accumulate(1, x, wide), Error);
  EXPECT_THROW(kernels::subtract(x, std::span<const T>(four), std::span<T>(out)), Error);
  EXPECT_THROW(kernels::dot(x, std::span<const T>(four)), Error);
}

TEST(Kernels, FloatDifferenceIsOneFloatSubtraction) {
  // 1 - 2^-25 is exact in double, and a tie in float that goes to the even 1.
  const std::vector<float> x = {1.0F};
  const std::vector<float> base = {0x1p-25F};
  std::vector<float> out(1);
  kernels::subtract(x, base, out);
  EXPECT_EQ(out[0], 1.0F);
}

TEST(Kernels, ScaleMayWorkInPlace) {
  std::vector<double> values(37, 4.0);
  kernels::scale(0.25, std::span<const double>(values), values);
  EXPECT_EQ(values, std::vector<double>(37, 1.0));
}

// (1 + 2^-30) (1 - 2^-30) = 1 - 2^-60 rounds to 1; fused with the addition of -1 it would leave
// -2^-60.
TEST(Kernels, NothingIsFused) {
  for_each_simd_target([](const std::string& target) {
    SCOPED_TRACE(target);
    const std::vector<double> x(33, 1 + 0x1p-30);
    const std::vector<double> y(33, 1 - 0x1p-30);
    std::vector<double> sum(33, -1.0);
    kernels::accumulate(1 - 0x1p-30, x, sum);
    EXPECT_EQ(sum, std::vector<double>(33, 0.0));
    EXPECT_EQ(kernels::dot(x, y), 33.0);
  });
}

TEST(SimdTargets, EachIsUsedInTurnAndTheBestAgainAfterwards) {
  const std::string usual = simd_target();
  const std::vector<std::string> targets = simd_targets();
  ASSERT_FALSE(targets.empty());
  EXPECT_EQ(usual, targets.front());
  std::vector<std::string> visited;
  for_each_simd_target([&](const std::string& name) {
    EXPECT_EQ(simd_target(), name);
    visited.push_back(name);
  });
  EXPECT_EQ(visited, targets);
  EXPECT_EQ(simd_target(), usual);
  EXPECT_EQ(simd_targets(), targets);
}

}  // namespace
}  // namespace amalgam
