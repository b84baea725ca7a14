#pragma once

#include <optional>
#include <string>
#include <vector>

#include "amalgam/scores/rank_aggregator.hpp"
#include "amalgam/scores/strength/comparison_graph.hpp"
#include "amalgam/scores/strength/covariance.hpp"
#include "amalgam/scores/strength/solver.hpp"

/// What the methods that rank by fitted log-strengths share.
namespace amalgam::scores::aggregators {

/// What becomes of ties of pairs.
enum class TieTreatment { half, both, ignore, davidson, rao_kupper };

ParameterInfo solver_parameter();
ParameterInfo alpha_parameter();
ParameterInfo iterations_parameter();
ParameterInfo tolerance_parameter();
ParameterInfo errors_parameter();
/// "half", "both" or "ignore".
ParameterInfo tie_parameter();

/// "log-strength", and what raw is.
inline constexpr const char* kStrengthScore = "log-strength (mean 0)";
inline constexpr const char* kStrengthRaw = "rating: 1000 + 400 / ln 10 times the log-strength";

/// Reads "iterations" and "tolerance", and "solver" where the method has it.
StrengthOptions strength_options(const RankContext& context);
/// Reads "alpha".
std::optional<double> pseudo_votes_asked(const RankContext& context);
/// The starting point for the systems that are ranked; empty if the context has none, or none for
/// some of them.
std::vector<double> start_of(const RankContext& context, const Identification& identified);

/// A ranking by log-strengths: systems that are not ranked have no score. With several groups the
/// column "comparison group" says who is in which.
Ranking strength_ranking(std::size_t systems, const Identification& identified,
                         const StrengthFit& fit);

/// The numbers of systems among those with a score, in their order; those without one get the
/// number of those with one.
struct RankedPlaces {
  std::vector<std::size_t> places;  ///< [systems]
  std::vector<System> systems;      ///< with a score
  std::vector<double> strengths;    ///< of them
};
RankedPlaces ranked_places(const Ranking& ranking);

/// Whether the context ranks a resample: figures of the fit are then not wanted.
bool is_resample(const RankContext& context);

/// Whether standard errors are wanted: not for a resample, nor for too many systems (then with a
/// warning).
bool wants_errors(const RankContext& context, Ranking& ranking);

/// Adds the column "standard error", of the systems with a score.
void add_error_column(Ranking& ranking, const RankedPlaces& ranked, std::vector<double> errors);

/// Fits Bradley-Terry, Davidson or Rao-Kupper.
Ranking rank_pairs_by_strength(const PairTable& pairs, const StringPool& names, TieTreatment ties,
                               const RankContext& context);

/// Adds to such a ranking the log-likelihood, how many votes each system had and standard errors.
/// `tie_tolerance`: that of counting the pairs.
void add_pair_details(const ScoreTable& table, const PairTable& pairs, TieTreatment ties,
                      const RankContext& context, Ranking& ranking, double tie_tolerance = 0);

/// Fits Plackett-Luce to a table's ballots and comparisons, with the same details.
Ranking rank_by_choices(const ScoreTable& table, const RankContext& context);

}  // namespace amalgam::scores::aggregators
