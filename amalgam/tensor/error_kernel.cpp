#include "amalgam/tensor/error_kernel.hpp"

#include <array>
#include <cstddef>

#include "amalgam/core/error.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/tensor/error_kernel.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace amalgam::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Term i goes to sum i mod 16, whatever the width of vectors.
constexpr std::size_t kLanes = 16;
using Lanes = std::array<double, kLanes>;
using Tag = hn::CappedTag<double, 8>;
using FloatTag = hn::Rebind<float, Tag>;
constexpr std::size_t kWidth = hn::MaxLanes(Tag());
constexpr std::size_t kVectors = kLanes / kWidth;

HWY_INLINE double total_of(Lanes& lanes) {
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

HWY_INLINE hn::Vec<Tag> widened(const float* x) {
  return hn::PromoteTo(Tag(), hn::LoadU(FloatTag(), x));
}
HWY_INLINE hn::Vec<Tag> widened(const double* x) { return hn::LoadU(Tag(), x); }

// Differences are made in the type of the values.
HWY_INLINE hn::Vec<Tag> errors_of(const float* values, const float* stored) {
  const FloatTag floats;
  return hn::PromoteTo(Tag(), hn::Sub(hn::LoadU(floats, stored), hn::LoadU(floats, values)));
}
HWY_INLINE hn::Vec<Tag> errors_of(const double* values, const double* stored) {
  return hn::Sub(widened(stored), widened(values));
}

template <class T>
ErrorSums error_sums_loop(const T* values, const T* stored, std::size_t count) {
  const Tag d;
  hn::Vec<Tag> square_sums[kVectors];
  hn::Vec<Tag> error_sums[kVectors];
  for (std::size_t v = 0; v < kVectors; ++v) square_sums[v] = error_sums[v] = hn::Zero(d);
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::size_t v = 0; v < kVectors; ++v) {
      const std::size_t at = i + v * kWidth;
      const hn::Vec<Tag> value = widened(values + at);
      const hn::Vec<Tag> error = errors_of(values + at, stored + at);
      square_sums[v] = hn::Add(square_sums[v], hn::Mul(value, value));
      error_sums[v] = hn::Add(error_sums[v], hn::Mul(error, error));
    }
  }
  Lanes squares{};
  Lanes errors{};
  for (std::size_t v = 0; v < kVectors; ++v) {
    hn::StoreU(square_sums[v], d, squares.data() + v * kWidth);
    hn::StoreU(error_sums[v], d, errors.data() + v * kWidth);
  }
  for (std::size_t lane = 0; i + lane < count; ++lane) {
    const auto value = static_cast<double>(values[i + lane]);
    const auto error = static_cast<double>(stored[i + lane] - values[i + lane]);
    squares[lane] += value * value;
    errors[lane] += error * error;
  }
  return {total_of(squares), total_of(errors)};
}

ErrorSums error_sums_f32(const float* values, const float* stored, std::size_t count) {
  return error_sums_loop(values, stored, count);
}
ErrorSums error_sums_f64(const double* values, const double* stored, std::size_t count) {
  return error_sums_loop(values, stored, count);
}

}  // namespace amalgam::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amalgam::kernels {
namespace {

HWY_EXPORT(error_sums_f32);
HWY_EXPORT(error_sums_f64);

void require_equal(std::size_t a, std::size_t b) {
  if (a != b) throw Error("error_sums: {} values, but {} stored", a, b);
}

}  // namespace

ErrorSums error_sums(std::span<const float> values, std::span<const float> stored) {
  require_equal(values.size(), stored.size());
  return HWY_DYNAMIC_DISPATCH(error_sums_f32)(values.data(), stored.data(), values.size());
}
ErrorSums error_sums(std::span<const double> values, std::span<const double> stored) {
  require_equal(values.size(), stored.size());
  return HWY_DYNAMIC_DISPATCH(error_sums_f64)(values.data(), stored.data(), values.size());
}

}  // namespace amalgam::kernels
#endif
