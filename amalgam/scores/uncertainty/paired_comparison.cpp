#include "amalgam/scores/uncertainty/paired_comparison.hpp"

#include <algorithm>
#include <numeric>

#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/multiple_testing.hpp"

namespace amalgam::scores {
namespace {

std::uint64_t pair_key(System a, System b) {
  return (std::uint64_t{std::min(a, b)} << 32U) | std::max(a, b);
}

}  // namespace

PairedMeasurements::PairedMeasurements(const ScoreTable& table, Clusters clusters)
    : table_(&table),
      clusters_(clusters),
      ballots_of_(table.system_count()),
      rows_of_(table.system_count()),
      comparisons_(table.comparisons.size()),
      pairs_(table.comparisons.size()) {
  for (std::size_t ballot = 0; ballot < table.ballot_count(); ++ballot) {
    for (std::uint64_t row = table.ballot_begins[ballot]; row < table.ballot_begins[ballot + 1];
         ++row) {
      ballots_of_[table.row_systems[row]].push_back(static_cast<std::uint32_t>(ballot));
      rows_of_[table.row_systems[row]].push_back(row);
    }
  }
  const Comparisons& comparisons = table.comparisons;
  const auto key = [&](std::uint32_t row) {
    return pair_key(comparisons.first[row], comparisons.second[row]);
  };
  std::iota(comparisons_.begin(), comparisons_.end(), 0U);
  std::ranges::stable_sort(comparisons_, {}, key);
  std::ranges::transform(comparisons_, pairs_.begin(), key);
}

PairedSample PairedMeasurements::sample(System first, System second) const {
  PairedSample sample;
  add_ballots(first, second, sample);
  if (sample.size() == 0) add_comparisons(first, second, sample);
  return sample;
}

void PairedMeasurements::add_ballots(System first, System second, PairedSample& sample) const {
  const std::vector<std::uint32_t>& left = ballots_of_[first];
  const std::vector<std::uint32_t>& right = ballots_of_[second];
  for (std::size_t i = 0, j = 0; i < left.size() && j < right.size();) {
    if (left[i] != right[j]) {
      ++(left[i] < right[j] ? i : j);
      continue;
    }
    const std::uint32_t ballot = left[i];
    sample.differences.push_back(table_->values[rows_of_[first][i]] -
                                 table_->values[rows_of_[second][j]]);
    sample.tasks.push_back(table_->ballot_tasks[ballot]);
    if (clusters_ == Clusters::instances) {
      sample.clusters.push_back(table_->ballot_instances[ballot]);
    } else if (clusters_ == Clusters::tasks) {
      sample.clusters.push_back(table_->ballot_tasks[ballot]);
    }
    ++i;
    ++j;
  }
}

void PairedMeasurements::add_comparisons(System first, System second, PairedSample& sample) const {
  const Comparisons& comparisons = table_->comparisons;
  const auto [begin, end] = std::ranges::equal_range(pairs_, pair_key(first, second));
  for (auto at = begin; at != end; ++at) {
    const std::uint32_t row = comparisons_[static_cast<std::size_t>(at - pairs_.begin())];
    const int sign = comparisons.first[row] == first ? 1 : -1;
    sample.differences.push_back(sign * comparisons.outcomes[row]);
    sample.tasks.push_back(0);
    if (!comparisons.clusters.empty()) sample.clusters.push_back(comparisons.clusters[row]);
  }
}

PairedTest fitting_test(const ScoreTable& table, PairedMeasurements::Clusters clusters) {
  if (table.ballot_count() == 0) {
    return table.comparisons.clusters.empty() ? PairedTest::sign : PairedTest::mean;
  }
  if (clusters != PairedMeasurements::Clusters::none) return PairedTest::mean;
  const auto all_are = [&](ScoreKind kind) {
    return std::ranges::all_of(table.task_infos,
                               [&](const TaskInfo& info) { return info.kind == kind; });
  };
  const auto some_are = [&](ScoreKind kind) {
    return std::ranges::any_of(table.task_infos,
                               [&](const TaskInfo& info) { return info.kind == kind; });
  };
  if (all_are(ScoreKind::binary)) return PairedTest::mcnemar;
  return some_are(ScoreKind::ordinal) ? PairedTest::sign : PairedTest::mean;
}

std::vector<PairComparison> compare_pairs(const PairedMeasurements& measurements,
                                          const std::vector<std::pair<System, System>>& pairs,
                                          const PairedTestOptions& options,
                                          const Parallel& parallel) {
  std::vector<PairComparison> comparisons(pairs.size());
  parallel_for(parallel, pairs.size(), [&](std::size_t at, std::size_t /*worker*/) {
    check_interrupt();
    const auto [first, second] = pairs[at];
    PairedTestOptions of_pair = options;
    of_pair.seed = options.seed ^ (pair_key(first, second) * 0x9E3779B97F4A7C15ULL);
    comparisons[at] = {.first = first,
                       .second = second,
                       .result = compare_pair(measurements.sample(first, second), of_pair)};
  });
  std::vector<double> p_values;
  p_values.reserve(pairs.size());
  for (const PairComparison& one : comparisons) p_values.push_back(one.result.p);
  const std::vector<double> family_wise = holm(p_values);
  const std::vector<double> false_discovery = benjamini_hochberg(p_values);
  for (std::size_t at = 0; at < pairs.size(); ++at) {
    comparisons[at].p_holm = family_wise[at];
    comparisons[at].p_benjamini_hochberg = false_discovery[at];
  }
  return comparisons;
}

}  // namespace amalgam::scores
