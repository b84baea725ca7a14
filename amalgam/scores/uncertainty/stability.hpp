#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/core/statistics.hpp"
#include "amalgam/scores/rank_aggregator.hpp"

namespace amalgam::scores {

struct StabilityOptions {
  /// What is taken away.
  enum class Removed {
    ballots,  ///< instances (or tasks without instances) with all their values, and comparisons
    cells,    ///< single values, wherever they are, and comparisons
    /// The last instances of every task, in the order of their names (1, 2, ..., 10), and the last
    /// comparisons: what a shorter test would have said. Nothing is drawn.
    last_ballots,
    tasks,    ///< with all their instances
    systems,  ///< the others are ranked alone and compared with their order among all
    /// Nothing is: tasks are corrupted. On each of their ballots the values are mirrored between
    /// the least and the greatest, so that they say the reverse on the same scale.
    reversed_tasks,
  };

  Removed removed = Removed::ballots;
  /// Shares that are taken away, in [0, 1); rounded to whole numbers of ballots, cells, ..., of
  /// which at least one (of systems: two; of last ballots: one of every task) is left.
  std::vector<double> fractions = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95};
  std::size_t draws = 50;  ///< per fraction; of last ballots one, whatever is asked for
  std::uint64_t seed = 0;
  Parallel parallel = {};
};
std::string_view removed_name(StabilityOptions::Removed removed);
/// InputError listing the names otherwise.
StabilityOptions::Removed removed_of_name(std::string_view name);

/// How like the ranking of what is left is to that of all, over the draws of one fraction.
struct StabilityPoint {
  double fraction = 0;     ///< that was asked for
  double removed = 0;      ///< that was taken away, after rounding
  std::size_t draws = 0;   ///< that could be ranked and compared
  std::size_t failed = 0;  ///< that could not (a comparison graph in pieces, one tie of all)
  double mean = 0;         ///< of Kendall's tau-b over the systems that something is left of
  double deviation = 0;    ///< its standard deviation over the draws; NaN for fewer than two
  Interval spread = {};    ///< its 5th and 95th percentile
  double same_best = 0;    ///< share of the draws with the same first system
  double unranked = 0;     ///< mean number of systems that nothing is left of
};

struct StabilityCurve {
  StabilityOptions::Removed removed = StabilityOptions::Removed::ballots;
  std::size_t parts = 0;               ///< ballots and comparisons, cells, tasks, systems there are
  std::vector<StabilityPoint> points;  ///< in the order of the fractions
  std::string first_failure;           ///< why a draw could not be ranked; empty: all could
};

/// Takes shares of the measurements away at random, as if they had never been made, and ranks what
/// is left: how much of them `ranking`, the ranking of all, needed (Colombo et al. 2022, section 5;
/// Ghosh et al. 2024, the missing-data curves). Draw d of the fraction at f comes from the stream
/// "stability/WHAT/f/d" of the seed, so that the result is the same bits for any number of threads.
/// `progress` gets the number of draws finished since its last call, from any thread. InputError: a
/// fraction outside [0, 1), none, no draws, or fewer than two parts (three systems).
StabilityCurve stability_curve(const RankAggregator& method, const ScoreTable& table,
                               const RankContext& context, const Ranking& ranking,
                               const StabilityOptions& options = {},
                               const std::function<void(std::size_t)>& progress = {});

}  // namespace amalgam::scores
