#include "amalgam/weights/rules/softmax_divergence.hpp"

#include <algorithm>

#include "amalgam/weights/rules/small_change_divergence.hpp"
#include "amalgam/weights/rules/task_vector_kernels.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/weights/rules/softmax_divergence.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "amalgam/weights/rules/exponential-inl.hpp"
#include "amalgam/weights/rules/vector_loops-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace amalgam::rules::HWY_NAMESPACE {
namespace {

// ln v for normal v > 0: v = 2^e m with sqrt(1/2) <= m < sqrt(2), and ln m = 2 artanh s with
// s = (m - 1) / (m + 1), its series to the 23rd power.
template <class D>
HWY_INLINE hn::Vec<D> logarithm(D d, hn::Vec<D> v) {
  const hn::RebindToUnsigned<D> bits;
  const auto root = hn::Set(bits, 0x3fe6a09e667f3bcdULL);
  const auto shifted =
      hn::Add(hn::BitCast(bits, v), hn::Sub(hn::Set(bits, 0x3ff0000000000000ULL), root));
  const auto mantissa = hn::And(shifted, hn::Set(bits, 0x000fffffffffffffULL));
  const auto m = hn::BitCast(d, hn::Add(mantissa, root));
  // The biased exponent as a double, by placing it into the low bits of 2^52.
  const auto biased = hn::Or(hn::ShiftRight<52>(shifted), hn::Set(bits, 0x4330000000000000ULL));
  const auto e = hn::Sub(hn::BitCast(d, biased), hn::Set(d, 0x1.0p52 + 1023));
  const auto one = hn::Set(d, 1.0);
  const auto s = hn::Div(hn::Sub(m, one), hn::Add(m, one));
  const auto z = hn::Mul(s, s);
  auto series = hn::Set(d, 1.0 / 23);
  for (int k = 21; k >= 3; k -= 2) {
    series = hn::Add(hn::Mul(series, z), hn::Set(d, 1.0 / k));
  }
  const auto twice = hn::Add(s, s);
  const auto log_m = hn::Add(twice, hn::Mul(hn::Mul(twice, z), series));
  const auto rest = hn::Add(hn::Mul(e, hn::Set(d, kLn2Low)), log_m);
  return hn::Add(hn::Mul(e, hn::Set(d, kLn2High)), rest);
}

// As a loop over x that keeps what is greater: NaN stays where it comes first, and else is passed
// over.
template <class T>
HWY_INLINE T largest_of(const T* HWY_RESTRICT x, std::size_t count) {
  const hn::ScalableTag<T> d;
  auto most = hn::Set(d, x[0]);
  std::size_t i = 0;
  for (; i + hn::Lanes(d) <= count; i += hn::Lanes(d)) {
    const auto value = hn::LoadU(d, x + i);
    most = hn::IfThenElse(hn::Gt(value, most), value, most);
  }
  HWY_ALIGN T lanes[hn::MaxLanes(d)];
  hn::Store(most, d, lanes);
  T largest = lanes[0];
  for (std::size_t lane = 1; lane < hn::Lanes(d); ++lane) largest = std::max(largest, lanes[lane]);
  for (; i < count; ++i) largest = std::max(largest, x[i]);
  return largest;
}

// exponentials[i] = e^(x[i] - max x), and their sum.
template <class T>
HWY_INLINE void exponentials_of(const T* HWY_RESTRICT x, std::size_t count,
                                double* HWY_RESTRICT exponentials, double* HWY_RESTRICT lanes) {
  const auto largest = static_cast<double>(largest_of(x, count));
  sum_lanes(count, lanes, [&](auto d, std::size_t i) HWY_ATTR {
    const auto wide = widen(d, hn::LoadU(Narrow<T, decltype(d)>(), x + i));
    const auto value = exponential(d, hn::Sub(wide, hn::Set(d, largest)));
    hn::StoreU(value, d, exponentials + i);
    return value;
  });
}
void exponentials_float(const float* x, std::size_t count, double* exponentials, double* lanes) {
  exponentials_of(x, count, exponentials, lanes);
}
void exponentials_double(const double* x, std::size_t count, double* exponentials, double* lanes) {
  exponentials_of(x, count, exponentials, lanes);
}

void divergence(const double* HWY_RESTRICT p_weights, double p_sum,
                const double* HWY_RESTRICT q_weights, double q_sum, std::size_t count,
                double* HWY_RESTRICT lanes) {
  sum_lanes(count, lanes, [&](auto d, std::size_t i) HWY_ATTR {
    const auto epsilon = hn::Set(d, 1e-8);
    const auto p = hn::Add(hn::Div(hn::LoadU(d, p_weights + i), hn::Set(d, p_sum)), epsilon);
    const auto q = hn::Add(hn::Div(hn::LoadU(d, q_weights + i), hn::Set(d, q_sum)), epsilon);
    return hn::Mul(p, logarithm(d, hn::Div(p, q)));
  });
}

}  // namespace
}  // namespace amalgam::rules::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amalgam::rules {
namespace {
HWY_EXPORT(exponentials_float);
HWY_EXPORT(exponentials_double);
HWY_EXPORT(divergence);

// The softmax's numerators into `out`; returns their sum.
double softmax_weights(std::span<const float> x, double* out) {
  LaneSums sums;
  HWY_DYNAMIC_DISPATCH(exponentials_float)(x.data(), x.size(), out, sums.lanes.data());
  return sums.total();
}
double softmax_weights(std::span<const double> x, double* out) {
  LaneSums sums;
  HWY_DYNAMIC_DISPATCH(exponentials_double)(x.data(), x.size(), out, sums.lanes.data());
  return sums.total();
}

template <class T>
double divergence_of(std::span<const T> x, const T* b, std::vector<double>& scratch) {
  const std::size_t count = x.size();
  scratch.resize(std::max(scratch.size(), 2 * count));
  if (const auto small = small_change_divergence(x, b, scratch)) return *small;
  double* p = scratch.data();
  double* q = p + count;
  const double p_sum = softmax_weights(x, p);
  const double q_sum = softmax_weights(std::span(b, count), q);
  LaneSums sums;
  HWY_DYNAMIC_DISPATCH(divergence)(p, p_sum, q, q_sum, count, sums.lanes.data());
  return std::max(0.0, sums.total());
}
}  // namespace

double softmax_divergence(std::span<const float> x, const float* b, std::vector<double>& scratch) {
  return divergence_of(x, b, scratch);
}
double softmax_divergence(std::span<const double> x, const double* b,
                          std::vector<double>& scratch) {
  return divergence_of(x, b, scratch);
}

}  // namespace amalgam::rules
#endif  // HWY_ONCE
