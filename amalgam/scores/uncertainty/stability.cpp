#include "amalgam/scores/uncertainty/stability.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/core/rank_correlation.hpp"
#include "amalgam/scores/uncertainty/percentiles.hpp"
#include "amalgam/scores/uncertainty/table_part.hpp"

namespace amalgam::scores {
namespace {

using Removed = StabilityOptions::Removed;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr std::array kRemoved{Removed::ballots, Removed::cells,   Removed::last_ballots,
                              Removed::tasks,   Removed::systems, Removed::reversed_tasks};

struct Draw {
  double tau = kNaN;
  bool same_best = false;
  std::size_t unranked = 0;
  std::string failure;
};

class Stability {
 public:
  Stability(const RankAggregator& method, const ScoreTable& table, const RankContext& context,
            const Ranking& ranking, const StabilityOptions& options)
      : method_(method),
        table_(table),
        context_(context),
        options_(options),
        ranks_(ranks_of(ranking.scores, ranking.tie_tolerance)),
        parts_(count_parts()) {
    context_.parallel = {1, Runner::sequential};
    check();
  }

  std::size_t parts() const { return parts_; }

  std::size_t kept(double fraction) const {
    if (options_.removed == Removed::last_ballots) return kept_count(choose_first(fraction));
    return kept_of(parts_, fraction, options_.removed == Removed::systems ? 2 : 1);
  }

  Draw draw(std::size_t fraction, std::size_t index) const {
    const std::vector<char> is_kept = options_.removed == Removed::last_ballots
                                          ? choose_first(options_.fractions[fraction])
                                          : choose(fraction, index);
    Draw result;
    try {
      compare(make_part(is_kept), is_kept, result);
    } catch (const InputError& error) {
      result.failure = error.what();
    }
    return result;
  }

 private:
  // How many of so many parts are left, at least `least`.
  static std::size_t kept_of(std::size_t parts, double fraction, std::size_t least) {
    const auto removed =
        static_cast<std::size_t>(std::llround(fraction * static_cast<double>(parts)));
    return std::max(least, parts - std::min(parts, removed));
  }

  std::size_t count_parts() const {
    switch (options_.removed) {
      case Removed::ballots:
      case Removed::last_ballots:
        return table_.ballot_count() + table_.comparisons.size();
      case Removed::cells:
        return table_.rows() + table_.comparisons.size();
      case Removed::tasks:
      case Removed::reversed_tasks:
        return table_.task_count();
      case Removed::systems:
        return table_.system_count();
    }
    return 0;
  }

  void check() const {
    if (options_.fractions.empty()) throw InputError("stability: no fraction to take away");
    for (const double fraction : options_.fractions) {
      if (!(fraction >= 0 && fraction < 1)) {
        throw InputError("stability: fraction {}; expected a number from 0 to below 1", fraction);
      }
    }
    if (options_.draws == 0) throw InputError("stability: 0 draws; expected at least 1");
    const std::size_t least = options_.removed == Removed::systems ? 3 : 2;
    if (parts_ < least) {
      const bool reversed = options_.removed == Removed::reversed_tasks;
      throw InputError("stability: the table has {} {}; expected at least {} to {} some", parts_,
                       reversed ? "tasks" : removed_name(options_.removed), least,
                       reversed ? "reverse" : "take away");
    }
  }

  // [parts]: which are left, by a partial shuffle.
  std::vector<char> choose(std::size_t fraction, std::size_t index) const {
    RandomStream random(
        options_.seed,
        fmt::format("stability/{}/{}/{}", removed_name(options_.removed), fraction, index));
    std::vector<std::uint32_t> order(parts_);
    std::iota(order.begin(), order.end(), 0U);
    std::vector<char> is_kept(parts_);
    const std::size_t count = kept(options_.fractions[fraction]);
    for (std::size_t k = 0; k < count; ++k) {
      std::swap(order[k], order[k + random.below(parts_ - k)]);
      is_kept[order[k]] = 1;
    }
    return is_kept;
  }

