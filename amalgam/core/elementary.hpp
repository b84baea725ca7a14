#pragma once

#include <bit>
#include <cstdint>
#include <limits>

/// Elementary functions whose results are the same bits on every processor: the C library chooses
/// among implementations (with and without fused multiply-add) that differ in the last bit. Made of
/// additions and multiplications only, and small enough to be inlined into loops.
namespace amalgam {

/// e^x for -708 <= x <= 709, to within 1 unit in the last place: without branches, so that loops
/// over it become SIMD code.
inline double portable_exp_within(double x) {
  // x = k ln 2 + r with |r| <= ln(2) / 2; ln 2 in two parts, the first with zeros at its end.
  // Adding 1.5 * 2^52 rounds to a whole number, which is then in the low bits.
  constexpr double kHigh = 6.93147180369123816490e-01;
  constexpr double kLow = 1.90821492927058770002e-10;
  constexpr double kShift = 0x1.8p52;
  const double shifted = x * 1.44269504088896338700 + kShift;
  const double k = shifted - kShift;
  const double r = (x - k * kHigh) - k * kLow;
  // The Taylor polynomial of degree 13, in pairs (Estrin), the first two terms last.
  const double r2 = r * r;
  const double r4 = r2 * r2;
  const double a = 0.5 + r * (1.0 / 6);
  const double b = 1.0 / 24 + r * (1.0 / 120);
  const double c = 1.0 / 720 + r * (1.0 / 5040);
  const double d = 1.0 / 40320 + r * (1.0 / 362880);
  const double e = 1.0 / 3628800 + r * (1.0 / 39916800);
  const double f = 1.0 / 479001600 + r * (1.0 / 6227020800);
  const double rest = (a + r2 * b) + r4 * ((c + r2 * d) + r4 * (e + r2 * f));
  const double value = 1.0 + (r + r2 * rest);
  return std::bit_cast<double>(std::bit_cast<std::uint64_t>(value) +
                               (std::bit_cast<std::uint64_t>(shifted) << 52U));
}

/// e^x to within 1 unit in the last place; 0 below -745.13, infinity above 709.78, NaN for NaN.
inline double portable_exp(double x) {
  if (x >= -708 && x <= 709) return portable_exp_within(x);
  if (x != x) return x;
  if (x > 709.782712893384) return std::numeric_limits<double>::infinity();
  if (x < -745.1332191019412) return 0;
  // Near the ends of the range, in two steps: e^x = 2^m e^(x - m ln 2).
  constexpr double kLog2 = 6.93147180559945309417e-01;
  return x > 0 ? portable_exp_within(x - 2 * kLog2) * 4
               : portable_exp_within(x + 60 * kLog2) * 0x1p-60;
}

/// ln(x 2^exponent) to within 1 unit in the last place for a finite x that is at least the smallest
/// normal number (2^-1022): without branches, for loops that become SIMD code.
inline double portable_log_within(double x, double exponent = 0) {
  // x = 2^k (1 + f) with sqrt(1/2) < 1 + f <= sqrt(2). The exponent's bits are the last ones of a
  // number from 2^52 on.
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const double biased = std::bit_cast<double>((bits >> 52U) | (1075ULL << 52U)) - 0x1p52;
  const double mantissa = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFFULL) | (1023ULL << 52U));
  const bool is_large = mantissa > 1.41421356237309504880;
  const double k = biased - (is_large ? 1022.0 : 1023.0) + exponent;
  const double f = (is_large ? mantissa * 0.5 : mantissa) - 1.0;
  const double s = f / (2.0 + f);
  const double z = s * s;
  const double w = z * z;
  const double t1 = w * (3.999999999940941908e-01 +
                         w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
  const double t2 = z * (6.666666666666735130e-01 +
                         w * (2.857142874366239149e-01 +
                              w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
  const double half_square = 0.5 * f * f;
  constexpr double kHigh = 6.93147180369123816490e-01;
  constexpr double kLow = 1.90821492927058770002e-10;
  return k * kHigh - ((half_square - (s * (half_square + (t1 + t2)) + k * kLow)) - f);
}

/// ln x to within 1 unit in the last place; -infinity for 0, NaN below.
inline double portable_log(double x) {
  constexpr double kSmallest = std::numeric_limits<double>::min();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (x >= kSmallest && x < kInfinity) return portable_log_within(x);
  if (x > 0) return x < kSmallest ? portable_log_within(x * 0x1p54, -54) : x;
  return x == 0 ? -kInfinity : std::numeric_limits<double>::quiet_NaN();
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

/// The derivative of ln Gamma at x > 0, to about 1e-14: the recurrence up to 12, then the
/// asymptotic series.
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

/// ln Gamma(x) at x > 0, to about 1e-14 of max(1, |ln Gamma|): the recurrence up to 12, then
/// Stirling's series.
inline double portable_log_gamma(double x) {
  double product = 1;
  while (x < 12) {
    product *= x;
    x += 1.0;
  }
  const double r = 1.0 / (x * x);
  const double series =
      (1.0 / 12 - r * (1.0 / 360 - r * (1.0 / 1260 - r * (1.0 / 1680 - r / 1188)))) / x;
  constexpr double kHalfLogTwoPi = 0.91893853320467274178;
  return (x - 0.5) * portable_log(x) - x + kHalfLogTwoPi + series - portable_log(product);
}

}  // namespace amalgam
