#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "amalgam/scores/pair_table.hpp"
#include "amalgam/scores/strength/comparison_graph.hpp"
#include "amalgam/scores/strength/solver.hpp"

namespace amalgam::scores {

/// What a tie is to a model that knows only wins.
enum class TieVotes {
  half,    ///< half a win for each
  both,    ///< a win for each, so that ties count twice as much as wins
  ignore,  ///< nothing
};
TieVotes tie_votes_of_name(std::string_view name);

/// Votes on pairs without ties.
struct Preferences {
  std::size_t systems = 0;
  std::vector<double> votes;  ///< [systems, systems]: [i, j] for i over j; 0 on the diagonal

  double operator()(std::size_t i, std::size_t j) const { return votes[i * systems + j]; }
};

/// The votes among `systems`, in their order, with `pseudo_votes` added to every pair in both
/// directions.
Preferences preferences_of(const PairTable& pairs, TieVotes ties, std::span<const System> systems,
                           double pseudo_votes = 0);

/// Who won against whom; a tie is a win for both unless ties are ignored. InputError if there is
/// no win at all, so that nothing tells systems apart.
ComparisonGraph graph_of(const PairTable& pairs, TieVotes ties);

/// The maximum of the Bradley-Terry likelihood sum over i, j of votes[i, j] ln Pr(i beats j) with
/// Pr(i beats j) = 1 / (1 + exp(s_j - s_i)) (Zermelo 1929; Bradley and Terry 1952), in the space of
/// logarithms. The graph of the votes must be strongly connected. `start`: log-strengths
/// [systems] of a fit on nearly the same votes; may be empty.
StrengthFit fit_bradley_terry(const Preferences& preferences, const StrengthOptions& options = {},
                              std::span<const double> start = {});

/// The likelihood's logarithm at `strengths`.
double bradley_terry_log_likelihood(const Preferences& preferences,
                                    std::span<const double> strengths);

/// The likelihood's derivatives by the strengths, [systems]: all 0 at the fit.
std::vector<double> bradley_terry_gradient(const Preferences& preferences,
                                           std::span<const double> strengths);

/// Minus its second derivatives, [systems, systems]: Fisher's information.
std::vector<double> bradley_terry_information(const Preferences& preferences,
                                              std::span<const double> strengths);

/// Log-strengths from the chain that goes from i to j at the share of their votes that are for j
/// (Negahban, Oh and Shah 2017, "Rank Centrality"), mean 0. The graph must be strongly connected.
std::vector<double> rank_centrality_strengths(const Preferences& preferences);

}  // namespace amalgam::scores
