#include "amalgam/core/error.hpp"
#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/aggregators/strengths.hpp"

namespace amalgam::scores::aggregators {
namespace {

constexpr const char* kHalf = "half";

TieTreatment tie_treatment(const std::string& name) {
  if (name == "both") return TieTreatment::both;
  if (name == "ignore") return TieTreatment::ignore;
  if (name == "davidson") return TieTreatment::davidson;
  if (name == "rao-kupper") return TieTreatment::rao_kupper;
  return TieTreatment::half;
}

class OneBench final : public RankAggregator {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{
        .name = "onebench",
        .summary =
            "Every sample is a comparison of the systems measured on it, whatever its "
            "metric and whoever is missing; strengths by maximum likelihood from all.",
        .source = "Ghosh et al. 2025, \"ONEBench to Test Them All\", section 3",
        .parameters = {form_parameter(), ties_parameter(), tie_tolerance_parameter(),
                       alpha_parameter(), errors_parameter(), iterations_parameter(),
                       tolerance_parameter()},
        .score = kStrengthScore,
        .raw = kStrengthRaw,
        .other_missing = false};
    return kInfo;
  }

  Ranking rank(const ScoreTable& table, const RankContext& context) const override {
    const std::string& tie = context.parameters.text("tie");
    const double tolerance = context.parameters.number("tie_tolerance");
    if (context.parameters.text("form") == "top1") {
      if (tie != kHalf) {
        throw InputError(
            "onebench: tie = {} is for form = pairs; with form = top1 equal systems are not "
            "compared with each other",
            tie);
      }
      if (tolerance > 0) {
        throw InputError("onebench: tie_tolerance is for form = pairs; round the values instead");
      }
      return rank_by_choices(table, context);
    }
    const PairTable pairs =
        count_pairs(table, context.missing, context.factors, context.parallel, tolerance);
    const TieTreatment ties = tie_treatment(tie);
    Ranking ranking = rank_pairs_by_strength(pairs, table.systems, ties, context);
    add_pair_details(table, pairs, ties, context, ranking, tolerance);
    return ranking;
  }

 private:
  static ParameterInfo form_parameter() {
    return {.name = "form",
            .kind = ParameterInfo::Kind::choice,
            .doc =
                "what a sample becomes: a comparison of every two systems on it, or choices of "
                "each from itself and all that are worse",
            .default_value = std::string("pairs"),
            .choices = {"pairs", "top1"}};
  }

  static ParameterInfo tie_tolerance_parameter() {
    return {.name = "tie_tolerance",
            .doc = "values of a sample that differ by no more tie (form = pairs)",
            .default_value = 0.0,
            .low = 0};
  }

  static ParameterInfo ties_parameter() {
    return {.name = "tie",
            .kind = ParameterInfo::Kind::choice,
            .doc =
                "what a tie of two systems on a sample is (form = pairs): half a win for each, "
                "a win for both, nothing, or an outcome of its own by either model",
            .default_value = std::string(kHalf),
            .choices = {kHalf, "both", "ignore", "davidson", "rao-kupper"}};
  }
};

}  // namespace

const RankAggregator& onebench() {
  static const OneBench kRule;
  return kRule;
}

}  // namespace amalgam::scores::aggregators
