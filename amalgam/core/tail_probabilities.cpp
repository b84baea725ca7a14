#include "amalgam/core/tail_probabilities.hpp"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <boost/math/special_functions/beta.hpp>
#include <boost/math/special_functions/erf.hpp>
#include <boost/math/special_functions/gamma.hpp>
#include <cmath>
#include <limits>
#include <numbers>

namespace amalgam {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

double normal_two_sided(double z) { return std::erfc(std::abs(z) / std::numbers::sqrt2); }

double normal_below(double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); }

double normal_quantile(double p) {
  if (std::isnan(p)) return p;
  if (p <= 0) return -kInfinity;
  if (p >= 1) return kInfinity;
  return -std::numbers::sqrt2 * boost::math::erfc_inv(2 * p);
}

double student_two_sided(double t, double degrees) {
  if (std::isnan(t)) return t;
  if (std::isinf(t)) return 0;
  return 2 * boost::math::cdf(boost::math::students_t(degrees), -std::abs(t));
}

double student_quantile(double p, double degrees) {
  if (std::isnan(p)) return p;
  return boost::math::quantile(boost::math::students_t(degrees), p);
}

double chi_squared_above(double x, double degrees) {
  if (std::isnan(x)) return x;
  if (std::isinf(x)) return x > 0 ? 0 : 1;
  return boost::math::gamma_q(degrees / 2, std::max(0.0, x) / 2);
}

double fair_coins_two_sided(std::uint64_t heads, std::uint64_t coins) {
  const std::uint64_t fewer = std::min(heads, coins - heads);
  if (2 * fewer == coins) return 1;
  // P(X <= k) = I_{1/2}(n - k, k + 1); by symmetry the other tail is as large.
  const double tail =
      boost::math::ibeta(static_cast<double>(coins - fewer), static_cast<double>(fewer) + 1, 0.5);
  return std::min(1.0, 2 * tail);
}

}  // namespace amalgam
