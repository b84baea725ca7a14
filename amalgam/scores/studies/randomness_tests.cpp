#include "amalgam/scores/studies/randomness_tests.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>
#include <numeric>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/tail_probabilities.hpp"

namespace amalgam::scores {
namespace {

constexpr double kMostSteps = 1e8;

// The sum of p ln p over the shares of patterns.
double negative_entropy(std::span<const std::uint64_t> counts, double n) {
  double sum = 0;
  for (const std::uint64_t count : counts) {
    if (count == 0) continue;
    const double share = static_cast<double>(count) / n;
    sum += share * portable_log(share);
  }
  return sum;
}

double total(std::span<const std::uint64_t> counts) {
  return static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}));
}

double log_choose(double n, double k) {
  if (k < 0 || k > n) return -std::numeric_limits<double>::infinity();
  return portable_log_gamma(n + 1) - portable_log_gamma(k + 1) - portable_log_gamma(n - k + 1);
}

// P(switches) over all orders of `yes` and `no` answers, [0, 2 min(yes, no)].
std::vector<double> switch_distribution(std::uint64_t yes, std::uint64_t no) {
  if (yes == 0 || no == 0) return {1};
  const auto a = static_cast<double>(yes);
  const auto b = static_cast<double>(no);
  const double all = log_choose(a + b, a);
  std::vector<double> distribution(2 * std::min(yes, no) + 1);
  for (std::size_t switches = 1; switches < distribution.size(); ++switches) {
    // Runs come in turn: as many of both, or one more of the symbol that begins and ends.
    const std::size_t runs = switches + 1;
    const auto half = static_cast<double>(runs / 2);
    if (runs % 2 == 0) {
      distribution[switches] =
          2 * portable_exp(log_choose(a - 1, half - 1) + log_choose(b - 1, half - 1) - all);
    } else {
      distribution[switches] =
          portable_exp(log_choose(a - 1, half) + log_choose(b - 1, half - 1) - all) +
          portable_exp(log_choose(a - 1, half - 1) + log_choose(b - 1, half) - all);
    }
  }
  return distribution;
}

std::vector<double> convolved(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> sums(a.size() + b.size() - 1);
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < b.size(); ++j) sums[i + j] += a[i] * b[j];
  }
  return sums;
}

// How many products exact_runs_test takes.
double steps_of(std::span<const SegmentTally> segments) {
  double width = 1;
  double steps = 0;
  for (const SegmentTally& segment : segments) {
    const auto fewer = static_cast<double>(std::min(segment.yes, segment.size - segment.yes));
    steps += width * (2 * fewer + 1);
    width += 2 * fewer;
  }
  return steps;
}

}  // namespace

double psi_squared(std::span<const std::uint64_t> cyclic_counts) {
  const double n = total(cyclic_counts);
  double squares = 0;
  for (const std::uint64_t count : cyclic_counts) {
    squares += static_cast<double>(count) * static_cast<double>(count);
  }
  return static_cast<double>(cyclic_counts.size()) / n * squares - n;
}

ApproximateEntropy approximate_entropy(std::span<const std::uint64_t> cyclic_counts,
                                       std::span<const std::uint64_t> longer_cyclic_counts) {
  const double n = total(cyclic_counts);
  const double entropy =
      negative_entropy(cyclic_counts, n) - negative_entropy(longer_cyclic_counts, n);
  return {entropy, 2 * n * (std::numbers::ln2 - entropy)};
}

SerialTest serial_test(double psi, double psi_of_one_less, double psi_of_two_less, std::size_t m,
                       std::size_t sequences) {
  const double first = psi - psi_of_one_less;
  const double second = psi - 2 * psi_of_one_less + psi_of_two_less;
  const double degrees = static_cast<double>(sequences) * std::exp2(static_cast<double>(m) - 1);
  return {
      {.statistic = first, .degrees = degrees, .p = chi_squared_above(first, degrees)},
      {.statistic = second, .degrees = degrees / 2, .p = chi_squared_above(second, degrees / 2)}};
}

std::vector<PatternCount> pattern_table(const DecisionCounts& counts) {
  std::vector<PatternCount> table;
  const auto answers = static_cast<double>(counts.positions(0));
  if (counts.positions(1) == 0) return table;
  const double yes = static_cast<double>(counts.count(1, 1)) / answers;
  for (std::size_t length = 2; length <= 3; ++length) {
    const auto positions = static_cast<double>(counts.positions(length - 1));
    for (std::size_t pattern = 0; pattern < std::size_t{1} << length; ++pattern) {
      PatternCount one{
          .pattern = {}, .count = counts.count(length, pattern), .expected = positions};
      for (std::size_t bit = length; bit-- > 0;) {
        const bool is_yes = ((pattern >> bit) & 1U) != 0;
        one.pattern += is_yes ? '1' : '0';
        one.expected *= is_yes ? yes : 1 - yes;
      }
      table.push_back(std::move(one));
    }
  }
  return table;
}

