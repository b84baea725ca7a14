#include "amalgam/scores/studies/markov_order.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/tail_probabilities.hpp"

namespace amalgam::scores {
namespace {

constexpr std::size_t kHighestChosen = 4;
constexpr std::size_t kAnswersPerContext = 8;

// n ln(n / m), 0 for n = 0.
double n_log_share(std::uint64_t n, std::uint64_t m) {
  if (n == 0) return 0;
  return static_cast<double>(n) *
         (portable_log(static_cast<double>(n)) - portable_log(static_cast<double>(m)));
}

std::vector<std::uint64_t> counts_of(const DecisionCounts& counts, std::size_t length) {
  std::vector<std::uint64_t> found(std::size_t{1} << length);
  for (std::size_t pattern = 0; pattern < found.size(); ++pattern) {
    found[pattern] = counts.count(length, pattern);
  }
  return found;
}

// Counts of the patterns without their oldest answer, at the same positions.
std::vector<std::uint64_t> without_oldest(std::span<const std::uint64_t> counts) {
  const std::size_t half = counts.size() / 2;
  std::vector<std::uint64_t> sums(half);
  for (std::size_t i = 0; i < half; ++i) sums[i] = counts[i] + counts[half + i];
  return sums;
}

// The sum of n ln P(next | context).
double log_likelihood(std::span<const std::uint64_t> counts) {
  double sum = 0;
  for (std::size_t context = 0; context < counts.size() / 2; ++context) {
    const std::uint64_t no = counts[2 * context];
    const std::uint64_t yes = counts[2 * context + 1];
    sum += n_log_share(no, no + yes) + n_log_share(yes, no + yes);
  }
  return sum;
}

}  // namespace

OrderTest order_test(std::span<const std::uint64_t> counts) {
  OrderTest test;
  while ((std::size_t{2} << test.order) < counts.size()) ++test.order;
  const std::vector<std::uint64_t> shorter = without_oldest(counts);
  std::uint64_t no = 0;
  std::uint64_t yes = 0;
  for (std::size_t i = 0; i < shorter.size(); i += 2) {
    no += shorter[i];
    yes += shorter[i + 1];
  }
  if (no == 0 || yes == 0) {
    test.g_squared = test.pearson = undefined_test();
    return test;
  }
  double pearson = 0;
  test.least_expected = std::numeric_limits<double>::infinity();
  for (std::size_t pattern = 0; pattern < counts.size(); ++pattern) {
    const auto context = static_cast<double>(counts[pattern] + counts[pattern ^ 1U]);
    const std::size_t rest = pattern % shorter.size();
    const std::uint64_t of_rest = shorter[rest] + shorter[rest ^ 1U];
    if (of_rest == 0) {
      test.least_expected = 0;
      continue;
    }
    const double expected =
        context * static_cast<double>(shorter[rest]) / static_cast<double>(of_rest);
    test.least_expected = std::min(test.least_expected, expected);
    if (expected <= 0) continue;
    const double apart = static_cast<double>(counts[pattern]) - expected;
    pearson += apart * apart / expected;
  }
  const double degrees = std::exp2(static_cast<double>(test.order) - 1);
  const double g = std::max(0.0, 2 * (log_likelihood(counts) - log_likelihood(shorter)));
  test.g_squared = {.statistic = g, .degrees = degrees, .p = chi_squared_above(g, degrees)};
  test.pearson = {
      .statistic = pearson, .degrees = degrees, .p = chi_squared_above(pearson, degrees)};
  return test;
}

OrderTest order_test(const DecisionCounts& counts, std::size_t order) {
  return order_test(counts_of(counts, order + 1));
}

double TransitionMatrix::chance(std::size_t from, std::size_t to) const {
  return static_cast<double>(counts[from][to]) /
         static_cast<double>(counts[from][0] + counts[from][1]);
}

TransitionMatrix transition_matrix(const DecisionCounts& counts) {
  TransitionMatrix matrix;
  for (std::size_t from = 0; from < 2; ++from) {
    for (std::size_t to = 0; to < 2; ++to) matrix.counts[from][to] = counts.count(2, 2 * from + to);
  }
  return matrix;
}

OrderChoice choose_order(const DecisionCounts& counts) {
  OrderChoice choice;
  std::size_t highest = kHighestChosen;
  while (highest > 0 && counts.positions(highest) < (kAnswersPerContext << highest)) --highest;
  choice.positions = counts.positions(highest);
  if (choice.positions < kAnswersPerContext) return choice;
  choice.bic.resize(highest + 1);
  const double log_n = portable_log(static_cast<double>(choice.positions));
  std::vector<std::uint64_t> patterns = counts_of(counts, highest + 1);
  for (std::size_t order = highest;; --order) {
    choice.bic[order] =
        -2 * log_likelihood(patterns) + std::exp2(static_cast<double>(order)) * log_n;
    if (order == 0) break;
    patterns = without_oldest(patterns);
  }
  choice.order =
      static_cast<std::size_t>(std::ranges::min_element(choice.bic) - choice.bic.begin());
  return choice;
}

TestResult same_transitions_test(const TransitionMatrix& first, const TransitionMatrix& second) {
  double g = 0;
  double degrees = 0;
  for (std::size_t from = 0; from < 2; ++from) {
    const std::uint64_t of_first = first.counts[from][0] + first.counts[from][1];
    const std::uint64_t of_second = second.counts[from][0] + second.counts[from][1];
    if (of_first == 0 || of_second == 0) continue;
    ++degrees;
    for (std::size_t to = 0; to < 2; ++to) {
      g +=
          2 * (n_log_share(first.counts[from][to], of_first) +
               n_log_share(second.counts[from][to], of_second) -
               n_log_share(first.counts[from][to] + second.counts[from][to], of_first + of_second));
    }
  }
  if (degrees < 1) return undefined_test();
  g = std::max(0.0, g);
  return {.statistic = g, .degrees = degrees, .p = chi_squared_above(g, degrees)};
}

}  // namespace amalgam::scores
