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

constexpr std::size_t kLanes = 16;
using Lanes = std::array<double, kLanes>;

HWY_INLINE double total_of(Lanes& lanes) {
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

template <class T, class U>
HWY_INLINE void add_term(const T* values, const U* stored, std::size_t i, double& squares,
                         double& errors) {
  const auto value = static_cast<double>(values[i]);
  const auto error = static_cast<double>(stored[i] - values[i]);
  squares += value * value;
  errors += error * error;
}

template <class T, class U>
ErrorSums error_sums_loop(const T* values, const U* stored, std::size_t count) {
  Lanes squares{};
  Lanes errors{};
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      add_term(values, stored, i + lane, squares[lane], errors[lane]);
    }
  }
  for (std::size_t lane = 0; i + lane < count; ++lane) {
    add_term(values, stored, i + lane, squares[lane], errors[lane]);
  }
  return {total_of(squares), total_of(errors)};
}

ErrorSums error_sums_f32(const float* values, const float* stored, std::size_t count) {
  return error_sums_loop(values, stored, count);
}
ErrorSums error_sums_f64(const double* values, const double* stored, std::size_t count) {
  return error_sums_loop(values, stored, count);
}
ErrorSums error_sums_mixed(const double* values, const float* stored, std::size_t count) {
  return error_sums_loop(values, stored, count);
}

}  // namespace amalgam::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amalgam::kernels {
namespace {

HWY_EXPORT(error_sums_f32);
HWY_EXPORT(error_sums_f64);
HWY_EXPORT(error_sums_mixed);

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
ErrorSums error_sums(std::span<const double> values, std::span<const float> stored) {
  require_equal(values.size(), stored.size());
  return HWY_DYNAMIC_DISPATCH(error_sums_mixed)(values.data(), stored.data(), values.size());
}

}  // namespace amalgam::kernels
#endif
