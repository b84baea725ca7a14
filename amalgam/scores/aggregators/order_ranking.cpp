#include "amalgam/scores/aggregators/order_ranking.hpp"

#include <fmt/format.h>

#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/scores/kemeny/cost_bounds.hpp"

namespace amalgam::scores::aggregators {

VotedPairs voted_pairs(const PairTable& pairs, const std::string& method) {
  VotedPairs voted;
  for (std::size_t i = 0; i < pairs.systems; ++i) {
    bool any = false;
    for (std::size_t j = 0; j < pairs.systems && !any; ++j) any = i != j && pairs.votes(i, j) > 0;
    if (any) voted.systems.push_back(static_cast<System>(i));
  }
  if (voted.systems.empty()) {
    throw InputError(
        "method '{}': no two systems were measured on the same task or instance, or compared",
        method);
  }
  const std::size_t count = voted.systems.size();
  voted.pairs = PairTable(count);
  for (std::size_t a = 0; a < count; ++a) {
    for (std::size_t b = 0; b < count; ++b) {
      voted.pairs.wins[a * count + b] = pairs.win(voted.systems[a], voted.systems[b]);
      voted.pairs.ties[a * count + b] = pairs.tie(voted.systems[a], voted.systems[b]);
    }
  }
  return voted;
}

Ranking ranking_of_all(std::size_t systems, const VotedPairs& voted, Ranking ranking) {
  if (voted.systems.size() == systems) return ranking;
  const auto expand = [&](std::vector<double>& column) {
    if (column.empty()) return;
    std::vector<double> all(systems, std::numeric_limits<double>::quiet_NaN());
    for (std::size_t at = 0; at < voted.systems.size(); ++at) all[voted.systems[at]] = column[at];
    column = std::move(all);
  };
  expand(ranking.scores);
  expand(ranking.raw);
  for (auto& [name, column] : ranking.columns) expand(column);
  ranking.warnings.push_back(fmt::format(
      "{} of {} systems {} compared with no other and {} last without a score",
      systems - voted.systems.size(), systems, systems - voted.systems.size() == 1 ? "was" : "were",
      systems - voted.systems.size() == 1 ? "comes" : "come"));
  return ranking;
}

Ranking ranking_of_order(const PairTable& pairs, const kemeny::Order& order) {
  Ranking ranking{.scores = std::vector<double>(pairs.systems),
                  .raw = std::vector<double>(pairs.systems)};
  std::vector<double> lead(pairs.systems, std::numeric_limits<double>::quiet_NaN());
  for (std::size_t place = 0; place < order.size(); ++place) {
    const System system = order[place];
    ranking.scores[system] = static_cast<double>(order.size() - 1 - place);
    for (std::size_t before = 0; before < place; ++before) {
      const double against = pairs.preference(system, order[before]);
      ranking.raw[system] += against;
      ranking.raw[order[before]] += against;
    }
    if (place > 0) {
      lead[order[place - 1]] =
          pairs.win(order[place - 1], system) - pairs.win(system, order[place - 1]);
    }
  }
  ranking.columns["lead over next"] = std::move(lead);
  return ranking;
}

Ranking ranking_of_relation(std::size_t systems,
                            const std::function<bool(std::size_t, std::size_t)>& is_better) {
  Ranking ranking{.scores = std::vector<double>(systems)};
  for (std::size_t i = 0; i < systems; ++i) {
    for (std::size_t j = 0; j < systems; ++j) {
      if (i == j) continue;
      if (is_better(i, j)) {
        ranking.scores[i] += 1;
      } else if (!is_better(j, i)) {
        ranking.scores[i] += 0.5;
      }
    }
  }
  return ranking;
}

void warn_of_silent_pairs(const PairTable& pairs, Ranking& ranking) {
  std::size_t silent = 0;
  for (std::size_t i = 0; i < pairs.systems; ++i) {
    for (std::size_t j = i + 1; j < pairs.systems; ++j) silent += pairs.votes(i, j) > 0 ? 0 : 1;
  }
  if (silent == 0) return;
  ranking.warnings.push_back(
      fmt::format("nobody voted on {} of {} pairs of systems; they count as even", silent,
                  pairs.systems * (pairs.systems - 1) / 2));
}

Certificate certificate_by_cycles(const PairTable& pairs, const kemeny::Order& order) {
  const kemeny::Leads leads = kemeny::leads_of(pairs);
  const kemeny::CostBounds bounds = kemeny::cycle_bounds(leads);
  const std::int64_t cost = leads.cost(order);
  const std::int64_t gap = cost - bounds.bound;
  Certificate certificate{.optimal = gap <= leads.tolerance,
                          .objective = kemeny::order_cost(pairs, order)};
  certificate.bound = certificate.optimal
                          ? certificate.objective
                          : certificate.objective - static_cast<double>(gap) * leads.unit;
  if (certificate.optimal) {
    certificate.unique = kemeny::first_order(kemeny::known_pairs(leads, bounds, cost)).only;
  }
  return certificate;
}

}  // namespace amalgam::scores::aggregators
