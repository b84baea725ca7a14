#include "amalgam/scores/aggregators/task_scores.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam::scores::aggregators {
namespace {

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

void warn_of_gaps(TaskScores& scores, const ScoreTable& table) {
  std::size_t gaps = 0;
  for (const double value : scores.values) gaps += std::isnan(value) ? 1 : 0;
  if (gaps == 0) return;
  scores.warnings.push_back(
      fmt::format("{} of {} scores of systems on tasks are missing: each system's figure is the "
                  "mean over its own tasks, which may be easier or harder than others'",
                  gaps, scores.systems * table.task_count()));
}

}  // namespace

TaskScores task_scores(const ScoreTable& table, const RankContext& context) {
  const std::size_t systems = table.system_count();
  TaskScores scores{.systems = systems,
                    .tasks = table.task_count(),
                    .values = std::vector<double>(table.task_count() * systems),
                    .weights = std::vector<double>(table.task_count())};
  std::vector<double> weights(scores.values.size());
  std::size_t dropped = 0;
  for (std::size_t ballot = 0; ballot < table.ballot_count(); ++ballot) {
    const ScoreTable::Ballot rows = table.ballot(ballot);
    if (context.missing == Missing::drop && rows.systems.size() < systems) {
      ++dropped;
      continue;
    }
    const double weight = context.factors.ballot(ballot);
    if (weight == 0.0) continue;
    const std::size_t begin = table.ballot_tasks[ballot] * systems;
    for (std::size_t row = 0; row < rows.systems.size(); ++row) {
      scores.values[begin + rows.systems[row]] += weight * rows.values[row];
      weights[begin + rows.systems[row]] += weight;
    }
  }
  if (dropped == table.ballot_count()) {
    throw InputError(
        "no task or instance has a value of every system, so none is left without the incomplete "
        "ones; choose another way to treat missing scores (observed)");
  }
  for (std::size_t at = 0; at < scores.values.size(); ++at) {
    scores.values[at] = weights[at] > 0 ? scores.values[at] / weights[at] : kNothing;
  }
  for (Task task = 0; task < table.task_count(); ++task) {
    scores.weights[task] = table.task_infos[task].weight * context.factors.task(task);
  }
  if (dropped > 0) {
    scores.warnings.push_back(fmt::format("left out {} of {} {}, which some system lacks", dropped,
                                          table.ballot_count(),
                                          table.has_instances() ? "instances" : "tasks"));
  } else {
    warn_of_gaps(scores, table);
  }
  return scores;
}

std::vector<double> mean_over_tasks(const TaskScores& scores) {
  std::vector<double> means(scores.systems);
  std::vector<double> weights(scores.systems);
  for (std::size_t task = 0; task < scores.tasks; ++task) {
    const std::span<const double> values = scores.task(task);
    for (std::size_t system = 0; system < scores.systems; ++system) {
      if (std::isnan(values[system])) continue;
      means[system] += scores.weights[task] * values[system];
      weights[system] += scores.weights[task];
    }
  }
  for (std::size_t system = 0; system < scores.systems; ++system) {
    means[system] = weights[system] > 0 ? means[system] / weights[system] : kNothing;
  }
  return means;
}

}  // namespace amalgam::scores::aggregators
