#include "amalgam/weights/learned/pleas_budget.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/weights/learned/pleas.hpp"
#include "amalgam/weights/learned/unit_split.hpp"

namespace amalgam::learned {
namespace {

constexpr double kLeastWeight = 1e-5;

void check_budget(double budget, std::size_t networks = 2) {
  if (!(budget >= 1 && budget <= static_cast<double>(networks))) {
    throw InputError("the compute budget is {}; expected 1 to {}", budget, networks);
  }
}

// The same budget over and over, for many ratios: `merge_cost` as the sums that it is.
class Compute {
 public:
  Compute(const PermutationSpec& spec, const NamedTensors& state) : groups_(spec.groups.size()) {
    double whole = 0;
    for (const LayerUnits& layer : spec.layers) {
      const torch::Tensor& weight = tensor_named(state, layer.name + ".weight", "pleas");
      const double work =
          static_cast<double>(weight.numel()) * static_cast<double>(layer.positions);
      terms_.push_back({work, layer.outputs, layer.inputs, spec.own_outputs ? 1.0 : 0.0});
      whole += work;
    }
    for (Term& term : terms_) term.share /= whole;
  }

  std::size_t groups() const { return groups_; }

  double operator()(const std::vector<double>& ratios) const {
    double compute = 0;
    for (const Term& term : terms_) {
      const double r = term.outputs ? ratios[*term.outputs] : term.without_group;
      const double s = term.inputs ? ratios[*term.inputs] : 0;
      compute += term.share * ((1 + r) * (1 + s) - 2 * r * s);
    }
    return compute;
  }

  // The largest ratio of one group that the budget allows, the others being as they are; nothing if
  // even 0 is too much. Compute rises with every ratio, as a polynomial of degree 2.
  std::optional<double> most(std::vector<double> ratios, std::size_t group, double budget) const {
    const auto at = [&](double ratio) {
      ratios[group] = ratio;
      return (*this)(ratios);
    };
    const double none = at(0);
    const double half = at(.5);
    const double all = at(1);
    if (all <= budget) return 1;
    if (none > budget) return std::nullopt;
    const double square = 2 * (none + all - 2 * half);
    const double slope = all - none - square;
    double low = 0;
    double high = 1;
    for (int step = 0; step < 60; ++step) {
      const double middle = (low + high) / 2;
      (none + (slope + square * middle) * middle <= budget ? low : high) = middle;
    }
    return low;
  }

 private:
  struct Term {
    double share;  // of the compute of one network
    std::optional<std::size_t> outputs;
    std::optional<std::size_t> inputs;
    double without_group;  // the ratio of outputs that are in no group
  };
  std::vector<Term> terms_;
  std::size_t groups_;
};

double value_of(const std::vector<double>& ratios, const std::vector<double>& weights) {
  double sum = 0;
  for (std::size_t g = 0; g < ratios.size(); ++g) sum += weights[g] * ratios[g];
  return sum;
}

// Exchanges separate units between pairs of groups as long as that is better.
class Exchange {
 public:
  Exchange(const Compute& compute, double budget, const std::vector<double>& weights)
      : compute_(compute), budget_(budget), weights_(weights) {}

  std::vector<double> ascend(std::vector<double> ratios) const {
    constexpr int kMostSweeps = 100;
    for (int sweep = 0; sweep < kMostSweeps; ++sweep) {
      check_interrupt();
      const double before = value_of(ratios, weights_);
      for (std::size_t g = 0; g < ratios.size(); ++g) {
        ratios = with_most(std::move(ratios), g);
        for (std::size_t other = 0; other < ratios.size(); ++other) {
          if (other != g) ratios = shifted(std::move(ratios), other, g);
        }
      }
      if (value_of(ratios, weights_) <= before + 1e-9) break;
    }
    return ratios;
  }

 private:
  std::vector<double> with_most(std::vector<double> ratios, std::size_t group) const {
    if (const auto most = compute_.most(ratios, group, budget_)) ratios[group] = *most;
    return ratios;
  }

