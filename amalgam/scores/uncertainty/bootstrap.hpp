#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include "amalgam/core/parallel.hpp"
#include "amalgam/scores/rank_aggregator.hpp"
#include "amalgam/scores/uncertainty/rank_uncertainty.hpp"
#include "amalgam/scores/uncertainty/resampled_pairs.hpp"

namespace amalgam::scores {

struct BootstrapOptions {
  std::size_t resamples = 1000;
  ResampleUnit over = ResampleUnit::instances;  ///< what is drawn
  double confidence = 0.95;  ///< of intervals; 1 - confidence is the level of tests; in (0, 1)
  std::uint64_t seed = 0;
  Parallel parallel = {};
};
/// "instances", "shared-instances", "tasks".
std::string_view resample_unit_name(ResampleUnit unit);
/// InputError listing the names otherwise.
ResampleUnit resample_unit_of_name(std::string_view name);

/// Draws the table's measurements again and again and ranks each resample by `method` as `context`
/// says, `ranking` being the ranking of the table itself. Resamples are factors for the table's
/// parts, never copies (draw_resample and PairResampler), and the result is the same bits for any
/// number of threads. `progress` gets the number of resamples finished since its last call, from
/// any thread. InputError: no resamples, a confidence outside (0, 1), nothing that could be drawn
/// (one task without instances), or not one resample that could be ranked, saying why.
RankUncertainty bootstrap_ranking(const RankAggregator& method, const ScoreTable& table,
                                  const RankContext& context, const Ranking& ranking,
                                  const BootstrapOptions& options = {},
                                  const std::function<void(std::size_t)>& progress = {});

}  // namespace amalgam::scores
