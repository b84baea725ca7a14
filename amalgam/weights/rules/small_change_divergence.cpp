#include "amalgam/weights/rules/small_change_divergence.hpp"

#include <algorithm>

#include "amalgam/weights/rules/task_vector_kernels.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/weights/rules/small_change_divergence.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "amalgam/weights/rules/exponential-inl.hpp"
#include "amalgam/weights/rules/vector_loops-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace amalgam::rules::HWY_NAMESPACE {
namespace {

constexpr double kSmallChange = 1.0 / 16;

// Whether all |x[i] - b[i]| are at most kSmallChange (none is NaN), and the range of b.
template <class T>
HWY_INLINE RowRange range_of(const T* HWY_RESTRICT x, const T* HWY_RESTRICT b, std::size_t count) {
  T low = b[0];
  T high = b[0];
  bool small = true;
  const auto range = [&](auto d, std::size_t i) HWY_ATTR {
    const auto most = hn::Set(d, static_cast<T>(kSmallChange));
    auto least = hn::Set(d, b[0]);
    auto largest = least;
    auto change = hn::Zero(d);
    auto all_small = hn::Eq(change, change);
    for (; i + hn::Lanes(d) <= count; i += hn::Lanes(d)) {
      const auto value = hn::LoadU(d, b + i);
      all_small = hn::And(all_small, hn::Le(hn::Abs(hn::Sub(hn::LoadU(d, x + i), value)), most));
      least = hn::Min(least, value);
      largest = hn::Max(largest, value);
    }
    low = std::min(low, hn::GetLane(hn::MinOfLanes(d, least)));
    high = std::max(high, hn::GetLane(hn::MaxOfLanes(d, largest)));
    small = small && hn::AllTrue(d, all_small);
    return i;
  };
  range(hn::CappedTag<T, 1>(), range(hn::ScalableTag<T>(), 0));
  return {static_cast<double>(low), static_cast<double>(high), small};
}
RowRange range_float(const float* x, const float* b, std::size_t count) {
  return range_of(x, b, count);
}
RowRange range_double(const double* x, const double* b, std::size_t count) {
  return range_of(x, b, count);
}

// weights[i] = e^(b[i] - centre), and their sum. `narrow`: |b[i] - centre| <= kNarrow.
template <class T>
HWY_INLINE void weights_of(const T* HWY_RESTRICT b, double centre, bool narrow, std::size_t count,
                           double* HWY_RESTRICT weights, double* HWY_RESTRICT lanes) {
  const auto each = [&](const auto& exponential_of) HWY_ATTR {
    sum_lanes(count, lanes, [&](auto d, std::size_t i) HWY_ATTR {
      const auto wide = widen(d, hn::LoadU(Narrow<T, decltype(d)>(), b + i));
      const auto value = exponential_of(d, hn::Sub(wide, hn::Set(d, centre)));
      hn::StoreU(value, d, weights + i);
      return value;
    });
  };
  if (narrow) {
    each([](auto d, auto r) HWY_ATTR { return polynomial(d, r, kInverseFactorials, 0, 11); });
  } else {
    each([](auto d, auto x) HWY_ATTR { return exponential(d, x); });
  }
}
void weights_float(const float* b, double centre, bool narrow, std::size_t count, double* weights,
                   double* lanes) {
  weights_of(b, centre, narrow, count, weights, lanes);
}
void weights_double(const double* b, double centre, bool narrow, std::size_t count, double* weights,
                    double* lanes) {
  weights_of(b, centre, narrow, count, weights, lanes);
}

// changes[i] = e^(x[i] - b[i]) - 1, and the sum of their products with `weights`.
template <class T>
HWY_INLINE void changes_of(const T* HWY_RESTRICT x, const T* HWY_RESTRICT b,
                           const double* HWY_RESTRICT weights, std::size_t count,
                           double* HWY_RESTRICT changes, double* HWY_RESTRICT lanes) {
  sum_lanes(count, lanes, [&](auto d, std::size_t i) HWY_ATTR {
    const Narrow<T, decltype(d)> narrow;
    const auto change =
        hn::Sub(widen(d, hn::LoadU(narrow, x + i)), widen(d, hn::LoadU(narrow, b + i)));
    const auto value = hn::Mul(change, polynomial(d, change, kInverseFactorials, 1, 9));
    hn::StoreU(value, d, changes + i);
    return hn::Mul(hn::LoadU(d, weights + i), value);
  });
}
void changes_float(const float* x, const float* b, const double* weights, std::size_t count,
                   double* changes, double* lanes) {
  changes_of(x, b, weights, count, changes, lanes);
}
void changes_double(const double* x, const double* b, const double* weights, std::size_t count,
                    double* changes, double* lanes) {
  changes_of(x, b, weights, count, changes, lanes);
}

void divergence(const double* HWY_RESTRICT weights, const double* HWY_RESTRICT changes,
                double base_sum, double change_sum, std::size_t count, double* HWY_RESTRICT lanes) {
  constexpr double kOddInverses[] = {1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11, 1.0 / 13};
  const double base_share = 1 / base_sum;
  const double member_share = 1 / (base_sum + change_sum);
  const double mean_change = change_sum / base_sum;
  sum_lanes(count, lanes, [&](auto d, std::size_t i) HWY_ATTR {
    const auto weight = hn::LoadU(d, weights + i);
    const auto q = hn::Add(hn::Mul(weight, hn::Set(d, base_share)), hn::Set(d, 1e-8));
    const auto change = hn::Sub(hn::LoadU(d, changes + i), hn::Set(d, mean_change));
    const auto difference = hn::Mul(hn::Mul(weight, hn::Set(d, member_share)), change);
    const auto p = hn::Add(q, difference);
    const auto s = hn::Div(difference, hn::Add(p, q));
    const auto z = hn::Mul(s, s);
    const auto series = polynomial(d, z, kOddInverses, 0, 5);
    const auto rest = hn::Mul(hn::Mul(hn::Add(p, p), hn::Mul(s, z)), series);
    return hn::Add(hn::Mul(difference, s), rest);
  });
}

}  // namespace
}  // namespace amalgam::rules::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amalgam::rules {
namespace {
HWY_EXPORT(range_float);
HWY_EXPORT(range_double);
HWY_EXPORT(weights_float);
HWY_EXPORT(weights_double);
HWY_EXPORT(changes_float);
HWY_EXPORT(changes_double);
HWY_EXPORT(divergence);

// What a kernel adds up in lanes.
template <class Kernel>
double sum_of(const Kernel& kernel) {
  LaneSums sums;
  kernel(sums.lanes.data());
  return sums.total();
}

RowRange range_of(std::span<const float> x, const float* b) {
  return HWY_DYNAMIC_DISPATCH(range_float)(x.data(), b, x.size());
}
RowRange range_of(std::span<const double> x, const double* b) {
  return HWY_DYNAMIC_DISPATCH(range_double)(x.data(), b, x.size());
}
double find_weights(std::span<const float> b, double centre, bool narrow, double* weights) {
  return sum_of([&](double* lanes) {
    HWY_DYNAMIC_DISPATCH(weights_float)(b.data(), centre, narrow, b.size(), weights, lanes);
  });
}
double find_weights(std::span<const double> b, double centre, bool narrow, double* weights) {
  return sum_of([&](double* lanes) {
    HWY_DYNAMIC_DISPATCH(weights_double)(b.data(), centre, narrow, b.size(), weights, lanes);
  });
}
double find_changes(std::span<const float> x, const float* b, const double* weights,
                    double* changes) {
  return sum_of([&](double* lanes) {
    HWY_DYNAMIC_DISPATCH(changes_float)(x.data(), b, weights, x.size(), changes, lanes);
  });
}
double find_changes(std::span<const double> x, const double* b, const double* weights,
                    double* changes) {
  return sum_of([&](double* lanes) {
    HWY_DYNAMIC_DISPATCH(changes_double)(x.data(), b, weights, x.size(), changes, lanes);
  });
}

template <class T>
std::optional<double> divergence_of(std::span<const T> x, const T* b, std::span<double> scratch) {
  constexpr double kNarrow = 0.5;
  const RowRange range = range_of(x, b);
  if (!range.small_changes) return std::nullopt;
  const bool narrow = range.high - range.low <= kNarrow;
  const double centre = narrow ? (range.low + range.high) / 2 : range.high;
  double* weights = scratch.data();
  double* changes = weights + x.size();
  const double sum = find_weights(std::span(b, x.size()), centre, narrow, weights);
  const double change = find_changes(x, b, weights, changes);
  return sum_of([&](double* lanes) {
    HWY_DYNAMIC_DISPATCH(divergence)(weights, changes, sum, change, x.size(), lanes);
  });
}
}  // namespace

std::optional<double> small_change_divergence(std::span<const float> x, const float* b,
                                              std::span<double> scratch) {
  return divergence_of(x, b, scratch);
}
std::optional<double> small_change_divergence(std::span<const double> x, const double* b,
                                              std::span<double> scratch) {
  return divergence_of(x, b, scratch);
}

}  // namespace amalgam::rules
#endif  // HWY_ONCE
