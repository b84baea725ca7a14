#include <algorithm>

#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/aggregators/order_ranking.hpp"

namespace amalgam::scores::aggregators {
namespace {

class Minimax final : public PairwiseRule {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{
        .name = "minimax",
        .summary =
            "By the worst duel: the largest lead that any other system has over this one. "
            "Elects the Condorcet winner; below the top, one bad duel counts for all.",
        .source = "Simpson 1969; Kramer 1977",
        .score = "lead of votes in the worst duel"};
    return kInfo;
  }

  Ranking rank_pairs(const PairTable& pairs, const StringPool& /*systems*/,
                     const RankContext& /*context*/) const override {
    const VotedPairs voted = voted_pairs(pairs, info().name);
    const kemeny::Leads leads = kemeny::leads_of(voted.pairs);
    Ranking ranking{.scores = std::vector<double>(voted.pairs.systems)};
    for (std::size_t i = 0; i < voted.pairs.systems; ++i) {
      std::int64_t worst = leads.lead(i, i == 0 ? 1 : 0);
      for (std::size_t j = 0; j < voted.pairs.systems; ++j) {
        if (j != i) worst = std::min(worst, leads.lead(i, j));
      }
      ranking.scores[i] = static_cast<double>(worst) * leads.unit;
    }
    warn_of_silent_pairs(voted.pairs, ranking);
    return ranking_of_all(pairs.systems, voted, std::move(ranking));
  }
};

}  // namespace

const RankAggregator& minimax() {
  static const Minimax kRule;
  return kRule;
}

}  // namespace amalgam::scores::aggregators
