#include "amalgam/scores/strength/bradley_terry.hpp"

#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/aggregators/strengths.hpp"

namespace amalgam::scores::aggregators {
namespace {

TieTreatment tie_treatment(const RankContext& context) {
  switch (tie_votes_of_name(context.parameters.text("tie"))) {
    case TieVotes::both:
      return TieTreatment::both;
    case TieVotes::ignore:
      return TieTreatment::ignore;
    default:
      return TieTreatment::half;
  }
}

class BradleyTerry final : public PairwiseRule {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{
        .name = "bradley-terry",
        .summary =
            "Strengths whose ratio is the odds of winning, by maximum likelihood: rankings "
            "from comparisons of whichever pairs were compared.",
        .source = "Zermelo 1929; Bradley and Terry 1952; Hunter 2004",
        .parameters = {solver_parameter(), tie_parameter(), alpha_parameter(), errors_parameter(),
                       iterations_parameter(), tolerance_parameter()},
        .score = kStrengthScore,
        .raw = kStrengthRaw};
    return kInfo;
  }

  Ranking rank_pairs(const PairTable& pairs, const StringPool& systems,
                     const RankContext& context) const override {
    return rank_pairs_by_strength(pairs, systems, tie_treatment(context), context);
  }

 private:
  void add_details(const ScoreTable& table, const PairTable& pairs, const RankContext& context,
                   Ranking& ranking) const override {
    add_pair_details(table, pairs, tie_treatment(context), context, ranking);
  }
};

}  // namespace

const RankAggregator& bradley_terry() {
  static const BradleyTerry kRule;
  return kRule;
}

}  // namespace amalgam::scores::aggregators
