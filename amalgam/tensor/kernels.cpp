#include "amalgam/tensor/kernels.hpp"

#include <array>
#include <cmath>

#include "amalgam/core/error.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/tensor/kernels.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace amalgam::kernels::HWY_NAMESPACE {

template <class T>
void scale_loop(double weight, const T* x, double* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) out[i] = weight * static_cast<double>(x[i]);
}

template <class T>
void accumulate_loop(double weight, const T* x, double* sum, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) sum[i] += weight * static_cast<double>(x[i]);
}

template <class T>
void subtract_loop(const T* x, const T* base, T* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) out[i] = x[i] - base[i];
}

// The sum of term(0) ... term(count - 1) in 16 lanes. The lanes stay in registers only while every
// index into them is a constant, so the last elements go to a copy.
constexpr std::size_t kLanes = 16;

template <class Term>
double lane_sum(std::size_t count, Term term) {
  std::array<double, kLanes> lanes{};
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += term(i + lane);
  }
  std::array<double, kLanes> total = lanes;
  for (std::size_t lane = 0; i + lane < count; ++lane) total[lane] += term(i + lane);
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) total[lane] += total[lane + half];
  }
  return total[0];
}

template <class T>
double dot_loop(const T* a, const T* b, std::size_t count) {
  return lane_sum(count, [a, b](std::size_t i) HWY_ATTR {
    return static_cast<double>(a[i]) * static_cast<double>(b[i]);
  });
}

template <class T>
double sum_loop(const T* x, std::size_t count) {
  return lane_sum(count, [x](std::size_t i) HWY_ATTR { return static_cast<double>(x[i]); });
}

template <class T>
double sum_abs_loop(const T* x, std::size_t count) {
  return lane_sum(count,
                  [x](std::size_t i) HWY_ATTR { return static_cast<double>(std::abs(x[i])); });
}

void scale_f32(double w, const float* x, double* out, std::size_t n) { scale_loop(w, x, out, n); }
void scale_f64(double w, const double* x, double* out, std::size_t n) { scale_loop(w, x, out, n); }
void accumulate_f32(double w, const float* x, double* sum, std::size_t n) {
  accumulate_loop(w, x, sum, n);
}
void accumulate_f64(double w, const double* x, double* sum, std::size_t n) {
  accumulate_loop(w, x, sum, n);
}
void subtract_f32(const float* x, const float* base, float* out, std::size_t n) {
  subtract_loop(x, base, out, n);
}
void subtract_f64(const double* x, const double* base, double* out, std::size_t n) {
  subtract_loop(x, base, out, n);
}
double dot_f32(const float* a, const float* b, std::size_t n) { return dot_loop(a, b, n); }
double dot_f64(const double* a, const double* b, std::size_t n) { return dot_loop(a, b, n); }
double sum_f32(const float* x, std::size_t n) { return sum_loop(x, n); }
double sum_f64(const double* x, std::size_t n) { return sum_loop(x, n); }
double sum_abs_f32(const float* x, std::size_t n) { return sum_abs_loop(x, n); }
double sum_abs_f64(const double* x, std::size_t n) { return sum_abs_loop(x, n); }

}  // namespace amalgam::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amalgam::kernels {
namespace {

HWY_EXPORT(scale_f32);
HWY_EXPORT(scale_f64);
HWY_EXPORT(accumulate_f32);
HWY_EXPORT(accumulate_f64);
HWY_EXPORT(subtract_f32);
HWY_EXPORT(subtract_f64);
HWY_EXPORT(dot_f32);
HWY_EXPORT(dot_f64);
HWY_EXPORT(sum_f32);
HWY_EXPORT(sum_f64);
HWY_EXPORT(sum_abs_f32);
HWY_EXPORT(sum_abs_f64);

void require_equal(const char* kernel, std::size_t a, std::size_t b) {
  if (a != b) throw Error("{}: spans of {} and {} elements", kernel, a, b);
}

}  // namespace

void scale(double weight, std::span<const float> x, std::span<double> out) {
  require_equal("scale", x.size(), out.size());
  HWY_DYNAMIC_DISPATCH(scale_f32)(weight, x.data(), out.data(), x.size());
}
void scale(double weight, std::span<const double> x, std::span<double> out) {
  require_equal("scale", x.size(), out.size());
  HWY_DYNAMIC_DISPATCH(scale_f64)(weight, x.data(), out.data(), x.size());
}

void accumulate(double weight, std::span<const float> x, std::span<double> sum) {
  require_equal("accumulate", x.size(), sum.size());
  HWY_DYNAMIC_DISPATCH(accumulate_f32)(weight, x.data(), sum.data(), x.size());
}
void accumulate(double weight, std::span<const double> x, std::span<double> sum) {
  require_equal("accumulate", x.size(), sum.size());
  HWY_DYNAMIC_DISPATCH(accumulate_f64)(weight, x.data(), sum.data(), x.size());
}

void subtract(std::span<const float> x, std::span<const float> base, std::span<float> out) {
  require_equal("subtract", x.size(), base.size());
  require_equal("subtract", x.size(), out.size());
  HWY_DYNAMIC_DISPATCH(subtract_f32)(x.data(), base.data(), out.data(), x.size());
}
void subtract(std::span<const double> x, std::span<const double> base, std::span<double> out) {
  require_equal("subtract", x.size(), base.size());
  require_equal("subtract", x.size(), out.size());
  HWY_DYNAMIC_DISPATCH(subtract_f64)(x.data(), base.data(), out.data(), x.size());
}

double dot(std::span<const float> a, std::span<const float> b) {
  require_equal("dot", a.size(), b.size());
  return HWY_DYNAMIC_DISPATCH(dot_f32)(a.data(), b.data(), a.size());
}
double dot(std::span<const double> a, std::span<const double> b) {
  require_equal("dot", a.size(), b.size());
  return HWY_DYNAMIC_DISPATCH(dot_f64)(a.data(), b.data(), a.size());
}
double sum(std::span<const float> x) { return HWY_DYNAMIC_DISPATCH(sum_f32)(x.data(), x.size()); }
double sum(std::span<const double> x) { return HWY_DYNAMIC_DISPATCH(sum_f64)(x.data(), x.size()); }
double sum_abs(std::span<const float> x) {
  return HWY_DYNAMIC_DISPATCH(sum_abs_f32)(x.data(), x.size());
}
double sum_abs(std::span<const double> x) {
  return HWY_DYNAMIC_DISPATCH(sum_abs_f64)(x.data(), x.size());
}

}  // namespace amalgam::kernels
#endif  // HWY_ONCE
