#include <utility>

#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/aggregators/strengths.hpp"

namespace amalgam::scores::aggregators {
namespace {

// A strength model in which a tie is an outcome of its own.
class TiedModelRule final : public PairwiseRule {
 public:
  TiedModelRule(RankAggregatorInfo info, TieTreatment ties) : info_(std::move(info)), ties_(ties) {
    info_.parameters = {alpha_parameter(), errors_parameter(), iterations_parameter(),
                        tolerance_parameter()};
    info_.score = kStrengthScore;
    info_.raw = kStrengthRaw;
  }
  const RankAggregatorInfo& info() const override { return info_; }

  Ranking rank_pairs(const PairTable& pairs, const StringPool& systems,
                     const RankContext& context) const override {
    return rank_pairs_by_strength(pairs, systems, ties_, context);
  }

 private:
  void add_details(const ScoreTable& table, const PairTable& pairs, const RankContext& context,
                   Ranking& ranking) const override {
    add_pair_details(table, pairs, ties_, context, ranking);
  }

  RankAggregatorInfo info_;
  TieTreatment ties_;
};

}  // namespace

const RankAggregator& davidson() {
  static const TiedModelRule kRule(
      {.name = "davidson",
       .summary = "Bradley-Terry in which a tie is an outcome of its own, the likelier the nearer "
                  "two strengths are; the tie parameter is estimated.",
       .source = "Davidson 1970, \"On extending the Bradley-Terry model to accommodate ties\""},
      TieTreatment::davidson);
  return kRule;
}

const RankAggregator& rao_kupper() {
  static const TiedModelRule kRule(
      {.name = "rao-kupper",
       .summary = "Bradley-Terry in which whoever is not better by a threshold ties; the threshold "
                  "is estimated.",
       .source = "Rao and Kupper 1967, \"Ties in paired-comparison experiments\""},
      TieTreatment::rao_kupper);
  return kRule;
}

}  // namespace amalgam::scores::aggregators
