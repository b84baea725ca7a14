#include "amalgam/weights/rules/consensus_kernels.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/weights/rules/consensus_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "amalgam/weights/rules/vector_loops-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace amalgam::rules::HWY_NAMESPACE {
namespace {

template <class D, class T>
HWY_INLINE hn::Vec<D> load_wide(D d, const T* HWY_RESTRICT values) {
  return widen(d, hn::LoadU(Narrow<T, D>(), values));
}

// base + lambda * merged; where the second is zero, base with its sign of zero.
template <class D>
HWY_INLINE hn::Vec<D> add_to_base(D d, hn::Vec<D> base, hn::Vec<D> merged, hn::Vec<D> lambda) {
  const auto change = hn::Mul(merged, lambda);
  return hn::IfThenElse(hn::Eq(change, hn::Zero(d)), base, hn::Add(base, change));
}

template <class D>
HWY_INLINE hn::Vec<D> signs(D d, hn::Vec<D> value) {
  const auto plus = hn::IfThenElseZero(hn::Gt(value, hn::Zero(d)), hn::Set(d, 1.0));
  return hn::IfThenElse(hn::Lt(value, hn::Zero(d)), hn::Set(d, -1.0), plus);
}

template <Consensus::Elect kElect, class D>
HWY_INLINE hn::Vec<D> ballot(D d, const double* const* HWY_RESTRICT y, std::size_t members,
                             std::size_t i) {
  auto total = hn::Zero(d);
  for (std::size_t m = 0; m < members; ++m) {
    const auto value = hn::LoadU(d, y[m] + i);
    if constexpr (kElect == Consensus::Elect::count) {
      total = hn::Add(total, signs(d, value));
    } else {
      total = hn::Add(total, value);
    }
  }
  return total;
}

template <class T, Consensus::Elect kElect, Consensus::Merge kMerge>
HWY_INLINE void merge_elected(const Consensus& consensus, const double* const* HWY_RESTRICT y,
                              const double* HWY_RESTRICT weights, std::size_t members,
                              const T* HWY_RESTRICT base, std::size_t count,
                              double* HWY_RESTRICT out) {
  whole_and_rest(count, [&](auto d, std::size_t i, std::size_t end) HWY_ATTR {
    const auto zero = hn::Zero(d);
    const auto one = hn::Set(d, 1.0);
    const auto lambda = hn::Set(d, consensus.lambda);
    const auto sign_bit = hn::SignBit(d);
    // total >= 0, or total > 0, according to the sign of a balance: one comparison with a number
    // just on the other side of zero.
    const auto bound = hn::Set(d, consensus.zero_is_plus ? -5e-324 : 0.0);
    for (; i + hn::Lanes(d) <= end; i += hn::Lanes(d)) {
      const auto total = ballot<kElect>(d, y, members, i);
      const auto plus = hn::Gt(total, bound);
      const auto flip = hn::IfThenZeroElse(plus, sign_bit);
      auto merged = zero;
      auto divisor = zero;
      for (std::size_t m = 0; m < members; ++m) {
        const auto value = hn::LoadU(d, y[m] + i);
        const auto along = hn::Xor(value, flip);  // positive if its sign is the elected one
        const auto agrees = hn::Gt(along, zero);
        if constexpr (kMerge == Consensus::Merge::max) {
          merged = hn::Max(merged, hn::IfThenElseZero(agrees, along));
        } else {
          merged = hn::Add(merged, hn::IfThenElseZero(agrees, value));
        }
        if constexpr (kMerge == Consensus::Merge::mean) {
          divisor = hn::Add(divisor, hn::IfThenElseZero(agrees, hn::Set(d, weights[m])));
        }
      }
      if constexpr (kMerge == Consensus::Merge::max) merged = hn::Xor(merged, flip);
      if constexpr (kMerge == Consensus::Merge::mean) {
        merged = hn::Div(merged, hn::IfThenElse(hn::Eq(divisor, zero), one, divisor));
      }
      hn::StoreU(add_to_base(d, load_wide(d, base + i), merged, lambda), d, out + i);
    }
    return i;
  });
}

template <class T>
HWY_INLINE void merge_all(const Consensus& consensus, const double* const* HWY_RESTRICT y,
                          std::size_t members, const T* HWY_RESTRICT base, std::size_t count,
                          double* HWY_RESTRICT out) {
  whole_and_rest(count, [&](auto d, std::size_t i, std::size_t end) HWY_ATTR {
    const auto lambda = hn::Set(d, consensus.lambda);
    const auto divisor = hn::Set(d, consensus.divisor);
    const bool divide = consensus.merge == Consensus::Merge::mean;
    for (; i + hn::Lanes(d) <= end; i += hn::Lanes(d)) {
      auto total = ballot<Consensus::Elect::sum>(d, y, members, i);
      if (divide) total = hn::Div(total, divisor);
      hn::StoreU(add_to_base(d, load_wide(d, base + i), total, lambda), d, out + i);
    }
    return i;
  });
}

template <class T, Consensus::Elect kElect>
void merge_elected_any(const Consensus& consensus, const double* const* y, const double* weights,
                       std::size_t members, const T* base, std::size_t count, double* out) {
  using Merge = Consensus::Merge;
  if (consensus.merge == Merge::sum) {
    merge_elected<T, kElect, Merge::sum>(consensus, y, weights, members, base, count, out);
  } else if (consensus.merge == Merge::mean) {
    merge_elected<T, kElect, Merge::mean>(consensus, y, weights, members, base, count, out);
  } else {
    merge_elected<T, kElect, Merge::max>(consensus, y, weights, members, base, count, out);
  }
}

template <class T>
void merge_any(const Consensus& consensus, const double* const* y, const double* weights,
               std::size_t members, const T* base, std::size_t count, double* out) {
  using Elect = Consensus::Elect;
  if (consensus.elect == Elect::none) {
    merge_all(consensus, y, members, base, count, out);
  } else if (consensus.elect == Elect::sum) {
    merge_elected_any<T, Elect::sum>(consensus, y, weights, members, base, count, out);
  } else {
    merge_elected_any<T, Elect::count>(consensus, y, weights, members, base, count, out);
  }
}

template <class T>
HWY_INLINE void merge_differences_of(const T* const* HWY_RESTRICT x, std::size_t offset,
                                     const double* HWY_RESTRICT weights, std::size_t members,
                                     double divisor_value, double lambda_value,
                                     const T* HWY_RESTRICT base, std::size_t count,
                                     double* HWY_RESTRICT out) {
  whole_and_rest(count, [&](auto d, std::size_t i, std::size_t end) HWY_ATTR {
    const Narrow<T, decltype(d)> t;
    const auto lambda = hn::Set(d, lambda_value);
    const auto divisor = hn::Set(d, divisor_value);
    const bool divide = divisor_value < 1.0 || divisor_value > 1.0;
    for (; i + hn::Lanes(d) <= end; i += hn::Lanes(d)) {
      const auto b = hn::LoadU(t, base + i);
      auto total = hn::Zero(d);
      for (std::size_t m = 0; m < members; ++m) {
        const auto change = widen(d, hn::Sub(hn::LoadU(t, x[m] + offset + i), b));
        total = hn::Add(total, hn::Mul(hn::Set(d, weights[m]), change));
      }
      if (divide) total = hn::Div(total, divisor);
      hn::StoreU(add_to_base(d, widen(d, b), total, lambda), d, out + i);
    }
    return i;
  });
}

// Plus elections less minus elections.
template <Consensus::Elect kElect>
HWY_INLINE double balance(const double* const* HWY_RESTRICT y, std::size_t members,
                          std::size_t count) {
  double result = 0;  // whole numbers below 2^53: exact in any order
  whole_and_rest(count, [&](auto d, std::size_t i, std::size_t end) HWY_ATTR {
    auto sum = hn::Zero(d);
    for (; i + hn::Lanes(d) <= end; i += hn::Lanes(d)) {
      sum = hn::Add(sum, signs(d, ballot<kElect>(d, y, members, i)));
    }
    result += hn::GetLane(hn::SumOfLanes(d, sum));
    return i;
  });
  return result;
}

void merge_float(const Consensus& consensus, const double* const* y, const double* weights,
                 std::size_t members, const float* base, std::size_t count, double* out) {
  merge_any(consensus, y, weights, members, base, count, out);
}
void merge_double(const Consensus& consensus, const double* const* y, const double* weights,
                  std::size_t members, const double* base, std::size_t count, double* out) {
  merge_any(consensus, y, weights, members, base, count, out);
}
void merge_differences_float(const float* const* x, std::size_t offset, const double* weights,
                             std::size_t members, double divisor, double lambda, const float* base,
                             std::size_t count, double* out) {
  merge_differences_of(x, offset, weights, members, divisor, lambda, base, count, out);
}
void merge_differences_double(const double* const* x, std::size_t offset, const double* weights,
                              std::size_t members, double divisor, double lambda,
                              const double* base, std::size_t count, double* out) {
  merge_differences_of(x, offset, weights, members, divisor, lambda, base, count, out);
}
double balance_any(Consensus::Elect elect, const double* const* y, std::size_t members,
                   std::size_t count) {
  return elect == Consensus::Elect::count ? balance<Consensus::Elect::count>(y, members, count)
                                          : balance<Consensus::Elect::sum>(y, members, count);
}

}  // namespace
}  // namespace amalgam::rules::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amalgam::rules {
namespace {
HWY_EXPORT(merge_float);
HWY_EXPORT(merge_double);
HWY_EXPORT(merge_differences_float);
HWY_EXPORT(merge_differences_double);
HWY_EXPORT(balance_any);
}  // namespace

