#include <fmt/format.h>

#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/aggregators/order_ranking.hpp"
#include "amalgam/scores/kemeny/precedence.hpp"

namespace amalgam::scores::aggregators {
namespace {

// Of the voted systems of these numbers.
std::string names_of(const std::vector<System>& some, const VotedPairs& voted,
                     const StringPool& names) {
  constexpr std::size_t kShown = 5;
  std::string text;
  for (std::size_t at = 0; at < std::min(kShown, some.size()); ++at) {
    text += fmt::format("{}'{}'", at == 0 ? "" : ", ", names[voted.systems[some[at]]]);
  }
  if (some.size() > kShown) text += fmt::format(" and {} more", some.size() - kShown);
  return text;
}

class Condorcet final : public PairwiseRule {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{
        .name = "condorcet",
        .summary =
            "The Smith set, the fewest systems of which each is preferred to all others by a "
            "majority, then the Smith set of the rest, and so on; systems of one set tie.",
        .source = "Condorcet 1785; Smith 1973, \"Aggregation of preferences\"",
        .score = "systems in later sets"};
    return kInfo;
  }

  Ranking rank_pairs(const PairTable& pairs, const StringPool& systems,
                     const RankContext& /*context*/) const override {
    const VotedPairs voted = voted_pairs(pairs, info().name);
    const auto sets =
        kemeny::parts_in_order(voted.pairs.systems, [&](std::size_t before, std::size_t after) {
          return voted.pairs.majority(before, after) >= 0;
        });
    Ranking ranking{.scores = std::vector<double>(voted.pairs.systems)};
    std::size_t later = voted.pairs.systems;
    for (const std::vector<System>& set : sets) {
      later -= set.size();
      for (const System system : set) ranking.scores[system] = static_cast<double>(later);
    }
    warn_of_silent_pairs(voted.pairs, ranking);
    if (sets.front().size() > 1) {
      ranking.warnings.push_back(fmt::format(
          "there is no Condorcet winner: no majority separates the {} systems of the Smith set "
          "({})",
          sets.front().size(), names_of(sets.front(), voted, systems)));
    }
    ranking.figures = {{"systems in the Smith set", static_cast<double>(sets.front().size())},
                       {"sets", static_cast<double>(sets.size())}};
    return ranking_of_all(pairs.systems, voted, std::move(ranking));
  }
};

}  // namespace

const RankAggregator& condorcet() {
  static const Condorcet kRule;
  return kRule;
}

}  // namespace amalgam::scores::aggregators
