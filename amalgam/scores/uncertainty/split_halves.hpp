#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "amalgam/core/parallel.hpp"
#include "amalgam/scores/rank_aggregator.hpp"

namespace amalgam::scores {

struct SplitHalvesOptions {
  std::size_t draws = 50;  ///< of two halves
  std::uint64_t seed = 0;
  Parallel parallel = {};
};

/// Whether a rule is consistent on a table: what both halves of the measurements say of two
/// systems, all of them together must say too (Ghosh et al. 2025, ONEBench: separability). Means
/// over draws.
struct SplitHalves {
  std::size_t draws = 0;   ///< whose halves could both be ranked
  std::size_t failed = 0;  ///< that could not be
  /// The share of pairs of systems that both halves put into the same strict order: how much of the
  /// ranking the measurements really determine.
  double agreed = 0;
  /// The share of those that all measurements put into that order too; NaN if both halves agree
  /// about no pair in any draw.
  double confirmed = 0;
  std::string first_failure;  ///< why a half could not be ranked; empty: all could
};

/// Splits the ballots (instances, or tasks without instances) and comparisons into random halves
/// and ranks each; `ranking` is that of all. The same for any number of threads. InputError for 0
/// draws or a table of fewer than two ballots and comparisons.
SplitHalves split_halves(const RankAggregator& method, const ScoreTable& table,
                         const RankContext& context, const Ranking& ranking,
                         const SplitHalvesOptions& options,
                         const std::function<void(std::size_t)>& progress = {});

}  // namespace amalgam::scores
