#include "amalgam/weights/rules/elementwise_kernels.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/weights/rules/elementwise_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "amalgam/weights/rules/vector_loops-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace amalgam::rules::HWY_NAMESPACE {
namespace {

template <class T>
HWY_INLINE void nearswap(const T* HWY_RESTRICT x, const T* HWY_RESTRICT base, std::size_t count,
                         double t, double* HWY_RESTRICT out) {
  whole_and_rest(count, [&](auto d, std::size_t i, std::size_t end) HWY_ATTR {
    const Narrow<T, decltype(d)> narrow;
    const auto one = hn::Set(d, 1.0);
    for (; i + hn::Lanes(d) <= end; i += hn::Lanes(d)) {
      const auto near = hn::LoadU(narrow, x + i);
      const auto from = hn::LoadU(narrow, base + i);
      const auto distance = hn::Abs(widen(d, hn::Sub(near, from)));
      const auto ratio = hn::Div(hn::Set(d, t), hn::Max(distance, hn::Set(d, 1e-6)));
      const auto w = hn::Min(hn::Max(ratio, hn::Zero(d)), one);
      const auto swapped = hn::Mul(w, widen(d, near));
      hn::StoreU(hn::Add(swapped, hn::Mul(hn::Sub(one, w), widen(d, from))), d, out + i);
    }
    return i;
  });
}

template <class T>
HWY_INLINE void take_over(const T* HWY_RESTRICT x, const T* HWY_RESTRICT base, std::size_t count,
                          double scale, double threshold, double* HWY_RESTRICT out) {
  whole_and_rest(count, [&](auto d, std::size_t i, std::size_t end) HWY_ATTR {
    const Narrow<T, decltype(d)> narrow;
    const auto factor = hn::Set(d, scale);
    const auto least = hn::Set(d, threshold);
    for (; i + hn::Lanes(d) <= end; i += hn::Lanes(d)) {
      const auto from = hn::LoadU(narrow, base + i);
      const auto change = widen(d, hn::Sub(hn::LoadU(narrow, x + i), from));
      const auto important = hn::Ge(hn::Mul(hn::Abs(change), factor), least);
      // Adding nothing would lose the sign of a zero.
      const auto taken = hn::AndNot(hn::Eq(change, hn::Zero(d)), important);
      const auto before = widen(d, from);
      hn::StoreU(hn::IfThenElse(taken, hn::Add(before, change), before), d, out + i);
    }
    return i;
  });
}

template <class T>
HWY_INLINE void ram(const double* const* HWY_RESTRICT differences,
                    const double* HWY_RESTRICT scales, std::size_t members, double epsilon,
                    const T* HWY_RESTRICT base, std::size_t count, double* HWY_RESTRICT out) {
  whole_and_rest(count, [&](auto d, std::size_t i, std::size_t end) HWY_ATTR {
    const Narrow<T, decltype(d)> narrow;
    const auto one = hn::Set(d, 1.0);
    const auto zero = hn::Zero(d);
    const auto least = hn::Set(d, epsilon);
    for (; i + hn::Lanes(d) <= end; i += hn::Lanes(d)) {
      auto touching = zero;
      auto total = zero;
      auto scaled = zero;
      for (std::size_t m = 0; m < members; ++m) {
        const auto value = hn::LoadU(d, differences[m] + i);
        const auto touches = hn::Gt(hn::Abs(value), least);
        touching = hn::Add(touching, hn::IfThenElseZero(touches, one));
        total = hn::Add(total, hn::IfThenElseZero(touches, value));
        scaled =
            hn::Add(scaled, hn::IfThenElseZero(touches, hn::Mul(hn::Set(d, scales[m]), value)));
      }
      const auto mean = hn::Div(total, hn::Max(touching, one));
      const auto change = hn::IfThenElse(hn::Eq(touching, one), scaled, mean);
      const auto from = widen(d, hn::LoadU(narrow, base + i));
      hn::StoreU(hn::IfThenElse(hn::Eq(change, zero), from, hn::Add(from, change)), d, out + i);
    }
    return i;
  });
}

// Counts in double: whole numbers far below 2^53.
void ram_counts(const double* const* HWY_RESTRICT differences, std::size_t members, double epsilon,
                std::size_t count, std::uint64_t* HWY_RESTRICT unique,
                std::uint64_t* HWY_RESTRICT shared) {
  for (std::size_t member = 0; member < members; ++member) {
    double alone = 0;
    double together = 0;
    whole_and_rest(count, [&](auto d, std::size_t i, std::size_t end) HWY_ATTR {
      const auto one = hn::Set(d, 1.0);
      const auto least = hn::Set(d, epsilon);
      auto unique_count = hn::Zero(d);
      auto touched_count = hn::Zero(d);
      for (; i + hn::Lanes(d) <= end; i += hn::Lanes(d)) {
        auto touching = hn::Zero(d);
        for (std::size_t m = 0; m < members; ++m) {
          const auto touches = hn::Gt(hn::Abs(hn::LoadU(d, differences[m] + i)), least);
          touching = hn::Add(touching, hn::IfThenElseZero(touches, one));
        }
        const auto own = hn::Gt(hn::Abs(hn::LoadU(d, differences[member] + i)), least);
        touched_count = hn::Add(touched_count, hn::IfThenElseZero(own, one));
        unique_count =
            hn::Add(unique_count, hn::IfThenElseZero(hn::And(own, hn::Eq(touching, one)), one));
      }
      const double touched = hn::GetLane(hn::SumOfLanes(d, touched_count));
      const double single = hn::GetLane(hn::SumOfLanes(d, unique_count));
      alone += single;
      together += touched - single;
      return i;
    });
    unique[member] += static_cast<std::uint64_t>(alone);
    shared[member] += static_cast<std::uint64_t>(together);
  }
}

// Calls use(d, i, variances of elements i, i + 1, ...).
template <class Use>
HWY_INLINE void for_each_variance(const double* const* HWY_RESTRICT differences,
                                  std::size_t members, std::size_t count, const Use& use) {
  whole_and_rest(count, [&](auto d, std::size_t i, std::size_t end) HWY_ATTR {
    const auto number = hn::Set(d, static_cast<double>(members));
    const auto share = hn::Set(d, 1.0 / static_cast<double>(members));
    // A power of two divides exactly, and so does its reciprocal.
    const bool exact = (members & (members - 1)) == 0;
    const auto divide = [&](auto sum)
                            HWY_ATTR { return exact ? hn::Mul(sum, share) : hn::Div(sum, number); };
    for (; i + hn::Lanes(d) <= end; i += hn::Lanes(d)) {
      auto sum = hn::Zero(d);
      for (std::size_t m = 0; m < members; ++m) {
        sum = hn::Add(sum, hn::LoadU(d, differences[m] + i));
      }
      const auto mean = divide(sum);
      auto squares = hn::Zero(d);
      for (std::size_t m = 0; m < members; ++m) {
        const auto deviation = hn::Sub(hn::LoadU(d, differences[m] + i), mean);
        squares = hn::Add(squares, hn::Mul(deviation, deviation));
      }
      use(d, i, divide(squares));
    }
    return i;
  });
}

void variances(const double* const* HWY_RESTRICT differences, std::size_t members,
               std::size_t count, double* HWY_RESTRICT variance) {
  for_each_variance(differences, members, count, [&](auto d, std::size_t i, auto value) HWY_ATTR {
    hn::StoreU(value, d, variance + i);
  });
}

void keep_varied(double* const* HWY_RESTRICT differences, std::size_t members, std::size_t count,
                 DoubleKeyRange range) {
  for_each_variance(differences, members, count, [&](auto d, std::size_t i, auto value) HWY_ATTR {
    const hn::RebindToSigned<decltype(d)> keys;
    const auto key = hn::BitCast(keys, hn::Abs(value));
    const auto over = hn::Gt(key, hn::Set(keys, range.high));
    const auto in = hn::AndNot(over, hn::Gt(key, hn::Set(keys, range.low)));
    for (std::size_t m = 0; m < members; ++m) {
      const auto change = hn::LoadU(d, differences[m] + i);
      hn::StoreU(hn::IfThenElseZero(hn::RebindMask(d, in), change), d, differences[m] + i);
    }
  });
}

template <class T>
HWY_INLINE void sce(const double* const* HWY_RESTRICT differences,
                    const double* HWY_RESTRICT coefficients, std::size_t members,
                    const T* HWY_RESTRICT base, std::size_t count, double* HWY_RESTRICT out) {
  whole_and_rest(count, [&](auto d, std::size_t i, std::size_t end) HWY_ATTR {
    const Narrow<T, decltype(d)> narrow;
    const auto zero = hn::Zero(d);
    for (; i + hn::Lanes(d) <= end; i += hn::Lanes(d)) {
      auto ballot = zero;
      for (std::size_t m = 0; m < members; ++m) {
        ballot = hn::Add(ballot, hn::LoadU(d, differences[m] + i));
      }
      const auto flip = hn::IfThenElseZero(hn::Lt(ballot, zero), hn::SignBit(d));
      auto total = zero;
      auto divisor = zero;
      for (std::size_t m = 0; m < members; ++m) {
        const auto value = hn::LoadU(d, differences[m] + i);
        const auto agrees = hn::Gt(hn::Xor(value, flip), zero);
        const auto coefficient = hn::Set(d, coefficients[m]);
        total = hn::Add(total, hn::IfThenElseZero(agrees, hn::Mul(coefficient, value)));
        divisor = hn::Add(divisor, hn::IfThenElseZero(agrees, coefficient));
      }
      const auto change = hn::Div(total, hn::Max(divisor, hn::Set(d, 1e-6)));
      const auto from = widen(d, hn::LoadU(narrow, base + i));
      hn::StoreU(hn::IfThenElse(hn::Eq(change, zero), from, hn::Add(from, change)), d, out + i);
    }
    return i;
  });
}

void nearswap_float(const float* x, const float* base, std::size_t count, double t, double* out) {
  nearswap(x, base, count, t, out);
}
void nearswap_double(const double* x, const double* base, std::size_t count, double t,
                     double* out) {
  nearswap(x, base, count, t, out);
}
void take_over_float(const float* x, const float* base, std::size_t count, double scale,
                     double threshold, double* out) {
  take_over(x, base, count, scale, threshold, out);
}
void take_over_double(const double* x, const double* base, std::size_t count, double scale,
                      double threshold, double* out) {
  take_over(x, base, count, scale, threshold, out);
}
void ram_float(const double* const* d, const double* scales, std::size_t members, double epsilon,
               const float* base, std::size_t count, double* out) {
  ram(d, scales, members, epsilon, base, count, out);
}
void ram_double(const double* const* d, const double* scales, std::size_t members, double epsilon,
                const double* base, std::size_t count, double* out) {
  ram(d, scales, members, epsilon, base, count, out);
}
void sce_float(const double* const* d, const double* coefficients, std::size_t members,
               const float* base, std::size_t count, double* out) {
  sce(d, coefficients, members, base, count, out);
}
void sce_double(const double* const* d, const double* coefficients, std::size_t members,
                const double* base, std::size_t count, double* out) {
  sce(d, coefficients, members, base, count, out);
}

}  // namespace
}  // namespace amalgam::rules::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amalgam::rules {
namespace {
HWY_EXPORT(nearswap_float);
HWY_EXPORT(nearswap_double);
HWY_EXPORT(take_over_float);
HWY_EXPORT(take_over_double);
HWY_EXPORT(ram_float);
HWY_EXPORT(ram_double);
HWY_EXPORT(ram_counts);
HWY_EXPORT(variances);
HWY_EXPORT(keep_varied);
HWY_EXPORT(sce_float);
HWY_EXPORT(sce_double);
}  // namespace

