#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/aggregators/strengths.hpp"

namespace amalgam::scores::aggregators {
namespace {

class Davidson final : public PairwiseRule {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{
        .name = "davidson",
        .summary =
            "Bradley-Terry in which a tie is an outcome of its own, the likelier the nearer two "
            "strengths are; the tie parameter is estimated.",
        .source = "Davidson 1970, \"On extending the Bradley-Terry model to accommodate ties\"",
        .parameters = {alpha_parameter(), errors_parameter(), iterations_parameter(),
                       tolerance_parameter()},
        .score = kStrengthScore,
        .raw = kStrengthRaw};
    return kInfo;
  }

  Ranking rank_pairs(const PairTable& pairs, const StringPool& systems,
                     const RankContext& context) const override {
    return rank_pairs_by_strength(pairs, systems, TieTreatment::davidson, context);
  }

 private:
  void add_details(const ScoreTable& table, const PairTable& pairs, const RankContext& context,
                   Ranking& ranking) const override {
    add_pair_details(table, pairs, TieTreatment::davidson, context, ranking);
  }
};

}  // namespace

const RankAggregator& davidson() {
  static const Davidson kRule;
  return kRule;
}

}  // namespace amalgam::scores::aggregators
