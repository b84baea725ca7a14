#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/core/statistics.hpp"
#include "amalgam/scores/rank_aggregator.hpp"

namespace amalgam::scores {

struct BootstrapOptions {
  /// What is drawn again, as often as there are of them. Comparisons are drawn by cluster in any
  /// case.
  enum class Over {
    instances,         ///< of each task for itself; tasks where there are no instances
    shared_instances,  ///< an instance with its values in all tasks (several metrics of one output)
    tasks,             ///< with all their instances
  };

  std::size_t resamples = 1000;
  Over over = Over::instances;
  double confidence = 0.95;  ///< of intervals; 1 - confidence is the level of tests; in (0, 1)
  std::uint64_t seed = 0;
  Parallel parallel = {};
};
std::string_view over_name(BootstrapOptions::Over over);
/// InputError listing the names otherwise.
BootstrapOptions::Over over_of_name(std::string_view name);

/// A run of neighbours in the order of a ranking of whom no two can be told apart: places
/// [first, last] of RankUncertainty::order.
struct TieGroup {
  std::size_t first = 0;
  std::size_t last = 0;
};

/// How far a ranking can be trusted. Systems are numbered as in the table.
struct RankUncertainty {
  std::vector<System> order;  ///< best to worst

  // Percentile intervals of the resamples, [systems]. NaN scores and full ranges of ranks for a
  // system that no resample could rank.
  std::vector<Interval> scores;
  std::vector<double> standard_errors;   ///< of the scores
  std::vector<std::uint32_t> rank_low;   ///< the better end
  std::vector<std::uint32_t> rank_high;  ///< the worse end
  /// [systems]: share of the resamples in which it comes first; who share the place share it.
  std::vector<double> best;

  /// [systems, systems]: share of the resamples in which i comes before j, ties being half; NaN on
  /// the diagonal.
  std::vector<double> before;
  /// [systems, systems], symmetric: two-sided p-value of equal scores, the difference being normal
  /// with the resamples' standard deviation; NaN on the diagonal and for pairs never ranked
  /// together.
  std::vector<double> p_values;
  std::vector<double> p_holm;                ///< adjusted over all pairs by holm()
  std::vector<double> p_benjamini_hochberg;  ///< adjusted over all pairs by benjamini_hochberg()

  // [systems]: 1 + the systems that are better by p_holm, and all but those that are worse: with
  // `confidence`, all true ranks are within theirs at the same time.
  std::vector<std::uint32_t> rank_set_low;
  std::vector<std::uint32_t> rank_set_high;
  /// Maximal runs without a pair that p_holm tells apart, from best to worst; they overlap where
  /// "cannot be told apart" does not carry over. Every system is in at least one.
  std::vector<TieGroup> groups;

  double confidence = 0.95;
  BootstrapOptions::Over over = BootstrapOptions::Over::instances;  ///< what was drawn
  std::size_t units = 0;                ///< how many of them (ballots, instances, tasks; clusters)
  std::size_t resamples = 0;            ///< asked for
  std::size_t failed = 0;               ///< of them, could not be ranked and are left out
  std::vector<std::uint32_t> unranked;  ///< [systems]: further resamples in which it had no score
  std::vector<std::string> warnings;

  std::size_t size() const { return order.size(); }
  /// Whether `better` is better than `worse` beyond doubt at level 1 - confidence (p_holm).
  bool separated(System better, System worse) const;
};

/// Draws the table's measurements again and again and ranks each resample by `method` as `context`
/// says, `ranking` being the ranking of the table itself. Resamples are factors for the table's
/// parts, never copies; resample r draws from the stream "bootstrap r" of the seed, so that the
/// result is the same bits for any number of threads. Multinomial counts: as many are drawn as
/// there are. `progress` gets the number of resamples finished since its last call, from any
/// thread. InputError: no resamples, a confidence outside (0, 1), nothing that could be drawn (one
/// task without instances), or not one resample that could be ranked, saying why.
RankUncertainty bootstrap_ranking(const RankAggregator& method, const ScoreTable& table,
                                  const RankContext& context, const Ranking& ranking,
                                  const BootstrapOptions& options = {},
                                  const std::function<void(std::size_t)>& progress = {});

/// What bootstrap_ranking makes of the scores of resamples: `replicates` is [resamples, systems],
/// a row of NaN for one that failed.
RankUncertainty summarise_resamples(const Ranking& ranking, std::span<const double> replicates,
                                    double confidence);

/// Compact letters of tie groups, [systems]: systems that share a letter cannot be told apart.
std::vector<std::string> group_letters(const RankUncertainty& uncertainty);

}  // namespace amalgam::scores
