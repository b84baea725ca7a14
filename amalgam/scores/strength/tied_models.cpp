#include "amalgam/scores/strength/tied_models.hpp"

#include <algorithm>
#include <cmath>

#include "amalgam/core/elementary.hpp"
#include "amalgam/scores/strength/bradley_terry.hpp"
#include "amalgam/scores/strength/newton.hpp"

namespace amalgam::scores {
namespace {

// Votes on one pair.
struct PairVotes {
  std::size_t i;
  std::size_t j;
  double win;
  double loss;
  double tie;
};

template <class F>
void for_pairs(const PairTable& pairs, F visit) {
  for (std::size_t i = 0; i < pairs.systems; ++i) {
    for (std::size_t j = i + 1; j < pairs.systems; ++j) {
      const PairVotes votes{i, j, pairs.win(i, j), pairs.win(j, i), pairs.tie(i, j)};
      if (votes.win + votes.loss + votes.tie > 0) visit(votes);
    }
  }
}

// Adds to the curvature `weight` times the outer product of a vector with entries only at i, j and
// the tie parameter.
void add_outer(Curvature& curvature, const PairVotes& pair, double at_i, double at_j, double at_tie,
               double weight) {
  const std::size_t size = curvature.gradient.size();
  const std::size_t places[3] = {pair.i, pair.j, size - 1};
  const double values[3] = {at_i, at_j, at_tie};
  for (std::size_t a = 0; a < 3; ++a) {
    for (std::size_t b = 0; b < 3; ++b) {
      curvature.information[places[a] * size + places[b]] += weight * values[a] * values[b];
    }
  }
}

// Davidson's model is an exponential family in (s, ln nu) whose features are e_i for a win of i,
// e_j, and (e_i + e_j) / 2 + e_tie: the slope is what was seen minus what is expected, and the
// information the covariance.
void davidson_curvature(const PairTable& pairs, std::span<const double> point,
                        Curvature& curvature) {
  curvature.clear();
  const double tie = portable_exp(point.back());
  for_pairs(pairs, [&](const PairVotes& votes) {
    const double total = votes.win + votes.loss + votes.tie;
    const TiedOutcome p = tied_outcome(TieModel::davidson, point[votes.i] - point[votes.j], tie);
    curvature.gradient[votes.i] += votes.win + votes.tie / 2 - total * (p.win + p.tie / 2);
    curvature.gradient[votes.j] += votes.loss + votes.tie / 2 - total * (p.loss + p.tie / 2);
    curvature.gradient.back() += votes.tie - total * p.tie;
    const double mean_i = p.win + p.tie / 2;
    const double mean_j = p.loss + p.tie / 2;
    add_outer(curvature, votes, 1 - mean_i, -mean_j, -p.tie, total * p.win);
    add_outer(curvature, votes, -mean_i, 1 - mean_j, -p.tie, total * p.loss);
    add_outer(curvature, votes, 0.5 - mean_i, 0.5 - mean_j, 1 - p.tie, total * p.tie);
  });
}

// With t = e^c, Pr(tie) = (t^2 - 1) Pr(i wins) Pr(j wins): so the likelihood is that of
// wins-or-ties of logistic regressions on s_i - s_j - c, and of the ties' ln(t^2 - 1).
void rao_kupper_curvature(const PairTable& pairs, std::span<const double> point,
                          Curvature& curvature) {
  curvature.clear();
  const double c = point.back();
  double ties = 0;
  const auto add_side = [&](const PairVotes& votes, double count, double sign) {
    if (count == 0.0) return;
    const double p = portable_logistic(sign * (point[votes.i] - point[votes.j]) - c);
    curvature.gradient[votes.i] += sign * count * (1 - p);
    curvature.gradient[votes.j] -= sign * count * (1 - p);
    curvature.gradient.back() -= count * (1 - p);
    add_outer(curvature, votes, sign, -sign, -1, count * p * (1 - p));
  };
  for_pairs(pairs, [&](const PairVotes& votes) {
    add_side(votes, votes.win + votes.tie, 1);
    add_side(votes, votes.loss + votes.tie, -1);
    ties += votes.tie;
  });
  // The derivatives of ln(e^(2c) - 1).
  const double below = 1 - portable_exp(-2 * c);
  curvature.gradient.back() += ties * 2 / below;
  curvature.information.back() += ties * 4 * (1 - below) / (below * below);
}

void tied_curvature(TieModel model, const PairTable& pairs, std::span<const double> point,
                    Curvature& curvature) {
  if (model == TieModel::davidson) {
    davidson_curvature(pairs, point, curvature);
  } else {
    rao_kupper_curvature(pairs, point, curvature);
  }
}

// The tie parameter that fits equal systems.
double first_tie(TieModel model, const PairTable& pairs) {
  double ties = 0;
  double wins = 0;
  for_pairs(pairs, [&](const PairVotes& votes) {
    ties += votes.tie;
    wins += votes.win + votes.loss;
  });
  return model == TieModel::davidson ? 2 * ties / wins : 1 + 2 * ties / wins;
}

TiedFit fit_without_ties(TieModel model, const PairTable& pairs, const StrengthOptions& options,
                         std::span<const double> start) {
  const Preferences preferences{pairs.systems, pairs.wins};
  return {fit_bradley_terry(preferences, options, start), model == TieModel::davidson ? 0.0 : 1.0};
}

}  // namespace

TiedOutcome tied_outcome(TieModel model, double difference, double tie) {
  if (model == TieModel::rao_kupper) {
    const double c = portable_log(tie);
    const double win = portable_logistic(difference - c);
    const double loss = portable_logistic(-difference - c);
    return {win, loss, (tie * tie - 1) * win * loss};
  }
  // Relative to the stronger one, so that nothing overflows.
  const double weaker = portable_exp(-std::abs(difference));
  const double middle = tie * portable_exp(-std::abs(difference) / 2);
  const double sum = 1 + weaker + middle;
  const double strong = 1 / sum;
  const double weak = weaker / sum;
  return {difference >= 0 ? strong : weak, difference >= 0 ? weak : strong, middle / sum};
}

bool tie_parameter_is_finite(const PairTable& pairs) {
  if (!has_ties(pairs)) return true;
  const std::size_t systems = pairs.systems;
  ComparisonGraph wins(systems);
  for (std::size_t i = 0; i < systems; ++i) {
    for (std::size_t j = 0; j < systems; ++j) {
      if (pairs.win(i, j) > 0) wins.add(i, j);
    }
  }
  if (strong_components(wins).count < systems) return true;  // a cycle of wins
  // Bellman and Ford: places that satisfy all distances exist unless they shrink for ever.
  std::vector<double> place(systems);
  for (std::size_t round = 0; round <= systems; ++round) {
    bool moved = false;
    const auto at_most = [&](std::size_t system, double most) {
      moved |= place[system] > most;
      place[system] = std::min(place[system], most);
    };
    for (std::size_t i = 0; i < systems; ++i) {
      for (std::size_t j = 0; j < systems; ++j) {
        if (pairs.win(i, j) > 0) at_most(j, place[i] - 1);
        if (pairs.tie(i, j) > 0) at_most(j, place[i] + 1);
      }
    }
    if (!moved) return false;
  }
  return true;
}

TiedFit fit_tied(TieModel model, const PairTable& pairs, const StrengthOptions& options,
                 std::span<const double> start) {
  if (!has_ties(pairs)) return fit_without_ties(model, pairs, options, start);
  std::vector<double> point(start.begin(), start.end());
  point.resize(pairs.systems);
  centre_strengths(point);
  point.push_back(portable_log(first_tie(model, pairs)));
  const bool positive = model == TieModel::rao_kupper;
  const NewtonResult result = maximise(
      point, pairs.systems,
      [&](std::span<const double> at, Curvature& curvature) {
        tied_curvature(model, pairs, at, curvature);
      },
      {.iterations = options.iterations, .tolerance = std::sqrt(options.tolerance)},
      [positive](std::span<const double> at) { return !positive || at.back() > 0; });
  TiedFit tied{
      .fit = {.strengths = {}, .iterations = result.iterations, .converged = result.converged},
      .tie = portable_exp(point.back())};
  point.pop_back();
  centre_strengths(point);
  tied.fit.strengths = std::move(point);
  return tied;
}

double tied_log_likelihood(TieModel model, const PairTable& pairs,
                           std::span<const double> strengths, double tie) {
  double sum = 0;
  const auto add = [&](double votes, double probability) {
    if (votes > 0) sum += votes * portable_log(probability);
  };
  for_pairs(pairs, [&](const PairVotes& votes) {
    const TiedOutcome p = tied_outcome(model, strengths[votes.i] - strengths[votes.j], tie);
    add(votes.win, p.win);
    add(votes.loss, p.loss);
    add(votes.tie, p.tie);
  });
  return sum;
}

std::vector<double> tied_information(TieModel model, const PairTable& pairs, const TiedFit& fit) {
  if (!has_ties(pairs)) {
    return bradley_terry_information({pairs.systems, pairs.wins}, fit.fit.strengths);
  }
  std::vector<double> point = fit.fit.strengths;
  point.push_back(portable_log(fit.tie));
  Curvature curvature(point.size());
  tied_curvature(model, pairs, point, curvature);
  return std::move(curvature.information);
}

PairTable restricted_pairs(const PairTable& pairs, std::span<const System> systems,
                           double pseudo_votes) {
  PairTable part(systems.size());
  for (std::size_t i = 0; i < systems.size(); ++i) {
    for (std::size_t j = 0; j < systems.size(); ++j) {
      if (i == j) continue;
      part.wins[i * systems.size() + j] = pairs.win(systems[i], systems[j]) + pseudo_votes;
      part.ties[i * systems.size() + j] = pairs.tie(systems[i], systems[j]);
    }
  }
  return part;
}

bool has_ties(const PairTable& pairs) {
  return std::ranges::any_of(pairs.ties, [](double votes) { return votes > 0; });
}

}  // namespace amalgam::scores
