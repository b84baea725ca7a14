#include "amalgam/learning/max_pool_kernels.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/learning/max_pool_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace amalgam::learning::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Rows are short, so vectors are, on every target.
template <class T>
using Values = hn::Full128<T>;
template <class T>
using Places = hn::RebindToSigned<Values<T>>;
template <class T>
using Place = hwy::MakeSigned<T>;

// The largest of each four values, the first of equal ones, and which it is. NaN is larger than
// all.
template <class T>
HWY_INLINE void pool_window(const T* top, const T* bottom, T* out, Place<T>* which) {
  const T values[] = {top[0], top[1], bottom[0], bottom[1]};
  *which = 0;
  for (Place<T> place = 1; place < 4; ++place) {
    const T value = values[place];
    if (value > values[*which] || value != value) *which = place;
  }
  *out = values[*which];
}

// The same of as many windows as there are lanes.
template <class T>
HWY_INLINE void pool_windows(const T* top, const T* bottom, T* out, Place<T>* which) {
  const Values<T> values;
  const Places<T> places;
  hn::Vec<Values<T>> best;
  hn::Vec<Values<T>> others[3];
  hn::LoadInterleaved2(values, top, best, others[0]);
  hn::LoadInterleaved2(values, bottom, others[1], others[2]);
  hn::Vec<Places<T>> place = hn::Zero(places);
  for (int i = 0; i < 3; ++i) {
    const auto better = hn::Or(hn::Gt(others[i], best), hn::IsNaN(others[i]));
    best = hn::IfThenElse(better, others[i], best);
    place = hn::IfThenElse(hn::RebindMask(places, better),
                           hn::Set(places, static_cast<Place<T>>(i + 1)), place);
  }
  hn::StoreU(best, values, out);
  hn::StoreU(place, places, which);
}

// Gives a window's gradient to the value that was the largest, 0 to the others.
template <class T>
HWY_INLINE void spread_window(const T* gradient, const Place<T>* which, T* top, T* bottom) {
  top[0] = *which == 0 ? *gradient : T(0);
  top[1] = *which == 1 ? *gradient : T(0);
  bottom[0] = *which == 2 ? *gradient : T(0);
  bottom[1] = *which == 3 ? *gradient : T(0);
}

template <class T>
HWY_INLINE void spread_windows(const T* gradient, const Place<T>* which, T* top, T* bottom) {
  const Values<T> values;
  const Places<T> places;
  const auto all = hn::LoadU(values, gradient);
  const auto place = hn::LoadU(places, which);
  const auto part = [&](Place<T> of) {
    return hn::IfThenElseZero(hn::RebindMask(values, hn::Eq(place, hn::Set(places, of))), all);
  };
  hn::StoreInterleaved2(part(0), part(1), values, top);
  hn::StoreInterleaved2(part(2), part(3), values, bottom);
}

// Calls several(i) for the windows from i on, `lanes` at a time, or one(i) where a row has fewer.
// The last ones of a row may come twice, to the same effect.
template <class One, class Several>
HWY_INLINE void over_windows(std::int64_t windows, std::int64_t lanes, const One& one,
                             const Several& several) {
  if (windows < lanes) {
    for (std::int64_t i = 0; i < windows; ++i) one(i);
    return;
  }
  for (std::int64_t i = 0; i + lanes <= windows; i += lanes) several(i);
  if (windows % lanes != 0) several(windows - lanes);
}

template <class T>
HWY_INLINE void pool_row(const T* top, const T* bottom, std::int64_t windows, T* out,
                         Place<T>* which) {
  over_windows(
      windows, static_cast<std::int64_t>(hn::Lanes(Values<T>())),
      [&](std::int64_t i) { pool_window(top + 2 * i, bottom + 2 * i, out + i, which + i); },
      [&](std::int64_t i) { pool_windows(top + 2 * i, bottom + 2 * i, out + i, which + i); });
}

template <class T>
HWY_INLINE void spread_row(const T* gradient, const Place<T>* which, std::int64_t windows, T* top,
                           T* bottom) {
  over_windows(
      windows, static_cast<std::int64_t>(hn::Lanes(Values<T>())),
      [&](std::int64_t i) { spread_window(gradient + i, which + i, top + 2 * i, bottom + 2 * i); },
      [&](std::int64_t i) {
        spread_windows(gradient + i, which + i, top + 2 * i, bottom + 2 * i);
      });
}

// Calls row(values before, values after) for every row of windows.
template <class Row>
HWY_INLINE void for_each_row(const PooledPlanes& planes, std::int64_t count, const Row& row) {
  for (std::int64_t plane = 0; plane < count; ++plane) {
    for (std::int64_t r = 0; r < planes.pooled_rows(); ++r) {
      row(plane * planes.size() + 2 * r * planes.columns,
          plane * planes.pooled_size() + r * planes.pooled_columns());
    }
  }
}

template <class T>
HWY_INLINE void pool_all(const PooledPlanes& planes, std::int64_t count, const T* from, T* to,
                         Place<T>* places) {
  for_each_row(planes, count, [&](std::int64_t before, std::int64_t after) {
    pool_row(from + before, from + before + planes.columns, planes.pooled_columns(), to + after,
             places + after);
  });
}

template <class T>
HWY_INLINE void spread_all(const PooledPlanes& planes, std::int64_t count, const T* gradient,
                           const Place<T>* places, T* to) {
  for_each_row(planes, count, [&](std::int64_t before, std::int64_t after) {
    spread_row(gradient + after, places + after, planes.pooled_columns(), to + before,
               to + before + planes.columns);
  });
}

void pool_float(const PooledPlanes& planes, std::int64_t count, const float* from, float* to,
                std::int32_t* places) {
  pool_all(planes, count, from, to, places);
}
void pool_double(const PooledPlanes& planes, std::int64_t count, const double* from, double* to,
                 std::int64_t* places) {
  pool_all(planes, count, from, to, places);
}
void spread_float(const PooledPlanes& planes, std::int64_t count, const float* gradient,
                  const std::int32_t* places, float* to) {
  spread_all(planes, count, gradient, places, to);
}
void spread_double(const PooledPlanes& planes, std::int64_t count, const double* gradient,
                   const std::int64_t* places, double* to) {
  spread_all(planes, count, gradient, places, to);
}

}  // namespace
}  // namespace amalgam::learning::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amalgam::learning {
namespace {
HWY_EXPORT(pool_float);
HWY_EXPORT(pool_double);
HWY_EXPORT(spread_float);
HWY_EXPORT(spread_double);
}  // namespace

void pool_planes(const PooledPlanes& planes, std::int64_t count, const float* from, float* to,
                 std::int32_t* places) {
  HWY_DYNAMIC_DISPATCH(pool_float)(planes, count, from, to, places);
}
void pool_planes(const PooledPlanes& planes, std::int64_t count, const double* from, double* to,
                 std::int64_t* places) {
  HWY_DYNAMIC_DISPATCH(pool_double)(planes, count, from, to, places);
}
void spread_planes(const PooledPlanes& planes, std::int64_t count, const float* gradient,
                   const std::int32_t* places, float* to) {
  HWY_DYNAMIC_DISPATCH(spread_float)(planes, count, gradient, places, to);
}
void spread_planes(const PooledPlanes& planes, std::int64_t count, const double* gradient,
                   const std::int64_t* places, double* to) {
  HWY_DYNAMIC_DISPATCH(spread_double)(planes, count, gradient, places, to);
}

}  // namespace amalgam::learning
#endif  // HWY_ONCE