void nearswap_tile(std::span<const float> x, const float* base, double t, double* out) {
  HWY_DYNAMIC_DISPATCH(nearswap_float)(x.data(), base, x.size(), t, out);
}
void nearswap_tile(std::span<const double> x, const double* base, double t, double* out) {
  HWY_DYNAMIC_DISPATCH(nearswap_double)(x.data(), base, x.size(), t, out);
}
void take_over_tile(std::span<const float> x, const float* base, double scale, double threshold,
                    double* out) {
  HWY_DYNAMIC_DISPATCH(take_over_float)(x.data(), base, x.size(), scale, threshold, out);
}
void take_over_tile(std::span<const double> x, const double* base, double scale, double threshold,
                    double* out) {
  HWY_DYNAMIC_DISPATCH(take_over_double)(x.data(), base, x.size(), scale, threshold, out);
}
void ram_tile(std::span<const double* const> d, std::span<const double> scales, double epsilon,
              const float* base, std::size_t count, double* out) {
  HWY_DYNAMIC_DISPATCH(ram_float)(d.data(), scales.data(), d.size(), epsilon, base, count, out);
}
void ram_tile(std::span<const double* const> d, std::span<const double> scales, double epsilon,
              const double* base, std::size_t count, double* out) {
  HWY_DYNAMIC_DISPATCH(ram_double)(d.data(), scales.data(), d.size(), epsilon, base, count, out);
}
void ram_count(std::span<const double* const> d, double epsilon, std::size_t count,
               std::span<std::uint64_t> unique, std::span<std::uint64_t> shared) {
  HWY_DYNAMIC_DISPATCH(ram_counts)
  (d.data(), d.size(), epsilon, count, unique.data(), shared.data());
}
void variance_tile(std::span<const double* const> d, std::size_t count, double* variance) {
  HWY_DYNAMIC_DISPATCH(variances)(d.data(), d.size(), count, variance);
}
void keep_varied_tile(std::span<double* const> d, std::size_t count, DoubleKeyRange range) {
  HWY_DYNAMIC_DISPATCH(keep_varied)(d.data(), d.size(), count, range);
}
void sce_tile(std::span<const double* const> d, std::span<const double> coefficients,
              const float* base, std::size_t count, double* out) {
  HWY_DYNAMIC_DISPATCH(sce_float)(d.data(), coefficients.data(), d.size(), base, count, out);
}
void sce_tile(std::span<const double* const> d, std::span<const double> coefficients,
              const double* base, std::size_t count, double* out) {
  HWY_DYNAMIC_DISPATCH(sce_double)(d.data(), coefficients.data(), d.size(), base, count, out);
}

}  // namespace amalgam::rules
#endif  // HWY_ONCE