  // [parts]: the first ballots of every task and the first comparisons.
  std::vector<char> choose_first(double fraction) const {
    std::vector<char> is_kept(parts_);
    const std::span<const Task> tasks = table_.ballot_tasks;
    std::size_t begin = 0;
    while (begin < parts_) {
      const bool is_task = begin < tasks.size();
      const std::size_t end =
          is_task ? static_cast<std::size_t>(std::ranges::upper_bound(tasks, tasks[begin]) -
                                             tasks.begin())
                  : parts_;
      std::fill_n(is_kept.begin() + static_cast<std::ptrdiff_t>(begin),
                  kept_of(end - begin, fraction, 1), char{1});
      begin = end;
    }
    return is_kept;
  }

  TablePart make_part(const std::vector<char>& is_kept) const {
    std::vector<char> rows(table_.rows(), 1);
    std::vector<char> comparisons(table_.comparisons.size(), 1);
    if (options_.removed == Removed::reversed_tasks) {
      TablePart all = part_of_table(table_, rows, comparisons);
      reverse_tasks(all.table, is_kept);
      return all;
    }
    const bool of_measurements = options_.removed == Removed::ballots ||
                                 options_.removed == Removed::cells ||
                                 options_.removed == Removed::last_ballots;
    for (std::size_t ballot = 0; ballot < table_.ballot_count(); ++ballot) {
      for (std::size_t row = table_.ballot_begins[ballot]; row < table_.ballot_begins[ballot + 1];
           ++row) {
        rows[row] = is_kept[part_of_row(ballot, row)];
      }
    }
    const std::size_t before = parts_ - table_.comparisons.size();  // parts that are no comparisons
    for (std::size_t row = 0; row < comparisons.size(); ++row) {
      if (of_measurements) {
        comparisons[row] = is_kept[before + row];
      } else if (options_.removed == Removed::systems) {
        const bool both = is_kept[table_.comparisons.first[row]] != 0 &&
                          is_kept[table_.comparisons.second[row]] != 0;
        comparisons[row] = both ? 1 : 0;
      }
    }
    return part_of_table(table_, rows, comparisons);
  }

  // Every task has a value, so that tasks have the same numbers in the part.
  static void reverse_tasks(ScoreTable& table, const std::vector<char>& is_kept) {
    for (std::size_t ballot = 0; ballot < table.ballot_count(); ++ballot) {
      if (is_kept[table.ballot_tasks[ballot]] != 0) continue;
      const std::span<double> values(table.values.data() + table.ballot_begins[ballot],
                                     table.values.data() + table.ballot_begins[ballot + 1]);
      const auto [least, greatest] = std::ranges::minmax(values);
      for (double& value : values) value = greatest - (value - least);
    }
  }

  std::size_t part_of_row(std::size_t ballot, std::size_t row) const {
    switch (options_.removed) {
      case Removed::ballots:
      case Removed::last_ballots:
        return ballot;
      case Removed::cells:
        return row;
      case Removed::tasks:
      case Removed::reversed_tasks:
        return table_.ballot_tasks[ballot];
      case Removed::systems:
        return table_.row_systems[row];
    }
    return row;
  }

  // Ranks of the whole and of the part, over the systems that both rank.
  void compare(const TablePart& part, const std::vector<char>& is_kept, Draw& result) const {
    const Ranking ranking = rank_part(part);
    const std::vector<std::uint32_t> ranks = ranks_of(ranking.scores, ranking.tie_tolerance);
    std::vector<double> whole_places;
    std::vector<double> part_places;
    std::vector<char> is_first(table_.system_count());
    for (System i = 0; i < part.systems.size(); ++i) {
      if (std::isnan(ranking.scores[i])) continue;
      whole_places.push_back(ranks_[part.systems[i]]);
      part_places.push_back(ranks[i]);
      is_first[part.systems[i]] = ranks[i] == 1 ? 1 : 0;
    }
    const std::size_t possible =
        options_.removed == Removed::systems ? kept_count(is_kept) : table_.system_count();
    result.unranked = possible - whole_places.size();
    result.tau = kendall_tau_b(whole_places, part_places);
    if (std::isnan(result.tau)) result.failure = "all systems that are left tie";
    result.same_best = is_first[best(is_kept)] != 0;
  }

  Ranking rank_part(const TablePart& part) const {
    if (part.systems.size() < 2) throw InputError("fewer than two systems are left");
    return method_.rank(part.table, context_);
  }

