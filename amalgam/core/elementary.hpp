#pragma once

#include <bit>
#include <cstdint>
#include <limits>

/// Elementary functions whose results are the same bits on every processor: the C library chooses
/// among implementations (with and without fused multiply-add) that differ in the last bit. Made of
/// additions and multiplications only, and small enough to be inlined into loops.
namespace amalgam {

/// e^x to within 1 unit in the last place; 0 below -745.13, infinity above 709.78, NaN for NaN.
inline double portable_exp(double x) {
  if (x != x) return x;
  if (x > 709.782712893384) return std::numeric_limits<double>::infinity();
  if (x < -745.1332191019412) return 0;
  // x = k ln 2 + r with |r| <= ln(2) / 2; ln 2 in two parts, the first with zeros at its end.
  constexpr double kHigh = 6.93147180369123816490e-01;
  constexpr double kLow = 1.90821492927058770002e-10;
  constexpr double kShift = 0x1.8p52;
  const double k = (x * 1.44269504088896338700 + kShift) - kShift;
  const double high = x - k * kHigh;
  const double low = k * kLow;
  const double r = high - low;
  // e^r = 1 + 2 r / (R - r) with a polynomial for R (Remez, |r| <= 0.5 ln 2; fdlibm's form).
  const double t = r * r;
  const double c =
      r - t * (1.66666666666666019037e-01 +
               t * (-2.77777777770155933842e-03 +
                    t * (6.61375632143793436117e-05 +
                         t * (-1.65339022054652515390e-06 + t * 4.13813679705723846039e-08))));
  const double value = 1.0 - ((low - (r * c) / (2.0 - c)) - high);
  const auto exponent = static_cast<std::int64_t>(k);
  // In two steps, so that subnormal results are rounded once and 2^1024 is not needed.
  const std::int64_t half = exponent / 2;
  const auto power = [](std::int64_t e) {
    return std::bit_cast<double>(static_cast<std::uint64_t>(e + 1023) << 52U);
  };
  return value * power(half) * power(exponent - half);
}

/// ln x to within 1 unit in the last place; -infinity for 0, NaN below.
inline double portable_log(double x) {
  if (x != x || x < 0) return std::numeric_limits<double>::quiet_NaN();
  if (x == 0) return -std::numeric_limits<double>::infinity();
  if (x == std::numeric_limits<double>::infinity()) return x;
  std::int64_t exponent = 0;
  if (x < std::numeric_limits<double>::min()) {
    x *= 0x1p54;
    exponent = -54;
  }
  // x = 2^exponent (1 + f) with sqrt(1/2) < 1 + f <= sqrt(2).
  auto bits = std::bit_cast<std::uint64_t>(x);
  exponent += static_cast<std::int64_t>(bits >> 52U) - 1023;
  bits = (bits & 0xFFFFFFFFFFFFFULL) | (1023ULL << 52U);
  double mantissa = std::bit_cast<double>(bits);
  if (mantissa > 1.41421356237309504880) {
    mantissa *= 0.5;
    ++exponent;
  }
  const double f = mantissa - 1.0;
  const double s = f / (2.0 + f);
  const double z = s * s;
  const double w = z * z;
  const double t1 = w * (3.999999999940941908e-01 +
                         w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
  const double t2 = z * (6.666666666666735130e-01 +
                         w * (2.857142874366239149e-01 +
                              w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
  const double half_square = 0.5 * f * f;
  const double k = static_cast<double>(exponent);
  constexpr double kHigh = 6.93147180369123816490e-01;
  constexpr double kLow = 1.90821492927058770002e-10;
  return k * kHigh - ((half_square - (s * (half_square + (t1 + t2)) + k * kLow)) - f);
}

/// The logistic function 1 / (1 + e^-x).
inline double portable_logistic(double x) {
  if (x >= 0) return 1.0 / (1.0 + portable_exp(-x));
  const double e = portable_exp(x);
  return e / (1.0 + e);
}

/// ln(1 / (1 + e^-x)), without loss for large |x|.
inline double portable_log_logistic(double x) {
  const double e = portable_exp(x >= 0 ? -x : x);
  // ln(1 + e) = e - e^2/2 + ... where 1 + e would lose e's digits (Kahan's correction).
  const double u = 1.0 + e;
  const double log1p = u == 1.0 ? e : portable_log(u) * (e / (u - 1.0));
  return x >= 0 ? -log1p : x - log1p;
}

/// The derivative of ln Gamma at x > 0, to about 1e-14: the recurrence up to 12, then the asymptotic
/// series.
inline double portable_digamma(double x) {
  double below = 0;
  while (x < 12) {
    below -= 1.0 / x;
    x += 1.0;
  }
  const double r = 1.0 / (x * x);
  const double series =
      r *
      (1.0 / 12 -
       r * (1.0 / 120 - r * (1.0 / 252 - r * (1.0 / 240 - r * (1.0 / 132 - r * 691.0 / 32760)))));
  return below + portable_log(x) - 0.5 / x - series;
}

}  // namespace amalgam
