#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "amalgam/core/rank_correlation.hpp"
#include "amalgam/scores/aggregators/aggregators.hpp"

// Rules that look at the places of systems on each ballot.
namespace amalgam::scores::aggregators {
namespace {

// A ballot's average 0-based places (0 is best) of its systems.
std::vector<double> places_of(const ScoreTable::Ballot& ballot) {
  std::vector<double> places = average_ranks(ballot.values);
  for (double& place : places) place = static_cast<double>(places.size()) - place;
  return places;
}

// Calls visit(ballot, weight, places) for every ballot that counts and compares: being the only one
// that was measured is no first place.
template <class F>
void for_ballots(const ScoreTable& table, const RankContext& context, F visit) {
  for (std::size_t index = 0; index < table.ballot_count(); ++index) {
    const ScoreTable::Ballot ballot = table.ballot(index);
    const double weight = table.ballot_weight(index) * context.factors.ballot(index) *
                          context.factors.task(table.ballot_tasks[index]);
    const bool complete = ballot.systems.size() == table.system_count();
    if (ballot.systems.size() < 2) continue;
    if (weight == 0.0 || (context.missing == Missing::drop && !complete)) continue;
    visit(ballot, weight, places_of(ballot));
  }
}

// The value below and above which lies half of the weight; between two, their mean.
double weighted_median(std::vector<std::pair<double, double>> values) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::ranges::sort(values);
  double total = 0;
  for (const auto& [value, weight] : values) total += weight;
  double below = 0;
  for (std::size_t at = 0; at < values.size(); ++at) {
    below += values[at].second;
    if (below > total / 2) return values[at].first;
    if (below == total / 2) return 0.5 * (values[at].first + values[at + 1].first);
  }
  return values.back().first;
}

class MedianRank final : public RankAggregator {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{
        .name = "median-rank",
        .summary =
            "The median of a system's ranks among those measured with it: what a few "
            "tasks say cannot move it.",
        .source =
            "Fagin, Kumar and Sivakumar 2003, \"Efficient similarity search and "
            "classification via rank aggregation\"",
        .score = "minus the median rank",
        .raw = "median rank (1 = best)",
        .from_ballots = true,
        .completes = false};
    return kInfo;
  }

  Ranking rank(const ScoreTable& table, const RankContext& context) const override {
    std::vector<std::vector<std::pair<double, double>>> ranks(table.system_count());
    for_ballots(
        table, context,
        [&](const ScoreTable::Ballot& ballot, double weight, std::span<const double> places) {
          for (std::size_t row = 0; row < places.size(); ++row) {
            ranks[ballot.systems[row]].emplace_back(places[row] + 1, weight);
          }
        });
    Ranking ranking;
    for (auto& of_system : ranks) {
      ranking.raw.push_back(weighted_median(std::move(of_system)));
      ranking.scores.push_back(-ranking.raw.back());
    }
    return ranking;
  }
};

class Plurality final : public RankAggregator {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{
        .name = "plurality",
        .summary = "How often a system is the best one; several best ones share the vote.",
        .source = "Colombo et al. 2022, \"What are the best systems?\", section 3 (a baseline)",
        .score = "first places",
        .from_ballots = true,
        .completes = false};
    return kInfo;
  }

  Ranking rank(const ScoreTable& table, const RankContext& context) const override {
    Ranking ranking{.scores = std::vector<double>(table.system_count(),
                                                  std::numeric_limits<double>::quiet_NaN()),
                    .tie_tolerance = 1e-9};
    for (std::size_t index = 0; index < table.ballot_count(); ++index) {
      const ScoreTable::Ballot ballot = table.ballot(index);
      if (ballot.systems.size() < 2) continue;
      for (const System system : ballot.systems) ranking.scores[system] = 0;
    }
    for_ballots(
        table, context,
        [&](const ScoreTable::Ballot& ballot, double weight, std::span<const double> places) {
          const double best = *std::ranges::min_element(places);
          const auto share = static_cast<double>(std::ranges::count(places, best));
          for (std::size_t row = 0; row < places.size(); ++row) {
            if (places[row] == best) ranking.scores[ballot.systems[row]] += weight / share;
          }
        });
    return ranking;
  }
};

}  // namespace

const RankAggregator& median_rank() {
  static const MedianRank kRule;
  return kRule;
}

const RankAggregator& plurality() {
  static const Plurality kRule;
  return kRule;
}

}  // namespace amalgam::scores::aggregators
