#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/core/statistics.hpp"
#include "amalgam/scores/rank_aggregator.hpp"
#include "amalgam/scores/uncertainty/resampled_pairs.hpp"

namespace amalgam::scores {

/// A run of neighbours in the order of a ranking of whom no two can be told apart: places
/// [first, last] of RankUncertainty::order.
struct TieGroup {
  std::size_t first = 0;
  std::size_t last = 0;
  friend bool operator==(const TieGroup&, const TieGroup&) = default;
};

/// How far a ranking can be trusted. Systems are numbered as in the table.
struct RankUncertainty {
  std::vector<System> order;  ///< best to worst

  // Percentile intervals of the resamples, [systems]: NaN scores and all ranks for a system that no
  // resample could rank.
  std::vector<Interval> scores;
  std::vector<double> standard_errors;   ///< of the scores; NaN for fewer than two resamples
  std::vector<std::uint32_t> rank_low;   ///< the better end
  std::vector<std::uint32_t> rank_high;  ///< the worse end
  /// [systems]: share of the resamples in which it comes first; who share the place share it.
  std::vector<double> best;

  /// [systems, systems]: share of the resamples in which i comes before j, ties being half; NaN on
  /// the diagonal and for pairs never ranked together.
  std::vector<double> before;
  /// [systems, systems], symmetric, NaN as `before`: two-sided p-value of equal scores. The
  /// difference is taken as normal with the resamples' standard deviation, where they do not vary
  /// as if one more had turned it round.
  std::vector<double> p_values;
  std::vector<double> p_holm;                ///< adjusted over all pairs by holm()
  std::vector<double> p_benjamini_hochberg;  ///< adjusted over all pairs by benjamini_hochberg()

  // [systems]: 1 + the systems that are better by p_holm, and all but those that are worse: with
  // `confidence`, all true ranks are within theirs at the same time.
  std::vector<std::uint32_t> rank_set_low;
  std::vector<std::uint32_t> rank_set_high;
  /// Maximal runs without a pair that p_holm tells apart, from best to worst. They overlap, for
  /// "cannot be told apart" does not carry over from neighbour to neighbour. Every system is in at
  /// least one; two neighbours share one unless they can be told apart.
  std::vector<TieGroup> groups;

  double confidence = 0.95;
  ResampleUnit over = ResampleUnit::instances;  ///< what was drawn
  std::size_t units = 0;      ///< how many of them: ballots, tasks, clusters of comparisons
  std::size_t resamples = 0;  ///< asked for
  std::size_t failed = 0;     ///< of them, could not be ranked and are left out
  std::vector<std::uint32_t> unranked;  ///< [systems]: further resamples in which it had no score
  std::vector<std::string> warnings;

  std::size_t size() const { return order.size(); }
  /// Whether one of two systems is better than the other beyond doubt, at level 1 - confidence
  /// (p_holm).
  bool separated(System i, System j) const;
};

/// What the scores of resamples say of `ranking`: `replicates` is [resamples, systems], a row of
/// NaN for a resample that could not be ranked.
RankUncertainty summarise_resamples(const Ranking& ranking, std::span<const double> replicates,
                                    double confidence, const Parallel& parallel = {});

/// Letters of tie groups, [systems]: systems that share a letter cannot be told apart ("a" is the
/// best group; after "z" comes "aa").
std::vector<std::string> group_letters(const RankUncertainty& uncertainty);

}  // namespace amalgam::scores
