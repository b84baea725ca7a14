#include "amalgam/scores/strength/choices.hpp"

#include <algorithm>
#include <numeric>

#include "amalgam/core/error.hpp"

namespace amalgam::scores {
namespace {

void add_ballot(Choices& choices, const ScoreTable::Ballot& ballot, double weight,
                std::vector<std::uint32_t>& order) {
  order.resize(ballot.values.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::sort(order, [&](std::uint32_t a, std::uint32_t b) {
    return ballot.values[a] != ballot.values[b] ? ballot.values[a] > ballot.values[b] : a < b;
  });
  if (order.empty() || ballot.values[order.front()] == ballot.values[order.back()]) return;
  for (std::size_t place = 0; place < order.size(); ++place) {
    const bool equal = place > 0 && ballot.values[order[place]] == ballot.values[order[place - 1]];
    choices.entries.push_back(ballot.systems[order[place]] | (equal ? Choices::kEqual : 0));
  }
  choices.begins.push_back(choices.entries.size());
  choices.weights.push_back(weight);
}

void add_comparisons(Preferences& pairs, const Comparisons& comparisons,
                     const Reweighting& factors) {
  for (std::size_t row = 0; row < comparisons.size(); ++row) {
    const double weight = comparisons.weight(row) * factors.comparison(row);
    const std::size_t forth = comparisons.first[row] * pairs.systems + comparisons.second[row];
    const std::size_t back = comparisons.second[row] * pairs.systems + comparisons.first[row];
    if (comparisons.outcomes[row] == 0) {
      pairs.votes[forth] += 0.5 * weight;
      pairs.votes[back] += 0.5 * weight;
    } else {
      pairs.votes[comparisons.outcomes[row] > 0 ? forth : back] += weight;
    }
  }
}

// Every worse value's systems were beaten by those of the value before; what is further down
// follows.
void add_ballot_wins(ComparisonGraph& graph, std::span<const std::uint32_t> ballot) {
  std::size_t above = 0;  // begin of the group before
  std::size_t begin = 0;  // begin of the group
  for (std::size_t at = 1; at < ballot.size(); ++at) {
    if (!Choices::equals_previous(ballot[at])) {
      above = begin;
      begin = at;
    }
    for (std::size_t winner = above; winner < begin; ++winner) {
      graph.add(Choices::system_of(ballot[winner]), Choices::system_of(ballot[at]));
    }
  }
}

}  // namespace

Choices choices_of(const ScoreTable& table, const Reweighting& factors) {
  const std::size_t systems = table.system_count();
  check_pairs_fit(systems);
  Choices choices{.systems = systems,
                  .begins = {0},
                  .entries = {},
                  .weights = {},
                  .pairs = {systems, std::vector<double>(systems * systems)}};
  choices.entries.reserve(table.rows());
  std::vector<std::uint32_t> order;
  for (std::size_t index = 0; index < table.ballot_count(); ++index) {
    const double weight = table.ballot_weight(index) * factors.ballot(index) *
                          factors.task(table.ballot_tasks[index]);
    if (weight > 0) add_ballot(choices, table.ballot(index), weight, order);
  }
  add_comparisons(choices.pairs, table.comparisons, factors);
  return choices;
}

ComparisonGraph graph_of(const Choices& choices) {
  ComparisonGraph graph(choices.systems);
  for (std::size_t i = 0; i < choices.systems; ++i) {
    for (std::size_t j = 0; j < choices.systems; ++j) {
      if (choices.pairs(i, j) > 0) graph.add(i, j);
    }
  }
  for (std::size_t index = 0; index < choices.ballots(); ++index) {
    add_ballot_wins(graph, choices.ballot(index));
  }
  return graph;
}

Choices restricted(Choices choices, std::span<const System> systems, double pseudo_votes) {
  if (systems.size() == choices.systems && pseudo_votes == 0) return choices;
  std::vector<System> places(choices.systems);
  for (System place = 0; place < systems.size(); ++place) places[systems[place]] = place;
  for (std::uint32_t& entry : choices.entries) {
    entry = places[Choices::system_of(entry)] | (entry & Choices::kEqual);
  }
  Preferences pairs{systems.size(), std::vector<double>(systems.size() * systems.size())};
  for (std::size_t i = 0; i < systems.size(); ++i) {
    for (std::size_t j = 0; j < systems.size(); ++j) {
      if (i == j) continue;
      pairs.votes[i * systems.size() + j] = choices.pairs(systems[i], systems[j]) + pseudo_votes;
    }
  }
  choices.systems = systems.size();
  choices.pairs = std::move(pairs);
  return choices;
}

}  // namespace amalgam::scores
