#include "amalgam/scores/strength/plackett_luce.hpp"

#include <algorithm>
#include <cmath>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/fold.hpp"
#include "amalgam/scores/strength/newton.hpp"
#include "amalgam/scores/strength/stationary.hpp"

namespace amalgam::scores {
namespace {

// One ballot's choices at given weights: buffers that are filled again for each ballot.
struct BallotChoices {
  std::vector<double> weights;  // of the systems, best first
  std::vector<double> inverse;  // 1 / sum of weights that a place was chosen from; 0: from nothing
  std::vector<std::size_t> worse;  // the first place that is strictly worse

  void fill(std::span<const std::uint32_t> ballot, std::span<const double> all_weights) {
    const std::size_t count = ballot.size();
    if (weights.size() < count) weights.resize(count);
    if (inverse.size() < count) inverse.resize(count);
    double below = 0;  // weights that are strictly worse
    double group = 0;  // weights of the equal ones that were seen
    for (std::size_t place = count; place-- > 0;) {
      const double weight = all_weights[Choices::system_of(ballot[place])];
      weights[place] = weight;
      inverse[place] = below + weight;
      group += weight;
      if (!Choices::equals_previous(ballot[place])) {
        below += group;
        group = 0;
      }
    }
    for (std::size_t place = 0; place < count; ++place) inverse[place] = 1 / inverse[place];
    std::size_t last = count;
    do {
      inverse[--last] = 0;
    } while (Choices::equals_previous(ballot[last]));
  }

  void find_worse(std::span<const std::uint32_t> ballot) {
    if (worse.size() < ballot.size()) worse.resize(ballot.size());
    std::size_t next_group = ballot.size();
    for (std::size_t place = ballot.size(); place-- > 0;) {
      worse[place] = next_group;
      if (!Choices::equals_previous(ballot[place])) next_group = place;
    }
  }

  // Calls visit(place, its system, sum over the choices above its group of `term(1 / D)`), D being
  // what was chosen from.
  template <class Term, class F>
  void walk_down(std::span<const std::uint32_t> ballot, Term term, F visit) const {
    double above = 0;
    double group = 0;
    for (std::size_t place = 0; place < ballot.size(); ++place) {
      if (!Choices::equals_previous(ballot[place])) {
        above += group;
        group = 0;
      }
      group += term(inverse[place]);
      visit(place, Choices::system_of(ballot[place]), above);
    }
  }
};

// Adds a ballot to the exposures of its systems, if no two of its values are equal. Returns whether
// that was so. The chains of additions of one ballot overlap with those of the next, so that the
// time is near that of looking up the weights.
bool add_strict_exposure(std::span<const std::uint32_t> ballot, const double* weights, double votes,
                         std::vector<double>& inverse, double* sums) {
  const std::size_t count = ballot.size();
  if (inverse.size() < count) inverse.resize(count);
  double* const rates = inverse.data();
  std::uint32_t bits = 0;
  double total = 0;
  for (std::size_t place = count; place-- > 0;) {
    bits |= ballot[place];
    total += weights[Choices::system_of(ballot[place])];
    rates[place] = votes / total;
  }
  if (Choices::equals_previous(bits)) return false;
  rates[count - 1] = 0;
  double above = 0;
  for (std::size_t place = 0; place < count; ++place) {
    above += rates[place];
    sums[ballot[place]] += above;
  }
  return true;
}

double once(double inverse) { return inverse; }
double squared(double inverse) { return inverse * inverse; }

struct Sums {
  std::vector<double> values;
  void combine(Sums&& right) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] += right.values[i];
  }
};

// `absorb(buffers, entries of a ballot, its weight, sums)` adds a ballot to `numbers` sums.
template <class F>
std::vector<double> fold_ballots(const Choices& choices, const Parallel& parallel,
                                 std::size_t numbers, F absorb) {
  constexpr std::size_t kEntriesPerLeaf = std::size_t{1} << 16U;
  constexpr std::size_t kMemory = std::size_t{64} << 20U;
  const std::size_t affordable =
      std::clamp<std::size_t>(kMemory / (numbers * sizeof(double)), 1, 64);
  const std::size_t leaves =
      std::clamp<std::size_t>(choices.entries.size() / kEntriesPerLeaf, 1, affordable);
  std::optional<Sums> total = fold(parallel, leaves, [&](std::size_t leaf, std::size_t) {
    Sums sums{std::vector<double>(numbers)};
    BallotChoices buffers;
    const std::size_t end = choices.ballots() * (leaf + 1) / leaves;
    for (std::size_t index = choices.ballots() * leaf / leaves; index < end; ++index) {
      absorb(buffers, choices.ballot(index), choices.weights[index], sums.values.data());
    }
    return sums;
  });
  return std::move(total->values);
}

