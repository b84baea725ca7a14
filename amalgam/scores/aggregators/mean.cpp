#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/rank_correlation.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/aggregators/task_scores.hpp"

namespace amalgam::scores::aggregators {
namespace {

constexpr const char* kBenchmarking = "Colombo et al. 2022, \"What are the best systems?\", ";

ParameterInfo level_parameter() {
  ParameterInfo level;
  level.name = "level";
  level.kind = ParameterInfo::Kind::choice;
  level.doc = "What is brought to one scale: a task's means over instances, or each instance alone";
  level.default_value = std::string("task");
  level.choices = {"task", "instance"};
  return level;
}

// What a rule does with the values of one task (or instance) over the systems, NaN = missing.
using Normalise = void (*)(std::span<double> values);

void keep(std::span<double> /*values*/) {}

template <class F>
void for_measured(std::span<double> values, F change) {
  for (double& value : values) {
    if (!std::isnan(value)) change(value);
  }
}

// Standard deviations with divisor n; a task on which all are equal says nothing: 0 for all.
void to_z_scores(std::span<double> values) {
  double sum = 0;
  double count = 0;
  for_measured(values, [&](double value) { sum += value, ++count; });
  const double mean = count > 0 ? sum / count : 0;
  double squares = 0;
  for_measured(values, [&](double value) { squares += (value - mean) * (value - mean); });
  const double deviation = std::sqrt(squares / std::max(count, 1.0));
  // Rounding alone gives equal values a deviation of this size.
  const bool all_equal = deviation <= 1e-14 * std::abs(mean);
  for_measured(values, [&](double& value) { value = all_equal ? 0 : (value - mean) / deviation; });
}

// The worst measured value becomes 0, the best 1; 1/2 for all where all are equal.
void to_unit_range(std::span<double> values) {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for_measured(values, [&](double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  });
  for_measured(values,
               [&](double& value) { value = high > low ? (value - low) / (high - low) : 0.5; });
}

// The share of the other measured systems that each is better than, a tie being half of one.
void to_win_rates(std::span<double> values) {
  std::vector<double> measured;
  for_measured(values, [&](double value) { measured.push_back(value); });
  const std::vector<double> ranks = average_ranks(measured);
  const double others = static_cast<double>(measured.size()) - 1;
  auto rank = ranks.begin();
  for_measured(values, [&](double& value) {
    value = others > 0 ? (*rank - 1) / others : std::numeric_limits<double>::quiet_NaN();
    ++rank;
  });
}

// Each ballot as if it were a task of its own, weighted within its task by its factor.
TaskScores instance_scores(const ScoreTable& table, const RankContext& context,
                           Normalise normalise) {
  const std::size_t systems = table.system_count();
  TaskScores scores = task_scores(table, context);
  std::vector<double> weights(scores.values.size());
  std::ranges::fill(scores.values, 0.0);
  std::vector<double> values(systems);
  for (std::size_t ballot = 0; ballot < table.ballot_count(); ++ballot) {
    const ScoreTable::Ballot rows = table.ballot(ballot);
    const double weight = context.factors.ballot(ballot);
    const bool complete = rows.systems.size() == systems;
    if (weight == 0.0 || (context.missing == Missing::drop && !complete)) continue;
    std::ranges::fill(values, std::numeric_limits<double>::quiet_NaN());
    for (std::size_t row = 0; row < rows.systems.size(); ++row) {
      values[rows.systems[row]] = rows.values[row];
    }
    normalise(values);
    const std::size_t begin = table.ballot_tasks[ballot] * systems;
    for (const System system : rows.systems) {
      if (std::isnan(values[system])) continue;
      scores.values[begin + system] += weight * values[system];
      weights[begin + system] += weight;
    }
  }
  for (std::size_t at = 0; at < scores.values.size(); ++at) {
    scores.values[at] = weights[at] > 0 ? scores.values[at] / weights[at]
                                        : std::numeric_limits<double>::quiet_NaN();
  }
  return scores;
}

// Means over instances, brought to one scale task by task, then the mean over tasks.
class MeanRule final : public RankAggregator {
 public:
  MeanRule(RankAggregatorInfo info, Normalise normalise)
      : info_(std::move(info)), normalise_(normalise) {
    info_.from_ballots = true;
    info_.completes = false;
  }
  const RankAggregatorInfo& info() const override { return info_; }

