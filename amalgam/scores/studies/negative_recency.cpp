#include "amalgam/scores/studies/negative_recency.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "amalgam/core/tail_probabilities.hpp"

namespace amalgam::scores {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// The share of yes among the answers that transitions are between.
double share_in_segments(const DecisionCounts& counts) {
  std::uint64_t size = 0;
  std::uint64_t yes = 0;
  for (const SegmentTally& segment : counts.segments()) {
    size += segment.size;
    yes += segment.yes;
  }
  return static_cast<double>(yes) / static_cast<double>(size);
}

TestResult against_rate(double rate, double expected, double n) {
  if (!(expected > 0 && expected < 1)) return undefined_test();
  const double z = (rate - expected) / std::sqrt(expected * (1 - expected) / n);
  return {.statistic = z, .p = normal_two_sided(z)};
}

}  // namespace

double independent_switch_rate(double yes) { return 2 * yes * (1 - yes); }

double autocorrelation(double switch_rate, double yes) {
  const double independent = independent_switch_rate(yes);
  return independent > 0 ? 1 - switch_rate / independent : kNaN;
}

NegativeRecency negative_recency(const DecisionCounts& counts, double human_rate) {
  NegativeRecency found;
  found.transitions = counts.positions(1);
  std::vector<Proportion> strata;
  for (std::size_t symbol = 0; symbol < 2; ++symbol) {
    const Repeats& repeats = counts.repeats()[symbol];
    for (std::size_t run = 0; run < repeats.after.size(); ++run) {
      found.repeats[symbol][run] = {repeats.repeats[run], repeats.after[run]};
      strata.push_back(found.repeats[symbol][run]);
    }
  }
  if (found.transitions == 0) {
    found.switch_rate = found.independent_rate = found.lag1 = kNaN;
    found.lag1_interval = {kNaN, kNaN};
    found.runs.result = found.exact_runs = found.trend = found.vs_human = undefined_test();
    return found;
  }
  const auto n = static_cast<double>(found.transitions);
  const double yes = share_in_segments(counts);
  found.switch_rate = static_cast<double>(counts.count(2, 0b01) + counts.count(2, 0b10)) / n;
  found.independent_rate = independent_switch_rate(yes);
  found.lag1 = autocorrelation(found.switch_rate, yes);
  const double reach = kNormal95 / std::sqrt(n);
  found.lag1_interval = {found.lag1 - reach, found.lag1 + reach};
  found.runs = runs_test(counts.segments());
  found.exact_runs = exact_runs_test(counts.segments());
  found.trend = trend_test(strata, found.repeats[0].size());
  found.vs_human = against_rate(found.switch_rate, human_rate, n);
  return found;
}

std::array<double, kHighestOrder> autocorrelations(const DecisionCounts& counts) {
  std::array<double, kHighestOrder> found{};
  const double yes = share_in_segments(counts);
  for (std::size_t lag = 1; lag <= kHighestOrder; ++lag) {
    std::uint64_t differ = 0;
    for (std::size_t pattern = 0; pattern < std::size_t{2} << lag; ++pattern) {
      const bool oldest = (pattern >> lag) != 0;
      const bool latest = (pattern & 1U) != 0;
      if (oldest != latest) differ += counts.count(lag + 1, pattern);
    }
    const std::uint64_t pairs = counts.positions(lag);
    const double rate = static_cast<double>(differ) / static_cast<double>(pairs);
    found[lag - 1] = pairs == 0 ? kNaN : autocorrelation(rate, yes);
  }
  return found;
}

double effective_votes(std::uint64_t n, std::span<const double> autocorrelations) {
  const auto size = static_cast<double>(n);
  double sum = 1;
  for (std::size_t i = 0; i < autocorrelations.size() && i + 1 < n; ++i) {
    sum += 2 * (1 - (static_cast<double>(i) + 1) / size) * autocorrelations[i];
  }
  if (std::isnan(sum)) return kNaN;
  // A sum at or below 0 would be a variance of the mean below any: as many as is allowed.
  return sum <= 0.1 ? 10 * size : std::max(1.0, size / sum);
}

}  // namespace amalgam::scores