  // The best of what `from` may give up for `to`: a grid over its ratio, then a finer one.
  std::vector<double> shifted(std::vector<double> ratios, std::size_t from, std::size_t to) const {
    constexpr int kSteps = 32;
    double low = 0;
    double high = ratios[from];
    std::vector<double> best = ratios;
    for (int level = 0; level < 3; ++level) {
      const double width = (high - low) / kSteps;
      for (int step = 0; step <= kSteps; ++step) {
        std::vector<double> candidate = ratios;
        candidate[from] = low + width * step;
        candidate = with_most(std::move(candidate), to);
        if (value_of(candidate, weights_) > value_of(best, weights_)) best = candidate;
      }
      low = std::max(0.0, best[from] - width);
      high = std::min(ratios[from], best[from] + width);
    }
    return best;
  }

  const Compute& compute_;
  double budget_;
  const std::vector<double>& weights_;
};

}  // namespace

double uniform_ratio(const PermutationSpec& spec, const NamedTensors& state, double budget) {
  check_budget(budget);
  const Compute compute(spec, state);
  const auto at = [&](double ratio) {
    return compute(std::vector<double>(compute.groups(), ratio));
  };
  if (at(1) <= budget) return 1;
  double low = 0;  // compute rises with the ratio
  double high = 1;
  for (int step = 0; step < 60; ++step) {
    const double middle = (low + high) / 2;
    (at(middle) <= budget ? low : high) = middle;
  }
  return low;
}

std::vector<double> zip_ratios(const PermutationSpec& spec, const NamedTensors& state,
                               double budget, std::size_t networks) {
  check_budget(budget, networks);
  std::vector<double> ratios(spec.groups.size(), 1.0);
  for (double& ratio : ratios) {
    // Rounding makes keeping everything apart cost a little more or less than all networks.
    if (merge_cost(spec, state, ratios, networks).compute <= budget * (1 + 1e-12)) break;
    ratio = 0;
  }
  return ratios;
}

GroupScores group_scores(const Network& left, const Network& right, const PermutationSpec& spec,
                         const Matching& matching, const std::array<std::string, 2>& heads,
                         const std::function<double(Network& merged)>& score) {
  const auto of = [&](const std::vector<double>& ratios) {
    return score(*network_of(partial_merge(left, right, spec, matching,
                                           PleasOptions{.ratios = ratios, .heads = heads})));
  };
  const std::size_t groups = spec.groups.size();
  GroupScores scores;
  scores.all_merged = of(std::vector<double>(groups, 0.0));
  scores.all_separate = of(std::vector<double>(groups, 1.0));
  for (std::size_t g = 0; g < groups; ++g) {
    check_interrupt();
    std::vector<double> ratios(groups, 0.0);
    ratios[g] = 1;
    scores.only_separate.push_back(of(ratios));
    ratios.assign(groups, 1.0);
    ratios[g] = 0;
    scores.only_merged.push_back(of(ratios));
  }
  return scores;
}

std::vector<double> group_weights(const GroupScores& scores, double budget) {
  check_budget(budget);
  std::vector<double> weights;
  weights.reserve(scores.only_separate.size());
  for (std::size_t g = 0; g < scores.only_separate.size(); ++g) {
    const double gained = scores.only_separate[g] - scores.all_merged;
    const double lost = scores.only_merged[g] - scores.all_separate;
    weights.push_back(std::max(kLeastWeight, (2 - budget) * gained - (budget - 1) * lost));
  }
  return weights;
}

std::vector<double> allocate_budget(const PermutationSpec& spec, const NamedTensors& state,
                                    double budget, const std::vector<double>& weights) {
  const std::vector<double> uniform(spec.groups.size(), uniform_ratio(spec, state, budget));
  const bool positive =
      std::ranges::all_of(weights, [](double w) { return w > 0 && std::isfinite(w); });
  if (weights.size() != spec.groups.size() || !positive) {
    throw InputError("pleas: {} weights of groups; expected {} that are above 0", weights.size(),
                     spec.groups.size());
  }
  const Compute compute(spec, state);
  const Exchange exchange(compute, budget, weights);
  std::vector<double> best = exchange.ascend(uniform);
  std::vector<double> other = exchange.ascend(zip_ratios(spec, state, budget));
  return value_of(other, weights) > value_of(best, weights) ? other : best;
}

}  // namespace amalgam::learned
