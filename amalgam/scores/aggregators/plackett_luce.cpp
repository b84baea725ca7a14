#include "amalgam/scores/strength/plackett_luce.hpp"

#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/aggregators/strengths.hpp"
#include "amalgam/scores/strength/newton.hpp"

namespace amalgam::scores::aggregators {
namespace {

class PlackettLuce final : public RankAggregator {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{
        .name = "plackett-luce",
        .summary =
            "Strengths by maximum likelihood from whole rankings of whatever each ballot "
            "measured: who is best is chosen, then who is best of the rest, and so on.",
        .source = "Plackett 1975; Hunter 2004; Maystre and Grossglauser 2015",
        .parameters = {solver_parameter(), alpha_parameter(), errors_parameter(),
                       iterations_parameter(), tolerance_parameter()},
        .score = kStrengthScore,
        .raw = kStrengthRaw,
        .other_missing = false};
    return kInfo;
  }

  Ranking rank(const ScoreTable& table, const RankContext& context) const override {
    return rank_by_choices(table, context);
  }
};

// How often each system could have been chosen, by ballots and by comparisons.
void add_choice_counts(const Choices& choices, const RankedPlaces& ranked, Ranking& ranking) {
  std::vector<double> counts(choices.systems);
  for (std::size_t index = 0; index < choices.ballots(); ++index) {
    for (const std::uint32_t entry : choices.ballot(index)) {
      counts[Choices::system_of(entry)] += choices.weights[index];
    }
  }
  for (std::size_t i = 0; i < choices.systems; ++i) {
    for (std::size_t j = 0; j < choices.systems; ++j) {
      counts[i] += choices.pairs(i, j) + choices.pairs(j, i);
    }
  }
  std::vector<double>& column = ranking.columns["comparisons"];
  column.assign(ranking.scores.size(), 0);
  for (std::size_t place = 0; place < counts.size(); ++place) {
    column[ranked.systems[place]] = counts[place];
  }
}

}  // namespace

Ranking rank_by_choices(const ScoreTable& table, const RankContext& context) {
  Choices choices = choices_of(table, context.factors);
  const Identification identified =
      identify(graph_of(choices), table.systems, pseudo_votes_asked(context));
  choices = restricted(std::move(choices), identified.systems, identified.pseudo_votes);
  const StrengthFit fit = fit_plackett_luce(choices, strength_options(context), context.parallel,
                                            start_of(context, identified));
  Ranking ranking = strength_ranking(table.system_count(), identified, fit);
  if (is_resample(context)) return ranking;
  const RankedPlaces ranked = ranked_places(ranking);
  ranking.figures["log-likelihood"] = plackett_luce_log_likelihood(choices, fit.strengths);
  add_choice_counts(choices, ranked, ranking);
  if (!wants_errors(context, ranking)) return ranking;
  const std::size_t parameters = choices.systems;
  std::vector<double> information =
      plackett_luce_information(choices, fit.strengths, context.parallel);
  const std::vector<double> covariance =
      error_kind_of_name(context.parameters.text("errors")) == ErrorKind::fisher
          ? covariance_of(std::move(information), parameters, parameters)
          : sandwich_covariance(
                std::move(information),
                choice_gradient_products(choices, table, ranked.places, fit.strengths), parameters,
                parameters);
  add_error_column(ranking, ranked, standard_errors(covariance, parameters, parameters));
  return ranking;
}

const RankAggregator& plackett_luce() {
  static const PlackettLuce kRule;
  return kRule;
}

}  // namespace amalgam::scores::aggregators
