#include "amalgam/scores/studies/hypothesis_tests.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/tail_probabilities.hpp"

namespace amalgam::scores {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double log_choose(double n, double k) {
  return portable_log_gamma(n + 1) - portable_log_gamma(k + 1) - portable_log_gamma(n - k + 1);
}

}  // namespace

TestResult undefined_test() { return {.statistic = kNaN, .degrees = 0, .p = kNaN}; }

TestResult two_proportion_test(const Proportion& first, const Proportion& second) {
  const std::uint64_t successes = first.successes + second.successes;
  const std::uint64_t trials = first.trials + second.trials;
  if (first.trials == 0 || second.trials == 0 || successes == 0 || successes == trials) {
    return undefined_test();
  }
  const double pooled = static_cast<double>(successes) / static_cast<double>(trials);
  const double inverse =
      1 / static_cast<double>(first.trials) + 1 / static_cast<double>(second.trials);
  const double z = (first.share() - second.share()) / std::sqrt(pooled * (1 - pooled) * inverse);
  return {.statistic = z, .p = normal_two_sided(z)};
}

double fisher_exact_test(const Proportion& first, const Proportion& second) {
  if (first.trials == 0 || second.trials == 0) return kNaN;
  const auto n1 = static_cast<double>(first.trials);
  const auto n2 = static_cast<double>(second.trials);
  const auto k = static_cast<double>(first.successes + second.successes);
  const auto log_probability = [&](double a) {
    return log_choose(n1, a) + log_choose(n2, k - a) - log_choose(n1 + n2, k);
  };
  const double found = log_probability(static_cast<double>(first.successes));
  double sum = 0;
  for (double a = std::max(0.0, k - n2); a <= std::min(n1, k); ++a) {
    const double log_p = log_probability(a);
    // Equal probabilities may differ by what rounding does to logarithms of large factorials.
    if (log_p <= found + 1e-7) sum += portable_exp(log_p);
  }
  return std::min(1.0, sum);
}

TestResult homogeneity_test(std::span<const Proportion> groups) {
  double successes = 0;
  double trials = 0;
  double counted = 0;
  for (const Proportion& group : groups) {
    if (group.trials == 0) continue;
    successes += static_cast<double>(group.successes);
    trials += static_cast<double>(group.trials);
    ++counted;
  }
  const double p = successes / trials;
  if (counted < 2 || p <= 0 || p >= 1) return undefined_test();
  double sum = 0;
  for (const Proportion& group : groups) {
    if (group.trials == 0) continue;
    const auto n = static_cast<double>(group.trials);
    const double apart = static_cast<double>(group.successes) - n * p;
    sum += apart * apart / (n * p * (1 - p));
  }
  return {.statistic = sum, .degrees = counted - 1, .p = chi_squared_above(sum, counted - 1)};
}

TestResult trend_test(std::span<const Proportion> strata, std::size_t scores) {
  double sum = 0;
  double variance = 0;
  for (std::size_t begin = 0; begin + scores <= strata.size(); begin += scores) {
    double trials = 0;
    double successes = 0;
    double mean = 0;
    double squares = 0;
    for (std::size_t i = 0; i < scores; ++i) {
      const double score = static_cast<double>(i) + 1;
      const auto n = static_cast<double>(strata[begin + i].trials);
      trials += n;
      successes += static_cast<double>(strata[begin + i].successes);
      mean += n * score;
      squares += n * score * score;
    }
    if (trials == 0) continue;
    const double p = successes / trials;
    for (std::size_t i = 0; i < scores; ++i) {
      const double score = static_cast<double>(i) + 1;
      sum += score * (static_cast<double>(strata[begin + i].successes) -
                      static_cast<double>(strata[begin + i].trials) * p);
    }
    variance += p * (1 - p) * (squares - mean * mean / trials);
  }
  if (!(variance > 0)) return undefined_test();
  const double z = sum / std::sqrt(variance);
  return {.statistic = z, .p = normal_two_sided(z)};
}

}  // namespace amalgam::scores
