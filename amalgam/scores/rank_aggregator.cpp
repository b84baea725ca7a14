#include "amalgam/scores/rank_aggregator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/strength/comparison_graph.hpp"

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

// Systems that share a ballot or a comparison are in one group, directly or through others.
Components linked_systems(const ScoreTable& table) {
  std::vector<System> parent(table.system_count());
  std::iota(parent.begin(), parent.end(), 0U);
  const auto root_of = [&](System system) {
    while (parent[system] != system) system = parent[system] = parent[parent[system]];
    return system;
  };
  const auto link = [&](System a, System b) {
    const System first = root_of(a);
    const System second = root_of(b);
    parent[std::max(first, second)] = std::min(first, second);
  };
  for (std::size_t at = 0; at < table.ballot_count(); ++at) {
    const ScoreTable::Ballot ballot = table.ballot(at);
    for (const System system : ballot.systems) link(ballot.systems.front(), system);
  }
  for (std::size_t at = 0; at < table.comparisons.size(); ++at) {
    link(table.comparisons.first[at], table.comparisons.second[at]);
  }
  Components components{std::vector<std::uint32_t>(parent.size()), 0};
  for (System system = 0; system < parent.size(); ++system) {
    const System root = root_of(system);  // never above `system`
    components.group[system] =
        root == system ? static_cast<std::uint32_t>(components.count++) : components.group[root];
  }
  return components;
}

// Groups of one are no matter here: a system that nothing was measured of is named elsewhere.
void warn_of_groups(const ScoreTable& table, Ranking& ranking) {
  if (ranking.columns.contains("comparison group")) return;  // the method has said it itself
  const Components components = linked_systems(table);
  std::vector<std::size_t> sizes(components.count);
  for (const std::uint32_t group : components.group) ++sizes[group];
  if (std::ranges::count_if(sizes, [](std::size_t size) { return size > 1; }) < 2) return;
  ranking.warnings.push_back(fmt::format(
      "no chain of comparisons leads from one of these {} groups of systems to another, so that "
      "places between groups mean nothing: {}",
      components.count, describe_components(components, table.systems)));
}

void warn_of_covariates(const RankAggregatorInfo& info, const ScoreTable& table, Ranking& ranking) {
  constexpr std::string_view kControlling = "controlled-bradley-terry";
  if (table.comparisons.covariate_names.empty() || info.name == kControlling) return;
  ranking.warnings.push_back(
      fmt::format("method '{}' does not control for covariates, so that they change nothing; '{}' "
                  "does",
                  info.name, kControlling));
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
  Ranking ranking = method.rank(table, context);
  warn_of_covariates(method.info(), table, ranking);
  warn_of_groups(table, ranking);
  return ranking;
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
