#include "amalgam/core/error.hpp"
#include "amalgam/core/statistics.hpp"
#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/aggregators/strengths.hpp"
#include "amalgam/scores/strength/bradley_terry.hpp"
#include "amalgam/scores/strength/controlled.hpp"

namespace amalgam::scores::aggregators {
namespace {

class ControlledBradleyTerry final : public RankAggregator {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{
        .name = "controlled-bradley-terry",
        .summary =
            "Bradley-Terry of comparisons with covariates, such as differences in length: "
            "strengths, other things being equal, and what the other things are worth.",
        .source = "logistic regression with covariates; errors by Huber 1967",
        .parameters = {alpha_parameter(), errors_parameter(), iterations_parameter(),
                       tolerance_parameter()},
        .score = kStrengthScore,
        .raw = kStrengthRaw,
        .from_comparisons = true,
        .other_missing = false};
    return kInfo;
  }

  Ranking rank(const ScoreTable& table, const RankContext& context) const override {
    check(table);
    const PairTable pairs = count_pairs(table, context.missing, context.factors, context.parallel);
    const Identification identified =
        identify(graph_of(pairs, TieVotes::half), table.systems, pseudo_votes_asked(context));
    Ranking no_errors{.scores = std::vector<double>(table.system_count())};
    const bool errors = wants_errors(context, no_errors);
    const ControlledFit controlled =
        fit_controlled(table.comparisons, table.system_count(), identified.systems,
                       identified.pseudo_votes, context.factors, strength_options(context),
                       context.parallel, start_of(context, identified), errors);
    Ranking ranking = strength_ranking(table.system_count(), identified, controlled.fit);
    ranking.warnings.insert(ranking.warnings.end(), no_errors.warnings.begin(),
                            no_errors.warnings.end());
    if (errors) add_error_column(ranking, ranked_places(ranking), controlled.strength_errors);
    add_coefficients(table.comparisons, controlled, ranking);
    return ranking;
  }

 private:
  static ParameterInfo errors_parameter() {
    return {.name = "errors",
            .kind = ParameterInfo::Kind::choice,
            .doc =
                "standard errors and intervals: robust to dependent comparisons of one cluster "
                "(sandwich), or none",
            .default_value = std::string("sandwich"),
            .choices = {"sandwich", "none"}};
  }

  static void check(const ScoreTable& table) {
    if (table.comparisons.empty() || table.ballot_count() > 0) {
      throw InputError(
          "controlled-bradley-terry needs a table of comparisons of two systems each (battles), "
          "not of measured values");
    }
    if (table.comparisons.covariate_names.empty()) {
      throw InputError(
          "controlled-bradley-terry: the comparisons have no covariates to control for; name the "
          "columns with their differences, or use bradley-terry");
    }
  }

  static void add_coefficients(const Comparisons& comparisons, const ControlledFit& controlled,
                               Ranking& ranking) {
    for (std::size_t k = 0; k < controlled.coefficients.size(); ++k) {
      const std::string& name = comparisons.covariate_names[k];
      const double value = controlled.coefficients[k];
      ranking.figures[name + ": coefficient"] = value;
      if (controlled.coefficient_errors.empty()) continue;
      const double error = controlled.coefficient_errors[k];
      ranking.figures[name + ": standard error"] = error;
      ranking.figures[name + ": 95 % low"] = value - kNormal95 * error;
      ranking.figures[name + ": 95 % high"] = value + kNormal95 * error;
    }
  }
};

}  // namespace

const RankAggregator& controlled_bradley_terry() {
  static const ControlledBradleyTerry kRule;
  return kRule;
}

}  // namespace amalgam::scores::aggregators
