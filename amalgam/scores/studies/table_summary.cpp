#include <algorithm>
#include <cmath>
#include <limits>

#include "amalgam/core/averages.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/quantile.hpp"
#include "amalgam/scores/studies/table_properties.hpp"

namespace amalgam::scores {
namespace {

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

double quantile(const std::vector<double>& sorted, double share) {
  return sorted.empty() ? kNothing : quantile_of_sorted(sorted, share);
}

}  // namespace

void check_study_options(const TableStudyOptions& options) {
  for (const double share : options.shares) {
    const bool is_share = share > 0 && share < 1;  // and no NaN
    if (!is_share) {
      throw InputError("a sample of {} of the rows; expected a share above 0 and below 1", share);
    }
  }
  if (options.permutations == 0 || options.samples == 0 || options.queries == 0 ||
      options.most_pairs == 0 || options.neighbours.empty() ||
      std::ranges::count(options.neighbours, 0U) > 0) {
    throw InputError(
        "a study of tables needs at least 1 permutation, sample, pair, query and neighbour");
  }
}

MeasureSummary summarise(const TableMeasure& measure, std::size_t resamples, std::uint64_t seed) {
  MeasureSummary summary;
  std::vector<double> all;
  std::vector<double> of_tables;
  for (const std::vector<double>& table : measure.values) {
    std::vector<double> defined;
    for (const double value : table) {
      if (!std::isnan(value)) defined.push_back(value);
    }
    summary.undefined += table.size() - defined.size();
    if (!defined.empty()) of_tables.push_back(mean_of(defined));
    all.insert(all.end(), defined.begin(), defined.end());
  }
  std::ranges::sort(all);
  summary.tables = of_tables.size();
  summary.values = all.size();
  summary.mean = mean_of(of_tables);
  summary.pooled_mean = mean_of(all);
  summary.least = quantile(all, 0);
  for (std::size_t i = 0; i < 3; ++i) {
    summary.quartiles[i] = quantile(all, 0.25 * static_cast<double>(i + 1));
  }
  summary.greatest = quantile(all, 1);
  if (resamples > 0 && of_tables.size() > 1) {
    summary.interval = bootstrap_interval(of_tables.size(), resamples, seed,
                                          [&](std::span<const std::uint32_t> drawn) {
                                            double sum = 0;
                                            for (const std::uint32_t table : drawn)
                                              sum += of_tables[table];
                                            return sum / static_cast<double>(drawn.size());
                                          });
  }
  return summary;
}

}  // namespace amalgam::scores
