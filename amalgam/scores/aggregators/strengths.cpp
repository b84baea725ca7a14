#include "amalgam/scores/aggregators/strengths.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/scores/strength/bradley_terry.hpp"
#include "amalgam/scores/strength/newton.hpp"
#include "amalgam/scores/strength/tied_models.hpp"

namespace amalgam::scores::aggregators {
namespace {

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();
constexpr double kEqualStrengths = 1e-9;
constexpr double kPointsPerStrength = 173.71779276130073;  // 400 / ln 10
constexpr std::size_t kMostForErrors = 2000;
constexpr const char* kTieFigure = "tie parameter";
constexpr const char* kPseudoVotes = "pseudo-votes";

bool is_tied_model(TieTreatment ties) {
  return ties == TieTreatment::davidson || ties == TieTreatment::rao_kupper;
}

TieModel model_of(TieTreatment ties) {
  return ties == TieTreatment::davidson ? TieModel::davidson : TieModel::rao_kupper;
}

TieVotes votes_of(TieTreatment ties) {
  switch (ties) {
    case TieTreatment::both:
      return TieVotes::both;
    case TieTreatment::ignore:
      return TieVotes::ignore;
    default:
      return TieVotes::half;  // for models with ties of their own: a tie links both ways
  }
}

// How votes of a Bradley-Terry model depend on the strengths.
VoteGradients votes_gradient(TieVotes ties, std::span<const double> strengths) {
  return [ties, strengths](std::size_t i, std::size_t j, int outcome) {
    const double p = portable_logistic(strengths[i] - strengths[j]);
    double rest = 0.5 * (1 + outcome) - p;
    if (outcome == 0 && ties == TieVotes::both) rest = 1 - 2 * p;
    if (outcome == 0 && ties == TieVotes::ignore) rest = 0;
    return VoteGradient{.first = rest, .second = -rest};
  };
}

VoteGradients votes_gradient(TieModel model, std::span<const double> strengths, double tie,
                             bool with_ties) {
  return [=](std::size_t i, std::size_t j, int outcome) {
    const TiedOutcome p = tied_outcome(model, strengths[i] - strengths[j], tie);
    if (model == TieModel::davidson) {
      const double first = (outcome > 0 ? 1 : outcome == 0 ? 0.5 : 0) - p.win - p.tie / 2;
      return VoteGradient{first, -first, with_ties ? (outcome == 0 ? 1 : 0) - p.tie : 0};
    }
    // ln Pr(win) and, of a tie, ln(t^2 - 1) + ln Pr(win) + ln Pr(loss).
    VoteGradient gradient;
    if (outcome >= 0) {
      gradient.first += 1 - p.win;
      gradient.tie -= 1 - p.win;
    }
    if (outcome <= 0) {
      gradient.first -= 1 - p.loss;
      gradient.tie -= 1 - p.loss;
    }
    gradient.second = -gradient.first;
    if (outcome == 0) gradient.tie += 2 * tie * tie / (tie * tie - 1);
    if (!with_ties) gradient.tie = 0;
    return gradient;
  };
}

void add_errors(const ScoreTable& table, const RankContext& context, const RankedPlaces& ranked,
                std::vector<double> information, std::size_t parameters,
                const VoteGradients& gradients, double tie_tolerance, Ranking& ranking) {
  const std::size_t count = ranked.systems.size();
  const ErrorKind kind = error_kind_of_name(context.parameters.text("errors"));
  std::vector<double> covariance;
  if (kind == ErrorKind::fisher) {
    covariance = covariance_of(std::move(information), parameters, count);
  } else if (context.missing == Missing::complete && table.ballot_count() > 0) {
    ranking.warnings.emplace_back(
        "no standard errors: they are of what was measured, and missing scores were completed");
    return;
  } else {
    covariance =
        sandwich_covariance(std::move(information),
                            pair_gradient_products(table, context.missing, ranked.places, count,
                                                   parameters, gradients, tie_tolerance),
                            parameters, count);
  }
  add_error_column(ranking, ranked, standard_errors(covariance, parameters, count));
}

// Adds pseudo-votes where wins and ties do not bound the tie parameter.
void bound_tie_parameter(const PairTable& pairs, const RankContext& context,
                         Identification& identified) {
  if (identified.pseudo_votes > 0 || tie_parameter_is_finite(pairs)) return;
  if (pseudo_votes_asked(context)) {
    throw InputError(
        "the tie parameter is infinite: no system ever won against one that is as good or better, "
        "so that wins and ties are explained by ever larger differences; set alpha above 0 (such "
        "as {:g}) to add pseudo-votes, or leave alpha out",
        kAutomaticPseudoVotes);
  }
  identified.pseudo_votes = kAutomaticPseudoVotes;
  identified.warnings.push_back(fmt::format(
      "the tie parameter would be infinite (no system ever won against one that is as good or "
      "better): {:g} pseudo-votes were added in both directions to every pair",
      kAutomaticPseudoVotes));
}

void add_vote_counts(const PairTable& pairs, Ranking& ranking) {
  std::vector<double>& votes = ranking.columns["comparisons"];
  votes.assign(pairs.systems, 0);
  for (std::size_t i = 0; i < pairs.systems; ++i) {
    for (std::size_t j = 0; j < pairs.systems; ++j) {
      if (i != j) votes[i] += pairs.votes(i, j);
    }
  }
}

}  // namespace

ParameterInfo solver_parameter() {
  return {.name = "solver",
          .kind = ParameterInfo::Kind::choice,
          .doc =
              "how the likelihood is maximised: Newton's method, minorisation-maximisation or "
              "iterated Luce spectral ranking; all find the same",
          .default_value = std::string("newton"),
          .choices = {"newton", "mm", "lsr"}};
}

ParameterInfo alpha_parameter() {
  return {.name = "alpha",
          .doc = "pseudo-votes added to every pair in both directions",
          .optional = true,
          .default_text = "0; 0.01 with a warning where strengths would be infinite",
          .low = 0,
          .high = 1e6};
}

ParameterInfo iterations_parameter() {
  return {.name = "iterations",
          .kind = ParameterInfo::Kind::integer,
          .doc = "most iterations",
          .default_value = 10'000.0,
          .low = 1,
          .high = 1e9};
}

ParameterInfo tolerance_parameter() {
  return {.name = "tolerance",
          .doc = "what may be wrong with a log-strength at the end, about",
          .default_value = 1e-10,
          .low = 1e-13,
          .high = 0.1};
}

ParameterInfo errors_parameter() {
  return {.name = "errors",
          .kind = ParameterInfo::Kind::choice,
          .doc =
              "standard errors: robust to dependent votes of one instance or cluster "
              "(sandwich), as if votes were independent (fisher), or none",
          .default_value = std::string("sandwich"),
          .choices = {"sandwich", "fisher", "none"}};
}

ParameterInfo tie_parameter() {
  return {.name = "tie",
          .kind = ParameterInfo::Kind::choice,
          .doc = "what a tie is: half a win for each, a win for both, or nothing",
          .default_value = std::string("half"),
          .choices = {"half", "both", "ignore"}};
}

StrengthOptions strength_options(const RankContext& context) {
  const Parameters& parameters = context.parameters;
  StrengthOptions options;
  if (parameters.has("solver")) options.solver = solver_of_name(parameters.text("solver"));
  options.iterations = static_cast<std::size_t>(parameters.number("iterations"));
  options.tolerance = parameters.number("tolerance");
  return options;
}

std::optional<double> pseudo_votes_asked(const RankContext& context) {
  if (!context.parameters.has("alpha")) return std::nullopt;
  return context.parameters.number("alpha");
}

std::vector<double> start_of(const RankContext& context, const Identification& identified) {
  std::vector<double> start;
  if (context.start.empty()) return start;
  for (const System system : identified.systems) {
    if (!std::isfinite(context.start[system])) return {};
    start.push_back(context.start[system]);
  }
  return start;
}

Ranking strength_ranking(std::size_t systems, const Identification& identified,
                         const StrengthFit& fit) {
  Ranking ranking{.scores = std::vector<double>(systems, kNothing),
                  .raw = std::vector<double>(systems, kNothing),
                  .tie_tolerance = kEqualStrengths,
                  .certificate = std::nullopt,
                  .warnings = identified.warnings};
  for (std::size_t place = 0; place < identified.systems.size(); ++place) {
    const System system = identified.systems[place];
    ranking.scores[system] = fit.strengths[place];
    ranking.raw[system] = 1000 + kPointsPerStrength * fit.strengths[place];
  }
  if (!identified.groups.empty()) {
    std::vector<double>& groups = ranking.columns["comparison group"];
    groups.assign(systems, kNothing);
    for (std::size_t place = 0; place < identified.systems.size(); ++place) {
      groups[identified.systems[place]] = 1 + identified.groups[place];
    }
  }
  ranking.figures["iterations"] = static_cast<double>(fit.iterations);
  ranking.figures[kPseudoVotes] = identified.pseudo_votes;
  if (!fit.converged) {
    ranking.warnings.push_back(fmt::format(
        "the fit ended after {} iterations before it had converged; allow more iterations or use "
        "solver newton",
        fit.iterations));
  }
  return ranking;
}

RankedPlaces ranked_places(const Ranking& ranking) {
  RankedPlaces ranked;
  for (System system = 0; system < ranking.scores.size(); ++system) {
    if (std::isnan(ranking.scores[system])) continue;
    ranked.systems.push_back(system);
    ranked.strengths.push_back(ranking.scores[system]);
  }
  ranked.places.assign(ranking.scores.size(), ranked.systems.size());
  for (std::size_t place = 0; place < ranked.systems.size(); ++place) {
    ranked.places[ranked.systems[place]] = place;
  }
  return ranked;
}

bool is_resample(const RankContext& context) {
  const Reweighting& factors = context.factors;
  return !(factors.ballots.empty() && factors.comparisons.empty() && factors.tasks.empty());
}

bool wants_errors(const RankContext& context, Ranking& ranking) {
  if (is_resample(context) || context.parameters.text("errors") == "none") return false;
  if (ranking.scores.size() > kMostForErrors) {
    ranking.warnings.push_back(fmt::format("no standard errors: {} systems are more than {}",
                                           ranking.scores.size(), kMostForErrors));
    return false;
  }
  return true;
}

void add_error_column(Ranking& ranking, const RankedPlaces& ranked, std::vector<double> errors) {
  std::vector<double>& column = ranking.columns["standard error"];
  column.assign(ranking.scores.size(), kNothing);
  for (std::size_t place = 0; place < errors.size(); ++place) {
    column[ranked.systems[place]] = errors[place];
  }
}

Ranking rank_pairs_by_strength(const PairTable& pairs, const StringPool& names, TieTreatment ties,
                               const RankContext& context) {
  Identification identified =
      identify(graph_of(pairs, votes_of(ties)), names, pseudo_votes_asked(context));
  if (is_tied_model(ties)) bound_tie_parameter(pairs, context, identified);
  const std::vector<double> start = start_of(context, identified);
  const StrengthOptions options = strength_options(context);
  if (!is_tied_model(ties)) {
    const Preferences preferences =
        preferences_of(pairs, votes_of(ties), identified.systems, identified.pseudo_votes);
    return strength_ranking(pairs.systems, identified,
                            fit_bradley_terry(preferences, options, start));
  }
  const TiedFit tied =
      fit_tied(model_of(ties), restricted_pairs(pairs, identified.systems, identified.pseudo_votes),
               options, start);
  Ranking ranking = strength_ranking(pairs.systems, identified, tied.fit);
  ranking.figures[kTieFigure] = tied.tie;
  return ranking;
}

void add_pair_details(const ScoreTable& table, const PairTable& pairs, TieTreatment ties,
                      const RankContext& context, Ranking& ranking, double tie_tolerance) {
  if (is_resample(context)) return;
  const RankedPlaces ranked = ranked_places(ranking);
  const double pseudo_votes = ranking.figures.at(kPseudoVotes);
  add_vote_counts(pairs, ranking);
  if (!is_tied_model(ties)) {
    const Preferences preferences =
        preferences_of(pairs, votes_of(ties), ranked.systems, pseudo_votes);
    ranking.figures["log-likelihood"] = bradley_terry_log_likelihood(preferences, ranked.strengths);
    if (!wants_errors(context, ranking)) return;
    add_errors(table, context, ranked, bradley_terry_information(preferences, ranked.strengths),
               ranked.systems.size(), votes_gradient(votes_of(ties), ranked.strengths),
               tie_tolerance, ranking);
    return;
  }
  const TieModel model = model_of(ties);
  const PairTable part = restricted_pairs(pairs, ranked.systems, pseudo_votes);
  const double tie = ranking.figures.at(kTieFigure);
  ranking.figures["log-likelihood"] = tied_log_likelihood(model, part, ranked.strengths, tie);
  if (!wants_errors(context, ranking)) return;
  const bool with_ties = has_ties(part);
  add_errors(table, context, ranked,
             tied_information(model, part, {{.strengths = ranked.strengths}, tie}),
             ranked.systems.size() + (with_ties ? 1 : 0),
             votes_gradient(model, ranked.strengths, tie, with_ties), tie_tolerance, ranking);
}

}  // namespace amalgam::scores::aggregators
