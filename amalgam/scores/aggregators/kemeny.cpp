#include "amalgam/scores/kemeny/kemeny.hpp"

#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/aggregators/order_ranking.hpp"

namespace amalgam::scores::aggregators {
namespace {

class Kemeny final : public PairwiseRule {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{
        .name = "kemeny",
        .summary = "The order that the fewest votes on pairs are against, with a proof or a bound.",
        .source = "Kemeny 1959; Colombo et al. 2022, \"What are the best systems?\", section 3",
        .parameters = {{.name = "seconds",
                        .doc = "after which the best order and bound so far are the result (what "
                               "ends earlier does not depend on the machine)",
                        .default_value = 60.0,
                        .low = 0,
                        .high = 1e6}},
        .score = "systems placed behind",
        .raw = "votes that the system's place is against"};
    return kInfo;
  }

  Ranking rank_pairs(const PairTable& pairs, const StringPool& /*systems*/,
                     const RankContext& context) const override {
    const VotedPairs voted = voted_pairs(pairs, info().name);
    const kemeny::KemenyOrder solved =
        kemeny::kemeny_order(voted.pairs, {.seconds = context.parameters.number("seconds")});
    Ranking ranking = ranking_of_order(voted.pairs, solved.order);
    warn_of_silent_pairs(voted.pairs, ranking);
    ranking.warnings.insert(ranking.warnings.end(), solved.warnings.begin(), solved.warnings.end());
    ranking.certificate = solved.certificate;
    ranking.figures = {{"components", static_cast<double>(solved.components)},
                       {"largest component", static_cast<double>(solved.largest_component)},
                       {"3-cycle cuts", static_cast<double>(solved.cuts)},
                       {"search nodes", static_cast<double>(solved.nodes)}};
    return ranking_of_all(pairs.systems, voted, std::move(ranking));
  }
};

}  // namespace

const RankAggregator& kemeny() {
  static const Kemeny kRule;
  return kRule;
}

}  // namespace amalgam::scores::aggregators
