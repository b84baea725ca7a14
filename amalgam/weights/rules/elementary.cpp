#include "amalgam/weights/rules/elementary.hpp"

#include <cmath>
#include <limits>
#include <numbers>

namespace amalgam {
namespace {

constexpr double kPi = std::numbers::pi;
// pi / 2 in three parts; the first two have 33 significant bits, so that small multiples are exact.
constexpr double kHalfPiHigh = 0x1.921fb544p+0;
constexpr double kHalfPiMiddle = 0x1.0b4611a6p-34;
constexpr double kHalfPiLow = 0x1.3198a2e037073p-69;
// ln 2 in two parts.
constexpr double kLn2High = 0x1.62e42feep-1;
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;

// sin and cos of |x| <= pi / 4 by their Taylor series.
double small_sine(double x) {
  const double square = x * x;
  double sum = 0;
  for (int k = 19; k >= 3; k -= 2) sum = square / (k * (k - 1)) * (1 - sum);
  return x - x * sum;
}
double small_cosine(double x) {
  const double square = x * x;
  double sum = 0;
  for (int k = 20; k >= 2; k -= 2) sum = square / (k * (k - 1)) * (1 - sum);
  return 1 - sum;
}

// sin(x + quarters pi / 2).
double shifted_sine(double x, int quarters) {
  if (!(std::abs(x) < 1e15)) return std::numeric_limits<double>::quiet_NaN();
  const double turns = std::nearbyint(x / (kPi / 2));
  double rest = x - turns * kHalfPiHigh;
  rest -= turns * kHalfPiMiddle;
  rest -= turns * kHalfPiLow;
  const auto quarter = (static_cast<long>(turns) + quarters) & 3;
  const double value = quarter % 2 == 0 ? small_sine(rest) : small_cosine(rest);
  return quarter < 2 ? value : -value;
}

// sum_k sign^k z^(2k+1) / (2k+1): the inverse tangent (sign -1) or hyperbolic tangent (+1), |z| <
// 0.2.
double inverse_tangent_series(double z, double sign) {
  const double square = sign * z * z;
  double sum = 0;
  for (int k = 25; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
  return z * sum;
}

double natural_logarithm(double x) {
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);
  if (mantissa < std::numbers::sqrt2 / 2) {
    mantissa *= 2;
    --exponent;
  }
  const double z = (mantissa - 1) / (mantissa + 1);
  return exponent * kLn2High + (exponent * kLn2Low + 2 * inverse_tangent_series(z, 1));
}

double exponential(double x) {
  if (!(std::abs(x) < 1e6)) return x < 0 ? 0 : x * std::numeric_limits<double>::infinity();
  const double twos = std::nearbyint(x / std::numbers::ln2);
  const double rest = (x - twos * kLn2High) - twos * kLn2Low;
  double sum = 1;
  for (int k = 16; k >= 1; --k) sum = 1 + rest / k * sum;
  return std::ldexp(sum, static_cast<int>(twos));
}

}  // namespace

double sine(double x) { return shifted_sine(x, 0); }
double cosine(double x) { return shifted_sine(x, 1); }

double arc_cosine(double c) {
  if (c >= 1) return 0;
  if (c <= -1) return kPi;
  if (c < 0) return kPi - arc_cosine(-c);
  // tan(theta / 2), in (0, 1]; then tan(theta / 2 - pi / 4) where that is nearer to zero, and the
  // half of what is left.
  double z = std::sqrt((1 - c) / (1 + c));
  double offset = 0;
  if (z > std::numbers::sqrt2 - 1) {
    z = (z - 1) / (z + 1);
    offset = kPi / 4;
  }
  z = z / (1 + std::sqrt(1 + z * z));
  return 2 * (offset + 2 * inverse_tangent_series(z, -1));
}

double power(double base, double exponent) {
  return exponential(exponent * natural_logarithm(base));
}

}  // namespace amalgam
