#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
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
    ballots,  ///< instances with all their values; comparisons, where the table is of those
    cells,    ///< single values, wherever they are; comparisons likewise
    tasks,    ///< with all their instances
    systems,  ///< the others are ranked alone and compared with their order among all
  };

  Removed removed = Removed::ballots;
  /// Shares taken away, in [0, 1); rounded to whole numbers of ballots, cells, ..., and at least
  /// one ballot or task, or two systems, are left.
  std::vector<double> fractions = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95};
  std::size_t draws = 50;  ///< per fraction
  std::uint64_t seed = 0;
  Parallel parallel = {};
};
std::string_view removed_name(StabilityOptions::Removed removed);
/// InputError listing the names otherwise.
StabilityOptions::Removed removed_of_name(std::string_view name);

/// Kendall's tau-b between the ranking of what is left and the ranking of all, over the draws.
struct StabilityPoint {
  double fraction = 0;     ///< asked for
  double removed = 0;      ///< the share that was taken away after rounding
  std::size_t draws = 0;   ///< that could be ranked and compared
  std::size_t failed = 0;  ///< draws that could not be ranked (a disconnected comparison graph)
  double mean = 0;         ///< of tau-b
  double deviation = 0;    ///< standard deviation over the draws; NaN for fewer than two
  Interval spread;         ///< 5th and 95th percentile
  double same_best = 0;    ///< share of the draws with the same first system
  double unranked = 0;     ///< mean number of systems that nothing is left of; they are left out
};

struct StabilityCurve {
  StabilityOptions::Removed removed = StabilityOptions::Removed::ballots;
  std::size_t parts = 0;  ///< ballots, cells, tasks, systems that there are
  std::vector<StabilityPoint> points;
  std::string first_failure;  ///< why a draw could not be ranked; empty: all could
};

/// Takes shares of the measurements away at random and ranks what is left: how much of the ranking
/// `ranking` was needed for. Draw d of fraction f comes from the stream "stability WHAT f d" of the
/// seed: the same bits for any number of threads. Removed ballots, comparisons and tasks are
/// factors of 0; removed cells and systems make a table without them. `progress` gets the number of
/// draws finished since its last call, from any thread. InputError: a fraction outside [0, 1), no
/// draws, fewer than two parts.
StabilityCurve stability_curve(const RankAggregator& method, const ScoreTable& table,
                               const RankContext& context, const Ranking& ranking,
                               const StabilityOptions& options = {},
                               const std::function<void(std::size_t)>& progress = {});

}  // namespace amalgam::scores