  static std::size_t kept_count(const std::vector<char>& is_kept) {
    return static_cast<std::size_t>(std::ranges::count(is_kept, char{1}));
  }

  // The first system of the whole ranking (of those that are left, if systems are taken away).
  System best(const std::vector<char>& is_kept) const {
    std::optional<System> best;
    for (System i = 0; i < ranks_.size(); ++i) {
      if (options_.removed == Removed::systems && is_kept[i] == 0) continue;
      if (!best || ranks_[i] < ranks_[*best]) best = i;
    }
    return best.value_or(0);
  }

  const RankAggregator& method_;
  const ScoreTable& table_;
  RankContext context_;
  const StabilityOptions& options_;
  std::vector<std::uint32_t> ranks_;  // of the whole
  std::size_t parts_;
};

StabilityPoint point_of(std::span<const Draw> draws) {
  StabilityPoint point;
  std::vector<double> taus;
  for (const Draw& draw : draws) {
    if (!draw.failure.empty()) {
      ++point.failed;
      continue;
    }
    taus.push_back(draw.tau);
    point.same_best += draw.same_best ? 1 : 0;
    point.unranked += static_cast<double>(draw.unranked);
  }
  point.draws = taus.size();
  const auto count = static_cast<double>(taus.size());
  point.same_best = taus.empty() ? kNaN : point.same_best / count;
  point.unranked = taus.empty() ? kNaN : point.unranked / count;
  point.mean = taus.empty() ? kNaN : std::accumulate(taus.begin(), taus.end(), 0.0) / count;
  double squares = 0;
  for (const double tau : taus) squares += (tau - point.mean) * (tau - point.mean);
  point.deviation = taus.size() < 2 ? kNaN : std::sqrt(squares / (count - 1));
  point.spread = {kNaN, kNaN};
  if (!taus.empty()) {
    std::ranges::sort(taus);
    const auto [low, high] = percentile_interval(taus, 0.9);
    point.spread = {low, high};
  }
  return point;
}

}  // namespace

std::string_view removed_name(Removed removed) {
  switch (removed) {
    case Removed::ballots:
      return "ballots";
    case Removed::cells:
      return "cells";
    case Removed::last_ballots:
      return "last-ballots";
    case Removed::tasks:
      return "tasks";
    case Removed::systems:
      return "systems";
    case Removed::reversed_tasks:
      return "reversed-tasks";
  }
  return "";
}

Removed removed_of_name(std::string_view name) {
  for (const Removed removed : kRemoved) {
    if (removed_name(removed) == name) return removed;
  }
  throw InputError(
      "stability: '{}' cannot be taken away; expected ballots, cells, last-ballots, tasks, systems "
      "or reversed-tasks",
      name);
}

StabilityCurve stability_curve(const RankAggregator& method, const ScoreTable& table,
                               const RankContext& context, const Ranking& ranking,
                               const StabilityOptions& options,
                               const std::function<void(std::size_t)>& progress) {
  const Stability stability(method, table, context, ranking, options);
  const std::size_t per_fraction = options.removed == Removed::last_ballots ? 1 : options.draws;
  std::vector<Draw> draws(options.fractions.size() * per_fraction);
  parallel_for(options.parallel, draws.size(), [&](std::size_t at, std::size_t /*worker*/) {
    check_interrupt();
    draws[at] = stability.draw(at / per_fraction, at % per_fraction);
    if (progress) progress(1);
  });
  StabilityCurve curve{
      .removed = options.removed, .parts = stability.parts(), .points = {}, .first_failure = {}};
  for (std::size_t f = 0; f < options.fractions.size(); ++f) {
    StabilityPoint point = point_of(std::span(draws).subspan(f * per_fraction, per_fraction));
    point.fraction = options.fractions[f];
    point.removed = 1 - static_cast<double>(stability.kept(options.fractions[f])) /
                            static_cast<double>(stability.parts());
    curve.points.push_back(point);
  }
  for (const Draw& draw : draws) {
    if (curve.first_failure.empty()) curve.first_failure = draw.failure;
  }
  return curve;
}

}  // namespace amalgam::scores