// How often each system was chosen.
std::vector<double> times_chosen(const Choices& choices) {
  std::vector<double> chosen(choices.systems);
  for (std::size_t i = 0; i < choices.systems; ++i) {
    for (std::size_t j = 0; j < choices.systems; ++j) chosen[i] += choices.pairs(i, j);
  }
  for (std::size_t index = 0; index < choices.ballots(); ++index) {
    const std::span<const std::uint32_t> ballot = choices.ballot(index);
    std::size_t last = ballot.size() - 1;  // becomes the begin of the worst group: never chosen
    while (Choices::equals_previous(ballot[last])) --last;
    for (const std::uint32_t entry : ballot.first(last)) {
      chosen[Choices::system_of(entry)] += choices.weights[index];
    }
  }
  return chosen;
}

// Minus the second derivatives of the ballots' part.
std::vector<double> ballot_information(const Choices& choices, std::span<const double> weights,
                                       const Parallel& parallel) {
  const std::size_t systems = choices.systems;
  // Sums at [better, worse] and half of the diagonal; the matrix is this and its transpose.
  const std::vector<double> half = fold_ballots(
      choices, parallel, systems * systems,
      [&](BallotChoices& of, std::span<const std::uint32_t> ballot, double votes, double* sums) {
        of.fill(ballot, weights);
        of.find_worse(ballot);
        of.walk_down(ballot, once, [&](std::size_t place, System system, double above) {
          sums[system * (systems + 1)] +=
              0.5 * votes * of.weights[place] * (above + of.inverse[place]);
        });
        of.walk_down(ballot, squared, [&](std::size_t place, System system, double above) {
          double* const row = sums + system * systems;
          // Two systems are in the choices above both, and the worse one in that of the better.
          const double with_equal = votes * of.weights[place] * above;
          const double with_worse =
              votes * of.weights[place] * (above + squared(of.inverse[place]));
          row[system] -= 0.5 * with_worse * of.weights[place];
          for (std::size_t other = place + 1; other < of.worse[place]; ++other) {
            row[Choices::system_of(ballot[other])] -= with_equal * of.weights[other];
          }
          for (std::size_t other = of.worse[place]; other < ballot.size(); ++other) {
            row[Choices::system_of(ballot[other])] -= with_worse * of.weights[other];
          }
        });
      });
  std::vector<double> information(half.size());
  for (std::size_t i = 0; i < systems; ++i) {
    for (std::size_t j = 0; j < systems; ++j) {
      information[i * systems + j] = half[i * systems + j] + half[j * systems + i];
    }
  }
  return information;
}

std::vector<double> gradient_of(const Choices& choices, std::span<const double> chosen,
                                std::span<const double> strengths, const Parallel& parallel) {
  const std::vector<double> weights = relative_weights(strengths);
  std::vector<double> gradient = choice_exposure(choices, weights, parallel);
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    gradient[i] = chosen[i] - weights[i] * gradient[i];
  }
  return gradient;
}

StrengthFit fit_by_newton(const Choices& choices, const StrengthOptions& options,
                          const Parallel& parallel, std::vector<double> start) {
  const std::vector<double> chosen = times_chosen(choices);
  StrengthFit fit{.strengths = std::move(start)};
  const NewtonResult result =
      maximise(fit.strengths, choices.systems,
               [&](std::span<const double> strengths, Curvature& curvature) {
                 curvature.gradient = gradient_of(choices, chosen, strengths, parallel);
                 curvature.information = plackett_luce_information(choices, strengths, parallel);
               },
               {.iterations = options.iterations, .tolerance = std::sqrt(options.tolerance)});
  fit.iterations = result.iterations;
  fit.converged = result.converged;
  centre_strengths(fit.strengths);
  return fit;
}

StrengthFit fit_by_mm(const Choices& choices, const StrengthOptions& options,
                      const Parallel& parallel, std::vector<double> start) {
  const std::vector<double> chosen = times_chosen(choices);
  return iterate(std::move(start), options, [&](std::span<const double> strengths) {
    const std::vector<double> weights = relative_weights(strengths);
    std::vector<double> change = choice_exposure(choices, weights, parallel);
    for (std::size_t i = 0; i < change.size(); ++i) {
      change[i] = portable_log(chosen[i] / (weights[i] * change[i]));
    }
    return change;
  });
}

