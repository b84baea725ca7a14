#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/aggregators/order_ranking.hpp"
#include "amalgam/scores/kemeny/local_search.hpp"

namespace amalgam::scores::aggregators {
namespace {

class LocalKemeny final : public PairwiseRule {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{
        .name = "local-kemeny",
        .summary =
            "Borda's order, changed by moving one system at a time until that does not bring "
            "it nearer to the votes: fast for thousands of systems, near Kemeny's order.",
        .source = "Dwork et al. 2001, \"Rank aggregation methods for the Web\", section 4",
        .score = "systems placed behind",
        .raw = "votes that the system's place is against"};
    return kInfo;
  }

  Ranking rank_pairs(const PairTable& pairs, const StringPool& /*systems*/,
                     const RankContext& /*context*/) const override {
    const VotedPairs voted = voted_pairs(pairs, info().name);
    const kemeny::Leads leads = kemeny::leads_of(voted.pairs);
    kemeny::Order order = kemeny::borda_order(leads);
    kemeny::improve_by_insertions(leads, order);
    Ranking ranking = ranking_of_order(voted.pairs, order);
    warn_of_silent_pairs(voted.pairs, ranking);
    ranking.certificate = certificate_by_cycles(voted.pairs, order);
    return ranking_of_all(pairs.systems, voted, std::move(ranking));
  }
};

}  // namespace

const RankAggregator& local_kemeny() {
  static const LocalKemeny kRule;
  return kRule;
}

}  // namespace amalgam::scores::aggregators
