#include "amalgam/scores/strength/bradley_terry.hpp"

#include <algorithm>
#include <cmath>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/scores/strength/newton.hpp"
#include "amalgam/scores/strength/stationary.hpp"

namespace amalgam::scores {
namespace {

// Calls visit(i, j, votes on the pair, Pr(i beats j)) for i < j that were compared.
template <class F>
void for_pairs(const Preferences& preferences, std::span<const double> strengths, F visit) {
  for (std::size_t i = 0; i < preferences.systems; ++i) {
    for (std::size_t j = i + 1; j < preferences.systems; ++j) {
      const double votes = preferences(i, j) + preferences(j, i);
      if (votes == 0.0) continue;
      visit(i, j, votes, portable_logistic(strengths[i] - strengths[j]));
    }
  }
}

void add_curvature(const Preferences& preferences, std::span<const double> strengths,
                   Curvature& curvature) {
  const std::size_t systems = preferences.systems;
  curvature.clear();
  for_pairs(preferences, strengths,
            [&](std::size_t i, std::size_t j, double votes, double probability) {
              const double slope = preferences(i, j) - votes * probability;
              curvature.gradient[i] += slope;
              curvature.gradient[j] -= slope;
              const double bend = votes * probability * (1 - probability);
              curvature.information[i * systems + i] += bend;
              curvature.information[j * systems + j] += bend;
              curvature.information[i * systems + j] -= bend;
              curvature.information[j * systems + i] -= bend;
            });
}

std::vector<double> votes_won(const Preferences& preferences) {
  std::vector<double> won(preferences.systems);
  for (std::size_t i = 0; i < won.size(); ++i) {
    for (std::size_t j = 0; j < won.size(); ++j) won[i] += preferences(i, j);
  }
  return won;
}

StrengthFit fit_by_newton(const Preferences& preferences, const StrengthOptions& options,
                          std::vector<double> start) {
  StrengthFit fit{.strengths = std::move(start)};
  const NewtonResult result =
      maximise(fit.strengths, preferences.systems,
               [&](std::span<const double> strengths, Curvature& curvature) {
                 add_curvature(preferences, strengths, curvature);
               },
               {.iterations = options.iterations, .tolerance = std::sqrt(options.tolerance)});
  fit.iterations = result.iterations;
  fit.converged = result.converged;
  centre_strengths(fit.strengths);
  return fit;
}

// Each system's strength times the ratio of the votes that it won to those that it should have.
StrengthFit fit_by_mm(const Preferences& preferences, const StrengthOptions& options,
                      std::vector<double> start) {
  const std::vector<double> won = votes_won(preferences);
  return iterate(std::move(start), options, [&](std::span<const double> strengths) {
    std::vector<double> expected(preferences.systems);
    for_pairs(preferences, strengths,
              [&](std::size_t i, std::size_t j, double votes, double probability) {
                expected[i] += votes * probability;
                expected[j] += votes * (1 - probability);
              });
    for (std::size_t i = 0; i < expected.size(); ++i) {
      expected[i] = portable_log(won[i] / expected[i]);
    }
    return expected;
  });
}

// The chain of Luce spectral ranking, whose rate from loser l to winner i is votes / (w_i + w_l),
// in units of the strengths w: what is stationary is then near 1 for all, whatever their range.
StrengthFit fit_by_lsr(const Preferences& preferences, const StrengthOptions& options,
                       std::vector<double> start) {
  const std::size_t systems = preferences.systems;
  return iterate(std::move(start), options, [&](std::span<const double> strengths) {
    std::vector<double> rates(systems * systems);
    for_pairs(preferences, strengths, [&](std::size_t i, std::size_t j, double, double p) {
      rates[j * systems + i] = preferences(i, j) * (1 - p);
      rates[i * systems + j] = preferences(j, i) * p;
    });
    return log_stationary_distribution(std::move(rates), systems);
  });
}

}  // namespace

TieVotes tie_votes_of_name(std::string_view name) {
  if (name == "half") return TieVotes::half;
  if (name == "both") return TieVotes::both;
  if (name == "ignore") return TieVotes::ignore;
  throw InputError("'{}' is no way to count a tie; expected half, both or ignore", name);
}

Preferences preferences_of(const PairTable& pairs, TieVotes ties, std::span<const System> systems,
                           double pseudo_votes) {
  const double share = ties == TieVotes::half ? 0.5 : ties == TieVotes::both ? 1 : 0;
  Preferences preferences{systems.size(), std::vector<double>(systems.size() * systems.size())};
  for (std::size_t i = 0; i < systems.size(); ++i) {
    for (std::size_t j = 0; j < systems.size(); ++j) {
      if (i == j) continue;
      preferences.votes[i * systems.size() + j] = pairs.win(systems[i], systems[j]) +
                                                  share * pairs.tie(systems[i], systems[j]) +
                                                  pseudo_votes;
    }
  }
  return preferences;
}

ComparisonGraph graph_of(const PairTable& pairs, TieVotes ties) {
  ComparisonGraph graph(pairs.systems);
  bool decided = false;
  bool tied = false;
  for (std::size_t i = 0; i < pairs.systems; ++i) {
    for (std::size_t j = 0; j < pairs.systems; ++j) {
      if (i == j) continue;
      const bool won = pairs.win(i, j) > 0;
      const bool tie = pairs.tie(i, j) > 0;
      decided |= won;
      tied |= tie;
      if (won || (tie && ties != TieVotes::ignore)) graph.add(i, j);
    }
  }
  if (!decided && tied) {
    throw InputError("every compared pair ties, so that there is no order to find");
  }
  return graph;
}

StrengthFit fit_bradley_terry(const Preferences& preferences, const StrengthOptions& options,
                              std::span<const double> start) {
  std::vector<double> strengths(start.begin(), start.end());
  strengths.resize(preferences.systems);
  centre_strengths(strengths);
  switch (options.solver) {
    case StrengthSolver::newton:
      return fit_by_newton(preferences, options, std::move(strengths));
    case StrengthSolver::mm:
      return fit_by_mm(preferences, options, std::move(strengths));
    case StrengthSolver::lsr:
      return fit_by_lsr(preferences, options, std::move(strengths));
  }
  throw Error("no such solver");
}

double bradley_terry_log_likelihood(const Preferences& preferences,
                                    std::span<const double> strengths) {
  double sum = 0;
  for (std::size_t i = 0; i < preferences.systems; ++i) {
    for (std::size_t j = 0; j < preferences.systems; ++j) {
      if (preferences(i, j) == 0.0) continue;
      sum += preferences(i, j) * portable_log_logistic(strengths[i] - strengths[j]);
    }
  }
  return sum;
}

std::vector<double> bradley_terry_gradient(const Preferences& preferences,
                                           std::span<const double> strengths) {
  Curvature curvature(preferences.systems);
  add_curvature(preferences, strengths, curvature);
  return std::move(curvature.gradient);
}

std::vector<double> bradley_terry_information(const Preferences& preferences,
                                              std::span<const double> strengths) {
  Curvature curvature(preferences.systems);
  add_curvature(preferences, strengths, curvature);
  return std::move(curvature.information);
}

std::vector<double> rank_centrality_strengths(const Preferences& preferences) {
  const std::size_t systems = preferences.systems;
  std::vector<double> rates(systems * systems);
  for (std::size_t i = 0; i < systems; ++i) {
    for (std::size_t j = 0; j < systems; ++j) {
      const double votes = preferences(i, j) + preferences(j, i);
      if (i != j && votes > 0) rates[i * systems + j] = preferences(j, i) / votes;
    }
  }
  std::vector<double> strengths = log_stationary_distribution(std::move(rates), systems);
  centre_strengths(strengths);
  return strengths;
}

}  // namespace amalgam::scores
