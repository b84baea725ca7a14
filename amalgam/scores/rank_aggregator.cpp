#include "amalgam/scores/rank_aggregator.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/scores/aggregators/aggregators.hpp"

namespace amalgam::scores {
namespace {

void check_fits(const RankAggregatorInfo& info, const ScoreTable& table) {
  if (table.system_count() < 2) {
    throw InputError("method '{}': the table has {} systems; expected at least 2", info.name,
                     table.system_count());
  }
  if (info.from_ballots && table.ballot_count() == 0) {
    throw InputError(
        "method '{}' needs measured values, but the table has only comparisons of pairs; use a "
        "method for pairs, such as bradley-terry or copeland",
        info.name);
  }
  if (info.from_comparisons && table.comparisons.empty()) {
    throw InputError(
        "method '{}' needs a table of comparisons of two systems each (battles), not of measured "
        "values",
        info.name);
  }
}

}  // namespace

Ranking PairwiseRule::rank(const ScoreTable& table, const RankContext& context) const {
  PairNotes notes;
  const PairTable pairs =
      count_pairs(table, context.missing, context.factors, context.parallel, 0, &notes);
  Ranking ranking = rank_pairs(pairs, table.systems, context);
  add_details(table, pairs, context, ranking);
  if (notes.dropped_ballots > 0) {
    ranking.warnings.push_back(
        table.has_instances()
            ? "left out " + std::to_string(notes.dropped_ballots) + " of " +
                  std::to_string(table.ballot_count()) + " instances, which some system lacks"
            : "left out " + std::to_string(notes.dropped_ballots) + " of " +
                  std::to_string(table.ballot_count()) + " tasks, which some system lacks");
  }
  return ranking;
}

std::span<const RankAggregator* const> rank_aggregators() { return aggregators::all_aggregators(); }

const RankAggregator& find_rank_aggregator(std::string_view name) {
  std::vector<std::string> names;
  for (const RankAggregator* method : rank_aggregators()) {
    if (method->info().name == name) return *method;
    names.push_back(method->info().name);
  }
  throw InputError("no rank method '{}'{}; 'amalgam rank methods' lists them", name,
                   did_you_mean(std::string(name), names));
}

RankContext rank_context(const RankAggregator& method, std::span<const std::string> parameters,
                         std::optional<Missing> missing) {
  const RankAggregatorInfo& info = method.info();
  RankContext context;
  context.parameters = parameters_from_arguments(info.name, info.parameters, parameters);
  context.missing = missing.value_or(info.missing);
  const bool possible =
      context.missing == info.missing ||
      (info.other_missing && (context.missing != Missing::complete || info.completes));
  if (!possible) {
    throw InputError("method '{}' treats missing scores as '{}'; '{}' is not possible", info.name,
                     missing_name(info.missing), missing_name(context.missing));
  }
  return context;
}

Ranking rank_checked(const RankAggregator& method, const ScoreTable& table,
                     const RankContext& context) {
  check_fits(method.info(), table);
  return method.rank(table, context);
}

Ranking rank_systems(std::string_view method, const ScoreTable& table,
                     std::span<const std::string> parameters, std::optional<Missing> missing,
                     RankContext context) {
  const RankAggregator& aggregator = find_rank_aggregator(method);
  RankContext checked = rank_context(aggregator, parameters, missing);
  context.parameters = std::move(checked.parameters);
  context.missing = checked.missing;
  return rank_checked(aggregator, table, context);
}

std::vector<std::uint32_t> ranks_of(std::span<const double> scores, double tie_tolerance) {
  std::vector<std::uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0U);
  // NaN last: it has no place among numbers.
  std::ranges::stable_sort(order, [&](std::uint32_t a, std::uint32_t b) {
    if (std::isnan(scores[a]) || std::isnan(scores[b])) {
      return !std::isnan(scores[a]) && std::isnan(scores[b]);
    }
    return scores[a] > scores[b];
  });
  const auto equal = [&](double better, double worse) {
    if (std::isnan(better) || std::isnan(worse)) return std::isnan(better) && std::isnan(worse);
    return better == worse || better - worse <= tie_tolerance;
  };
  std::vector<std::uint32_t> ranks(scores.size());
  for (std::uint32_t place = 0; place < order.size(); ++place) {
    const bool tied = place > 0 && equal(scores[order[place - 1]], scores[order[place]]);
    ranks[order[place]] = tied ? ranks[order[place - 1]] : place + 1;
  }
  return ranks;
}

std::vector<System> order_of(std::span<const std::uint32_t> ranks) {
  std::vector<System> order(ranks.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::stable_sort(order, {}, [&](System system) { return ranks[system]; });
  return order;
}

}  // namespace amalgam::scores
