#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "amalgam/scores/pair_table.hpp"
#include "amalgam/scores/strength/solver.hpp"

namespace amalgam::scores {

/// Models of comparisons in which a tie is an outcome of its own.
enum class TieModel {
  /// Pr(i wins) = w_i / Z, Pr(tie) = nu sqrt(w_i w_j) / Z, Z = w_i + w_j + nu sqrt(w_i w_j)
  /// (Davidson 1970).
  davidson,
  /// Pr(i wins) = w_i / (w_i + t w_j), Pr(tie) = (t^2 - 1) w_i w_j / ((w_i + t w_j)(t w_i + w_j)),
  /// t >= 1 (Rao and Kupper 1967).
  rao_kupper,
};

struct TiedFit {
  StrengthFit fit;
  double tie = 0;  ///< nu >= 0 of Davidson, t >= 1 of Rao and Kupper; without ties: 0 and 1
};

/// Probabilities of the outcomes of a comparison.
struct TiedOutcome {
  double win = 0;   ///< of the first
  double loss = 0;  ///< of the second
  double tie = 0;
};
/// `difference`: log-strength of the first minus that of the second.
TiedOutcome tied_outcome(TieModel model, double difference, double tie);

/// Whether the tie parameter has a finite maximum where the strengths have: not if systems can be
/// placed on a line with ties at most, and wins at least, one unit apart, because then both grow
/// together for ever (such as wins of one of two systems, and ties). True without ties.
bool tie_parameter_is_finite(const PairTable& pairs);

/// The maximum of the likelihood of wins and ties by Newton's method; without ties that of
/// Bradley and Terry. The graph in which a tie counts as a win for both must be strongly connected,
/// and tie_parameter_is_finite() hold. `start`: log-strengths [systems], or empty.
TiedFit fit_tied(TieModel model, const PairTable& pairs, const StrengthOptions& options = {},
                 std::span<const double> start = {});

/// The likelihood's logarithm.
double tied_log_likelihood(TieModel model, const PairTable& pairs,
                           std::span<const double> strengths, double tie);

/// Fisher's information of the strengths and the logarithm of the tie parameter at a fit,
/// [systems + 1, systems + 1]; [systems, systems] without ties.
std::vector<double> tied_information(TieModel model, const PairTable& pairs, const TiedFit& fit);

/// Votes of `systems` alone, in their order, with `pseudo_votes` wins in both directions for every
/// pair.
PairTable restricted_pairs(const PairTable& pairs, std::span<const System> systems,
                           double pseudo_votes = 0);

/// Whether there is a tie.
bool has_ties(const PairTable& pairs);

}  // namespace amalgam::scores
