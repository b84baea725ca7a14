// Loops over vectors of doubles, for kernels that Highway compiles once per SIMD target: included
// after <hwy/highway.h> by files that include themselves through foreach_target.h.

#if defined(AMALGAM_VECTOR_LOOPS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef AMALGAM_VECTOR_LOOPS_INL_HPP
#undef AMALGAM_VECTOR_LOOPS_INL_HPP
#else
#define AMALGAM_VECTOR_LOOPS_INL_HPP
#endif

#include <hwy/highway.h>

#include <cstddef>

HWY_BEFORE_NAMESPACE();
namespace amalgam::rules::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Calls range(d, first, count), which works in steps of Lanes(d) from `first` as far as whole
/// steps go and returns where it stopped: with the widest vectors, then for the rest one by one.
template <class Range>
HWY_INLINE void whole_and_rest(std::size_t count, const Range& range) {
  const std::size_t done = range(hn::ScalableTag<double>(), std::size_t{0}, count);
  range(hn::CappedTag<double, 1>(), done, count);
}

/// The vector of as many T as D has doubles.
template <class T, class D>
using Narrow = hn::Rebind<T, D>;

/// Widens a vector of floats; leaves one of doubles as it is.
template <class D>
HWY_INLINE hn::Vec<D> widen(D /*d*/, hn::Vec<D> value) {
  return value;
}
template <class D>
HWY_INLINE hn::Vec<D> widen(D d, hn::Vec<Narrow<float, D>> value) {
  return hn::PromoteTo(d, value);
}

/// Adds term(d, i), the terms of elements i, i + 1, ..., to 16 lane sums: element i to lane i mod
/// 16, whatever the width of vectors.
template <class Term>
HWY_INLINE void sum_lanes(std::size_t count, double* HWY_RESTRICT lanes, const Term& term) {
  const hn::CappedTag<double, 8> d;
  const std::size_t step = hn::Lanes(d);
  const std::size_t groups = count / 16;
  for (std::size_t lane = 0; lane < 16; lane += 2 * step) {
    // Two sums at a time, so that one addition need not wait for the other.
    auto low = hn::LoadU(d, lanes + lane);
    auto high = hn::LoadU(d, lanes + lane + step);
    for (std::size_t g = 0; g < groups; ++g) {
      low = hn::Add(low, term(d, 16 * g + lane));
      high = hn::Add(high, term(d, 16 * g + lane + step));
    }
    hn::StoreU(low, d, lanes + lane);
    hn::StoreU(high, d, lanes + lane + step);
  }
  const hn::CappedTag<double, 1> one;
  for (std::size_t i = 16 * groups; i < count; ++i) {
    lanes[i % 16] += hn::GetLane(term(one, i));
  }
}

}  // namespace amalgam::rules::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
