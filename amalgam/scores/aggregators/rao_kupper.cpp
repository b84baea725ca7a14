#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/aggregators/strengths.hpp"

namespace amalgam::scores::aggregators {
namespace {

class RaoKupper final : public PairwiseRule {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{
        .name = "rao-kupper",
        .summary =
            "Bradley-Terry in which whoever is not better by a threshold ties; the threshold is "
            "estimated.",
        .source = "Rao and Kupper 1967, \"Ties in paired-comparison experiments\"",
        .parameters = {alpha_parameter(), errors_parameter(), iterations_parameter(),
                       tolerance_parameter()},
        .score = kStrengthScore,
        .raw = kStrengthRaw};
    return kInfo;
  }

  Ranking rank_pairs(const PairTable& pairs, const StringPool& systems,
                     const RankContext& context) const override {
    return rank_pairs_by_strength(pairs, systems, TieTreatment::rao_kupper, context);
  }

 private:
  void add_details(const ScoreTable& table, const PairTable& pairs, const RankContext& context,
                   Ranking& ranking) const override {
    add_pair_details(table, pairs, TieTreatment::rao_kupper, context, ranking);
  }
};

}  // namespace

const RankAggregator& rao_kupper() {
  static const RaoKupper kRule;
  return kRule;
}

}  // namespace amalgam::scores::aggregators