  Ranking rank(const ScoreTable& table, const RankContext& context) const override {
    const bool by_instance =
        context.parameters.has("level") && context.parameters.text("level") == "instance";
    TaskScores scores =
        by_instance ? instance_scores(table, context, normalise_) : task_scores(table, context);
    if (!by_instance) {
      for (std::size_t task = 0; task < scores.tasks; ++task) normalise_(scores.task(task));
    }
    return {.scores = mean_over_tasks(scores),
            .tie_tolerance = 1e-12,
            .warnings = std::move(scores.warnings)};
  }

 private:
  RankAggregatorInfo info_;
  Normalise normalise_;
};

class GeometricMean final : public RankAggregator {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{
        .name = "geometric-mean",
        .summary =
            "The geometric mean over tasks of positive scores (of their inverses where "
            "lower is better): ratios count, whatever the unit.",
        .source = "Fleming and Wallace 1986, \"How not to lie with statistics\"",
        .score = "geometric mean",
        .ordinal = false,
        .from_ballots = true,
        .completes = false};
    return kInfo;
  }

  Ranking rank(const ScoreTable& table, const RankContext& context) const override {
    TaskScores scores = task_scores(table, context);
    for (Task task = 0; task < scores.tasks; ++task) {
      const bool higher = table.task_infos[task].higher_is_better;
      std::span<double> values = scores.task(task);
      for (System system = 0; system < values.size(); ++system) {
        const double value = higher ? values[system] : -values[system];
        if (std::isnan(value)) continue;
        if (!(value > 0)) {
          throw InputError(
              "method 'geometric-mean': system '{}' has {} on task '{}'; expected a positive score",
              printable(table.systems[system]), value, printable(table.tasks[task]));
        }
        values[system] = higher ? portable_log(value) : -portable_log(value);
      }
    }
    Ranking ranking{.scores = mean_over_tasks(scores),
                    .tie_tolerance = 1e-12,
                    .warnings = std::move(scores.warnings)};
    for (double& score : ranking.scores) {
      if (!std::isnan(score)) score = portable_exp(score);
    }
    return ranking;
  }
};

}  // namespace

const RankAggregator& mean() {
  static const MeanRule kRule(
      {.name = "mean",
       .summary = "The mean over tasks of the means over instances: mixes scales, and one task "
                  "with a wide one decides.",
       .source = std::string(kBenchmarking) + "section 2 (the baseline)",
       .score = "mean score (negated where lower is better)",
       .ordinal = false},
      keep);
  return kRule;
}

const RankAggregator& z_mean() {
  static const MeanRule kRule(
      {.name = "z-mean",
       .summary = "The mean over tasks of standard scores: how many deviations a system is above "
                  "the mean of the systems.",
       .source = std::string(kBenchmarking) + "section 2 (a baseline)",
       .parameters = {level_parameter()},
       .score = "mean standard score",
       .ordinal = false},
      to_z_scores);
  return kRule;
}

const RankAggregator& min_max_mean() {
  static const MeanRule kRule(
      {.name = "min-max-mean",
       .summary = "The mean over tasks of scores scaled so that the worst system has 0 and the "
                  "best 1.",
       .source = std::string(kBenchmarking) + "section 2 (a baseline)",
       .parameters = {level_parameter()},
       .score = "mean scaled score",
       .ordinal = false},
      to_unit_range);
  return kRule;
}

const RankAggregator& win_rate() {
  static const MeanRule kRule(
      {.name = "win-rate",
       .summary = "The mean over tasks of the share of other systems that a system is better "
                  "than.",
       .source = "Liang et al. 2022, HELM, section 8 (mean win rate)",
       .parameters = {level_parameter()},
       .score = "mean win rate"},
      to_win_rates);
  return kRule;
}

const RankAggregator& geometric_mean() {
  static const GeometricMean kRule;
  return kRule;
}

}  // namespace amalgam::scores::aggregators
