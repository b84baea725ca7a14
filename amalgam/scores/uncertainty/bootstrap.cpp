#include "amalgam/scores/uncertainty/bootstrap.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <unordered_set>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"

namespace amalgam::scores {
namespace {

constexpr std::size_t kFewUnits = 20;  // below, resamples vary less than new measurements would

class Bootstrap {
 public:
  Bootstrap(const RankAggregator& method, const ScoreTable& table, const RankContext& context,
            const Ranking& ranking, const BootstrapOptions& options)
      : method_(method),
        pairwise_(dynamic_cast<const PairwiseRule*>(&method)),
        table_(table),
        context_(context),
        options_(options) {
    context_.parallel = {1, Runner::sequential};
    context_.start = ranking.scores;
    if (pairwise_ != nullptr) pairs_.emplace(table, context.missing, options.over);
  }

  /// The scores [systems] of resample `replicate`. InputError as RankAggregator::rank.
  std::vector<double> scores(std::size_t replicate) const {
    if (pairs_) {
      const PairTable pairs = pairs_->resample(options_.seed, replicate);
      return pairwise_->rank_pairs(pairs, table_.systems, context_).scores;
    }
    const ResampleCounts counts = draw_resample(table_, options_.over, options_.seed, replicate);
    RankContext context = context_;
    context.factors = counts.factors();
    return method_.rank(table_, context).scores;
  }

 private:
  const RankAggregator& method_;
  const PairwiseRule* pairwise_;
  const ScoreTable& table_;
  RankContext context_;
  const BootstrapOptions& options_;
  std::optional<PairResampler> pairs_;
};

std::size_t cluster_count(const Comparisons& comparisons) {
  if (comparisons.clusters.empty()) return comparisons.size();
  return std::unordered_set<std::uint32_t>(comparisons.clusters.begin(), comparisons.clusters.end())
      .size();
}

// What is drawn: instances are there only if a task has several.
ResampleUnit unit_of(const ScoreTable& table, ResampleUnit asked) {
  return table.ballot_count() > 0 && !table.has_instances() ? ResampleUnit::tasks : asked;
}

std::size_t count_units(const ScoreTable& table, ResampleUnit unit) {
  std::size_t units = cluster_count(table.comparisons);
  if (table.ballot_count() == 0) return units;
  switch (unit) {
    case ResampleUnit::instances:
      return units + table.ballot_count();
    case ResampleUnit::shared_instances:
      return units + table.instances.size();
    case ResampleUnit::tasks:
      return units + table.task_count();
  }
  return units;
}

std::size_t tasks_of_one_ballot(const ScoreTable& table) {
  std::vector<std::size_t> ballots(table.task_count());
  for (const Task task : table.ballot_tasks) ++ballots[task];
  return static_cast<std::size_t>(std::ranges::count(ballots, std::size_t{1}));
}

void check(const ScoreTable& table, const BootstrapOptions& options) {
  if (options.resamples == 0) throw InputError("bootstrap: 0 resamples; expected at least 1");
  if (!(options.confidence > 0 && options.confidence < 1)) {
    throw InputError("bootstrap: confidence {}; expected a number between 0 and 1",
                     options.confidence);
  }
  if (table.ballot_count() + table.comparisons.size() < 2) {
    throw InputError(
        "bootstrap: the table has a single task without instances, so that there is "
        "nothing to draw again; give the scores of its instances");
  }
}

void add_warnings(RankUncertainty& result, const ScoreTable& table, const std::string& failure) {
  if (result.failed > 0) {
    result.warnings.push_back(fmt::format(
        "{} of {} resamples could not be ranked and are left out of intervals: {}", result.failed,
        result.resamples, failure.empty() ? "no system has a score" : failure));
  }
  if (result.units < kFewUnits) {
    const char* what = table.ballot_count() == 0            ? "comparisons"
                       : result.over == ResampleUnit::tasks ? "tasks"
                                                            : "instances";
    result.warnings.push_back(fmt::format(
        "only {} {} were drawn from: intervals of so few are too short", result.units, what));
  }
  if (result.over == ResampleUnit::instances && table.has_instances()) {
    if (const std::size_t still = tasks_of_one_ballot(table); still > 0) {
      result.warnings.push_back(fmt::format(
          "{} of {} tasks have one value per system only, which resamples of instances do not vary",
          still, table.task_count()));
    }
  }
}

}  // namespace

std::string_view resample_unit_name(ResampleUnit unit) {
  switch (unit) {
    case ResampleUnit::instances:
      return "instances";
    case ResampleUnit::shared_instances:
      return "shared-instances";
    case ResampleUnit::tasks:
      return "tasks";
  }
  return "";
}

ResampleUnit resample_unit_of_name(std::string_view name) {
  for (const ResampleUnit unit :
       {ResampleUnit::instances, ResampleUnit::shared_instances, ResampleUnit::tasks}) {
    if (resample_unit_name(unit) == name) return unit;
  }
  throw InputError("bootstrap: '{}' cannot be drawn; expected instances, shared-instances or tasks",
                   name);
}

RankUncertainty bootstrap_ranking(const RankAggregator& method, const ScoreTable& table,
                                  const RankContext& context, const Ranking& ranking,
                                  const BootstrapOptions& options,
                                  const std::function<void(std::size_t)>& progress) {
  check(table, options);
  const std::size_t systems = table.system_count();
  check_pairs_fit(systems);
  const Bootstrap bootstrap(method, table, context, ranking, options);
  std::vector<double> replicates(options.resamples * systems,
                                 std::numeric_limits<double>::quiet_NaN());
  std::vector<std::string> failures(options.resamples);
  parallel_for(
      options.parallel, options.resamples, [&](std::size_t replicate, std::size_t /*worker*/) {
        check_interrupt();
        try {
          std::ranges::copy(bootstrap.scores(replicate),
                            replicates.begin() + static_cast<std::ptrdiff_t>(replicate * systems));
        } catch (const InputError& error) {
          failures[replicate] = error.what();
        }
        if (progress) progress(1);
      });
  const auto failed =
      std::ranges::find_if(failures, [](const std::string& why) { return !why.empty(); });
  const std::string failure = failed == failures.end() ? std::string() : *failed;
  RankUncertainty result =
      summarise_resamples(ranking, replicates, options.confidence, options.parallel);
  if (result.failed == options.resamples) {
    throw InputError("bootstrap: none of {} resamples could be ranked: {}", options.resamples,
                     failure.empty() ? "no system has a score" : failure);
  }
  result.over = unit_of(table, options.over);
  result.units = count_units(table, result.over);
  add_warnings(result, table, failure);
  return result;
}

}  // namespace amalgam::scores
