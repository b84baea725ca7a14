#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "amalgam/scores/pool/pool_query.hpp"
#include "amalgam/scores/rank_aggregator.hpp"

namespace amalgam::scores {

struct PoolRankOptions {
  std::string method = "onebench";
  std::vector<std::string> parameters;
  std::optional<Missing> missing;
  std::uint64_t seed = 0;
  Parallel parallel = {};
};

/// What the samples of a query say of the models, and how it differs from what all samples say.
struct PoolRanking {
  ScoreTable table;  ///< of the selected samples
  Ranking ranking;   ///< of table.systems
  std::vector<std::uint32_t> ranks;
  double strict_comparisons = 0;  ///< pairs of models that differ on a sample, summed over samples
  double ties = 0;                ///< and those that do not
  /// Kendall's tau-b to the ranking by all samples, over models in both; NaN where it is not
  /// defined, and, with a warning, where all samples do not determine a ranking.
  double tau_to_all = 0;
};

/// Ranks by the selected samples. InputError as select_samples, SamplePool::scores and
/// rank_systems.
PoolRanking rank_pool(const SamplePool& pool, std::span<const PoolEntry> entries,
                      std::span<const SelectedSample> selected, const PoolRankOptions& options);

}  // namespace amalgam::scores