TestResult frequency_test(const Proportion& found) {
  if (found.trials == 0) return undefined_test();
  const auto n = static_cast<double>(found.trials);
  const double z = (static_cast<double>(found.successes) - n / 2) / std::sqrt(n / 4);
  return {.statistic = z, .p = normal_two_sided(z)};
}

TestResult nist_runs_test(const SegmentTally& sequence) {
  const auto n = static_cast<double>(sequence.size);
  const double share = static_cast<double>(sequence.yes) / n;
  if (sequence.size < 2 || std::abs(share - 0.5) >= 2 / std::sqrt(n)) return undefined_test();
  const double runs = static_cast<double>(sequence.switches) + 1;
  const double spread = 2 * share * (1 - share);
  const double z = (runs - n * spread) / (std::sqrt(n) * spread);
  return {.statistic = runs, .p = normal_two_sided(z)};
}

RunsTest runs_test(std::span<const SegmentTally> segments) {
  RunsTest test;
  for (const SegmentTally& segment : segments) {
    const auto n = static_cast<double>(segment.size);
    const auto yes = static_cast<double>(segment.yes);
    const double twice = 2 * yes * (n - yes);
    test.runs += static_cast<double>(segment.switches) + 1;
    test.expected += twice / n + 1;
    if (segment.size > 1) test.variance += twice * (twice - n) / (n * n * (n - 1));
  }
  if (!(test.variance > 0)) {
    test.result = undefined_test();
    return test;
  }
  const double z = (test.runs - test.expected) / std::sqrt(test.variance);
  test.result = {.statistic = z, .p = normal_two_sided(z)};
  return test;
}

TestResult exact_runs_test(std::span<const SegmentTally> segments) {
  TestResult result = runs_test(segments).result;
  if (!result.defined() || steps_of(segments) > kMostSteps) return result;
  std::vector<double> distribution{1};
  std::size_t found = 0;
  for (const SegmentTally& segment : segments) {
    found += segment.switches;
    distribution =
        convolved(distribution, switch_distribution(segment.yes, segment.size - segment.yes));
  }
  const double threshold = distribution[found] * (1 + 1e-9);
  double sum = 0;
  for (const double probability : distribution) {
    if (probability <= threshold) sum += probability;
  }
  result.p = std::min(1.0, sum);
  result.exact = true;
  return result;
}

double longest_run_tail(std::uint64_t size, std::uint64_t length) {
  if (length > size) return 0;
  if (length <= 1) return 1;
  // A run first becomes so long with answer n if there was none within n - length answers, the next
  // one differs from the last of these, and all others up to n are like it: a chance of
  // 2^-length * absent(n - length), without the first factor 1/2 at the beginning.
  std::vector<double> absent(length, 1.0);  // absent(n) at n % length, of the last `length` n
  const auto exponent = static_cast<double>(length);
  double reached = std::exp2(1 - exponent);
  double none = 1 - reached;
  absent[0] = none;
  for (std::uint64_t n = length + 1; n <= size; ++n) {
    double& earlier = absent[n % length];
    const double first = std::exp2(-exponent) * earlier;
    reached += first;
    none -= first;
    earlier = none;
  }
  return reached;
}

TestResult longest_run_test(std::span<const SegmentTally> segments) {
  std::uint64_t longest = 0;
  for (const SegmentTally& segment : segments) longest = std::max(longest, segment.longest_run);
  if (longest == 0) return undefined_test();
  // A run of 200 has a chance below 1e-40 in any file; what is longer is as good as that.
  const std::uint64_t length = std::min<std::uint64_t>(longest, 200);
  std::map<std::uint64_t, double> tails;  // by size: series are often of one
  double below = 0;                       // ln P(no segment has so long a run)
  for (const SegmentTally& segment : segments) {
    auto found = tails.find(segment.size);
    if (found == tails.end()) {
      found = tails.emplace(segment.size, longest_run_tail(segment.size, length)).first;
    }
    below += std::log1p(-found->second);
  }
  return {.statistic = static_cast<double>(longest), .p = -std::expm1(below), .exact = true};
}

}  // namespace amalgam::scores
