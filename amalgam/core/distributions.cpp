#include "amalgam/core/distributions.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "amalgam/core/elementary.hpp"

namespace amalgam {
namespace {

// ln(1 - p) for 0 <= p <= 1/2, also where 1 - p would lose p's digits.
double log_complement(double p) {
  if (p > 1e-4) return portable_log(1 - p);
  return -p * (1 + p * (1.0 / 2 + p * (1.0 / 3 + p * (1.0 / 4))));
}

// Adds up the probabilities of 0, 1, 2, ... successes until they exceed a uniform number: for few
// expected successes.
std::uint64_t binomial_by_inversion(double trials, double p, RandomStream& random) {
  const double odds = p / (1 - p);
  const double none = portable_exp(trials * log_complement(p));
  while (true) {
    double left = random.uniform();
    double probability = none;
    for (double successes = 0; successes <= trials; ++successes) {
      if (left < probability) return static_cast<std::uint64_t>(successes);
      left -= probability;
      probability *= odds * (trials - successes) / (successes + 1);
      if (probability == 0) break;
    }
    // Rounding left a little beyond the last: draw again.
  }
}

// ln k! - [(k + 1/2) ln(k + 1) - (k + 1) + ln(2 pi) / 2].
double stirling_rest(double k) {
  constexpr std::array kFirst{0.0810614667953272,  0.0413406959554092, 0.0276779256849983,
                              0.02079067210376509, 0.0166446911898211, 0.0138761288230707,
                              0.0118967099458917,  0.010411265261972,  0.00925546218271273,
                              0.00833056343336287};
  if (k < kFirst.size()) return kFirst[static_cast<std::size_t>(k)];
  const double r = 1 / (k + 1);
  return (1.0 / 12 - (1.0 / 360 - r * r / 1260) * r * r) * r;
}

// Pr(k successes) / Pr(mode), k and mode being at most 15 apart, term by term.
double near_mode_ratio(double trials, double odds, double mode, double k) {
  double above = 1;
  double below = 1;
  for (double i = std::min(mode, k) + 1; i <= std::max(mode, k); ++i) {
    above *= (trials - i + 1) * odds;
    below *= i;
  }
  return k > mode ? above / below : below / above;
}

std::uint64_t binomial_by_rejection(double trials, double p, RandomStream& random) {
  const double deviation = std::sqrt(trials * p * (1 - p));
  const double b = 1.15 + 2.53 * deviation;
  const double a = -0.0873 + 0.0248 * b + 0.01 * p;
  const double centre = trials * p + 0.5;
  const double quick = 0.92 - 4.2 / b;
  const double odds = p / (1 - p);
  const double alpha = (2.83 + 5.1 / b) * deviation;
  const double mode = std::floor((trials + 1) * p);
  while (true) {
    const double u = random.uniform() - 0.5;
    const double v = random.uniform();
    const double margin = 0.5 - std::abs(u);
    if (margin == 0) continue;
    const double k = std::floor((2 * a / margin + b) * u + centre);
    if (k < 0 || k > trials) continue;
    if (margin >= 0.07 && v <= quick) return static_cast<std::uint64_t>(k);
    const double height = v * alpha / (a / (margin * margin) + b);
    if (std::abs(k - mode) <= 15) {
      if (height <= near_mode_ratio(trials, odds, mode, k)) return static_cast<std::uint64_t>(k);
      continue;
    }
    const double bound = (mode + 0.5) * portable_log((mode + 1) / (odds * (trials - mode + 1))) +
                         (trials + 1) * portable_log((trials - mode + 1) / (trials - k + 1)) +
                         (k + 0.5) * portable_log(odds * (trials - k + 1) / (k + 1)) +
                         stirling_rest(mode) + stirling_rest(trials - mode) - stirling_rest(k) -
                         stirling_rest(trials - k);
    if (portable_log(height) <= bound) return static_cast<std::uint64_t>(k);
  }
}

}  // namespace

std::uint64_t binomial_draw(std::uint64_t trials, double probability, RandomStream& random) {
  if (trials == 0 || probability <= 0) return 0;
  if (probability >= 1) return trials;
  if (probability > 0.5) return trials - binomial_draw(trials, 1 - probability, random);
  constexpr double kFew = 10;  // the rejection's hat is valid from here
  const auto count = static_cast<double>(trials);
  return count * probability < kFew ? binomial_by_inversion(count, probability, random)
                                    : binomial_by_rejection(count, probability, random);
}

double log_gamma_draw(double shape, RandomStream& random) {
  if (shape < 1) {
    // Gamma(a) = Gamma(a + 1) * U^(1 / a).
    const double raised = log_gamma_draw(shape + 1, random);
    return raised + std::log(1.0 - random.uniform()) / shape;
  }
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  while (true) {
    const double normal = random.normal();
    const double cube = std::pow(1.0 + c * normal, 3);
    if (cube <= 0) continue;
    const double u = 1.0 - random.uniform();
    if (std::log(u) < 0.5 * normal * normal + d - d * cube + d * std::log(cube)) {
      return std::log(d) + std::log(cube);
    }
  }
}

double beta_draw(double a, RandomStream& random) {
  const double x = log_gamma_draw(a, random);
  const double y = log_gamma_draw(a, random);
  return 1.0 / (1.0 + std::exp(y - x));
}

std::vector<double> dirichlet_draw(double alpha, std::size_t count, RandomStream& random) {
  std::vector<double> shares(count);
  for (double& share : shares) share = log_gamma_draw(alpha, random);
  const double largest = *std::max_element(shares.begin(), shares.end());
  double sum = 0;
  for (double& share : shares) {
    share = std::exp(share - largest);
    sum += share;
  }
  for (double& share : shares) share /= sum;
  return shares;
}

}  // namespace amalgam