void merge_tile(const Consensus& consensus, std::span<const double* const> y,
                std::span<const double> weights, const float* base, std::size_t count,
                double* out) {
  HWY_DYNAMIC_DISPATCH(merge_float)
  (consensus, y.data(), weights.data(), y.size(), base, count, out);
}
void merge_tile(const Consensus& consensus, std::span<const double* const> y,
                std::span<const double> weights, const double* base, std::size_t count,
                double* out) {
  HWY_DYNAMIC_DISPATCH(merge_double)
  (consensus, y.data(), weights.data(), y.size(), base, count, out);
}
void merge_differences(std::span<const float* const> members, std::size_t offset,
                       std::span<const double> weights, double divisor, double lambda,
                       const float* base, std::size_t count, double* out) {
  HWY_DYNAMIC_DISPATCH(merge_differences_float)
  (members.data(), offset, weights.data(), members.size(), divisor, lambda, base, count, out);
}
void merge_differences(std::span<const double* const> members, std::size_t offset,
                       std::span<const double> weights, double divisor, double lambda,
                       const double* base, std::size_t count, double* out) {
  HWY_DYNAMIC_DISPATCH(merge_differences_double)
  (members.data(), offset, weights.data(), members.size(), divisor, lambda, base, count, out);
}
std::int64_t sign_balance(Consensus::Elect elect, std::span<const double* const> y,
                          std::size_t count) {
  return static_cast<std::int64_t>(
      HWY_DYNAMIC_DISPATCH(balance_any)(elect, y.data(), y.size(), count));
}

}  // namespace amalgam::rules
#endif  // HWY_ONCE
