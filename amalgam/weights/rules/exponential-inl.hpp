// The exponential of vectors of doubles, for kernels that Highway compiles once per SIMD target:
// included after <hwy/highway.h> by files that include themselves through foreach_target.h.

#if defined(AMALGAM_EXPONENTIAL_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef AMALGAM_EXPONENTIAL_INL_HPP
#undef AMALGAM_EXPONENTIAL_INL_HPP
#else
#define AMALGAM_EXPONENTIAL_INL_HPP
#endif

#include <hwy/highway.h>

#include <cstddef>

HWY_BEFORE_NAMESPACE();
namespace amalgam::rules::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// ln 2 in two parts, the first with 32 trailing zero bits so that whole multiples are exact.
constexpr double kLn2High = 0x1.62e42fee00000p-1;
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;

/// 1 / k! for k = 0, 1, ...
constexpr double kInverseFactorials[] = {1.0,
                                         1.0,
                                         1.0 / 2,
                                         1.0 / 6,
                                         1.0 / 24,
                                         1.0 / 120,
                                         1.0 / 720,
                                         1.0 / 5040,
                                         1.0 / 40320,
                                         1.0 / 362880,
                                         1.0 / 3628800,
                                         1.0 / 39916800,
                                         1.0 / 479001600,
                                         1.0 / 6227020800,
                                         1.0 / 87178291200};

/// The polynomial coefficients[first] + coefficients[first + 1] r + ... + coefficients[last]
/// r^(last - first), from the highest power on.
template <class D>
HWY_INLINE hn::Vec<D> polynomial(D d, hn::Vec<D> r, const double* coefficients, std::size_t first,
                                 std::size_t last) {
  auto sum = hn::Set(d, coefficients[last]);
  for (std::size_t k = last; k-- > first;) {
    sum = hn::Add(hn::Mul(sum, r), hn::Set(d, coefficients[k]));
  }
  return sum;
}

/// e^x for x <= 0; below -708 as at -708. x = n ln 2 + r with |r| <= ln 2 / 2, and the Taylor
/// polynomial of degree 14 in r.
template <class D>
HWY_INLINE hn::Vec<D> exponential(D d, hn::Vec<D> x) {
  const hn::RebindToUnsigned<D> bits;
  // Adding 1.5 * 2^52 leaves the nearest whole number in the low bits of the sum.
  const auto shifter = hn::Set(d, 0x1.8p52);
  x = hn::Max(x, hn::Set(d, -708.0));
  const auto shifted = hn::Add(hn::Mul(x, hn::Set(d, 0x1.71547652b82fep0)), shifter);
  const auto n = hn::Sub(shifted, shifter);
  auto r = hn::Sub(x, hn::Mul(n, hn::Set(d, kLn2High)));
  r = hn::Sub(r, hn::Mul(n, hn::Set(d, kLn2Low)));
  const auto power = polynomial(d, r, kInverseFactorials, 0, 14);
  const auto scale =
      hn::Add(hn::ShiftLeft<52>(hn::BitCast(bits, shifted)), hn::BitCast(bits, hn::Set(d, 1.0)));
  return hn::Mul(power, hn::BitCast(d, scale));
}

}  // namespace amalgam::rules::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