// The chain of Luce spectral ranking, whose rate from l to the chosen i is 1 / sum of the weights
// to choose from, in units of the weights (as for pairs in bradley_terry.cpp).
StrengthFit fit_by_lsr(const Choices& choices, const StrengthOptions& options,
                       const Parallel& parallel, std::vector<double> start) {
  const std::size_t systems = choices.systems;
  return iterate(std::move(start), options, [&](std::span<const double> strengths) {
    const std::vector<double> weights = relative_weights(strengths);
    // At [chosen, other].
    const std::vector<double> flows = fold_ballots(
        choices, parallel, systems * systems,
        [&](BallotChoices& of, std::span<const std::uint32_t> ballot, double votes, double* sums) {
          of.fill(ballot, weights);
          of.find_worse(ballot);
          for (std::size_t place = 0; place < ballot.size(); ++place) {
            double* const row = sums + Choices::system_of(ballot[place]) * systems;
            const double rate = votes * of.inverse[place];
            for (std::size_t other = of.worse[place]; other < ballot.size(); ++other) {
              row[Choices::system_of(ballot[other])] += rate * of.weights[other];
            }
          }
        });
    std::vector<double> rates(systems * systems);
    for (std::size_t i = 0; i < systems; ++i) {
      for (std::size_t j = 0; j < systems; ++j) {
        if (i == j) continue;
        rates[j * systems + i] =
            flows[i * systems + j] +
            choices.pairs(i, j) * portable_logistic(strengths[j] - strengths[i]);
      }
    }
    return log_stationary_distribution(std::move(rates), systems);
  });
}

}  // namespace

std::vector<double> relative_weights(std::span<const double> strengths) {
  constexpr double kFarthest = 600;
  const auto [least, most] = std::ranges::minmax(strengths);
  if (!(most - least <= kFarthest)) {
    throw InputError(
        "log-strengths are {:g} apart, and at most {:g} can be computed with; set alpha above 0 to "
        "add pseudo-votes",
        most - least, kFarthest);
  }
  std::vector<double> weights(strengths.size());
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = portable_exp(strengths[i] - most);
  return weights;
}

std::vector<double> choice_exposure(const Choices& choices, std::span<const double> weights,
                                    const Parallel& parallel) {
  const std::size_t systems = choices.systems;
  std::vector<double> exposure = fold_ballots(
      choices, parallel, systems,
      [&](BallotChoices& of, std::span<const std::uint32_t> ballot, double votes, double* sums) {
        if (add_strict_exposure(ballot, weights.data(), votes, of.inverse, sums)) return;
        of.fill(ballot, weights);
        of.walk_down(ballot, once, [&](std::size_t place, System system, double above) {
          sums[system] += votes * (above + of.inverse[place]);
        });
      });
  for (std::size_t i = 0; i < systems; ++i) {
    for (std::size_t j = i + 1; j < systems; ++j) {
      const double votes = choices.pairs(i, j) + choices.pairs(j, i);
      if (votes == 0.0) continue;
      const double share = votes / (weights[i] + weights[j]);
      exposure[i] += share;
      exposure[j] += share;
    }
  }
  return exposure;
}

StrengthFit fit_plackett_luce(const Choices& choices, const StrengthOptions& options,
                              const Parallel& parallel, std::span<const double> start) {
  std::vector<double> strengths(start.begin(), start.end());
  strengths.resize(choices.systems);
  centre_strengths(strengths);
  switch (options.solver) {
    case StrengthSolver::newton:
      return fit_by_newton(choices, options, parallel, std::move(strengths));
    case StrengthSolver::mm:
      return fit_by_mm(choices, options, parallel, std::move(strengths));
    case StrengthSolver::lsr:
      return fit_by_lsr(choices, options, parallel, std::move(strengths));
  }
  throw Error("no such solver");
}

double plackett_luce_log_likelihood(const Choices& choices, std::span<const double> strengths) {
  const std::vector<double> weights = relative_weights(strengths);
  BallotChoices of;
  double sum = bradley_terry_log_likelihood(choices.pairs, strengths);
  for (std::size_t index = 0; index < choices.ballots(); ++index) {
    of.fill(choices.ballot(index), weights);
    double ballot = 0;
    for (std::size_t place = 0; place < choices.ballot(index).size(); ++place) {
      if (of.inverse[place] > 0) ballot += portable_log(of.weights[place] * of.inverse[place]);
    }
    sum += choices.weights[index] * ballot;
  }
  return sum;
}

std::vector<double> plackett_luce_gradient(const Choices& choices,
                                           std::span<const double> strengths) {
  return gradient_of(choices, times_chosen(choices), strengths, {});
}

std::vector<double> plackett_luce_information(const Choices& choices,
                                              std::span<const double> strengths,
                                              const Parallel& parallel) {
  std::vector<double> information =
      ballot_information(choices, relative_weights(strengths), parallel);
  const std::vector<double> of_pairs = bradley_terry_information(choices.pairs, strengths);
  for (std::size_t i = 0; i < information.size(); ++i) information[i] += of_pairs[i];
  return information;
}

void ballot_gradient(const Choices& choices, std::size_t ballot, std::span<const double> weights,
                     std::vector<double>& gradient) {
  const std::span<const std::uint32_t> entries = choices.ballot(ballot);
  BallotChoices of;
  of.fill(entries, weights);
  gradient.resize(entries.size());
  of.walk_down(entries, once, [&](std::size_t place, System, double above) {
    const double chosen = of.inverse[place] > 0 ? 1 : 0;
    gradient[place] =
        choices.weights[ballot] * (chosen - of.weights[place] * (above + of.inverse[place]));
  });
}

}  // namespace amalgam::scores
