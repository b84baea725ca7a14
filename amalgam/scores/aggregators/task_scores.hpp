#pragma once

#include <cstddef>
#include <vector>

#include "amalgam/scores/rank_aggregator.hpp"

namespace amalgam::scores::aggregators {

/// One value per system and task: the mean over the task's instances, weighted by the context's
/// factors; NaN where nothing was measured (or, with Missing::drop, on instances that some system
/// lacks). Higher is better.
struct TaskScores {
  std::size_t systems = 0;
  std::size_t tasks = 0;
  std::vector<double> values;   ///< [tasks, systems]
  std::vector<double> weights;  ///< [tasks], with the context's factors
  std::vector<std::string> warnings;

  std::span<double> task(std::size_t index) { return {values.data() + index * systems, systems}; }
  std::span<const double> task(std::size_t index) const {
    return {values.data() + index * systems, systems};
  }
};
TaskScores task_scores(const ScoreTable& table, const RankContext& context);

/// The weighted mean over tasks of what each system has; NaN where it has nothing. `scores.values`
/// may have been transformed.
std::vector<double> mean_over_tasks(const TaskScores& scores);

}  // namespace amalgam::scores::aggregators
