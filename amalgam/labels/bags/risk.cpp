#include "amalgam/labels/bags/risk.hpp"

#include <cmath>
#include <limits>

#include "amalgam/core/error.hpp"

namespace amalgam::labels {
namespace {

void check_shape(double rows_per_feature, double bag_size) {
  if (!std::isfinite(bag_size) || bag_size < 1) {
    throw InputError("the bag size is {}; expected a number >= 1", bag_size);
  }
  if (!std::isfinite(rows_per_feature) || rows_per_feature <= 1) {
    throw InputError(
        "there are {} rows per feature; the risk is known only for more rows than features (psi ="
        " n / d > 1)",
        rows_per_feature);
  }
}

void check_problem(const BagProblem& problem) {
  check_shape(problem.rows_per_feature, problem.bag_size);
  for (const double variance : {problem.signal, problem.noise, problem.added_noise}) {
    if (!std::isfinite(variance) || variance < 0) {
      throw InputError("signal and noise must be finite and >= 0, not {}", variance);
    }
  }
}

// The positive root of 1 = alpha g / (1 + g) + beta rho g / (1 + rho g), which is that of
// a g^2 + b g - 1, in the form without cancellation.
double fixed_point(double alpha, double beta, double rho) {
  const double a = rho * (alpha + beta - 1);
  const double b = alpha + beta * rho - 1 - rho;
  const double root = std::sqrt(b * b + 4 * a);
  return b >= 0 ? 2 / (b + root) : (root - b) / (2 * a);
}

double risk_or_infinity(const BagProblem& problem, double rho) {
  return is_identified(problem, rho) ? bag_risk(problem, rho).total()
                                     : std::numeric_limits<double>::infinity();
}

// Golden-section search for the minimum of the risk over log rho in [low, high].
double search(const BagProblem& problem, double low, double high) {
  const double ratio = (std::sqrt(5.0) - 1) / 2;
  const auto risk = [&](double log_rho) { return risk_or_infinity(problem, std::exp(log_rho)); };
  double left = high - ratio * (high - low);
  double right = low + ratio * (high - low);
  double at_left = risk(left);
  double at_right = risk(right);
  while (high - low > 1e-7) {
    if (at_left <= at_right) {
      high = right;
      right = left;
      at_right = at_left;
      left = high - ratio * (high - low);
      at_left = risk(left);
    } else {
      low = left;
      left = right;
      at_left = at_right;
      right = low + ratio * (high - low);
      at_right = risk(right);
    }
  }
  return std::exp((low + high) / 2);
}

}  // namespace

bool is_identified(const BagProblem& problem, double rho) {
  return rho > 0 || problem.rows_per_feature > problem.bag_size;
}

BagRisk bag_risk(const BagProblem& problem, double rho) {
  check_problem(problem);
  if (!std::isfinite(rho) || rho < 0) {
    throw InputError("rho is {}; expected a finite number >= 0", rho);
  }
  if (!is_identified(problem, rho)) {
    throw InputError(
        "at rho = 0 bags of {} rows with {} rows per feature have no finite risk: there are no"
        " more bags than features (psi <= k)",
        problem.bag_size, problem.rows_per_feature);
  }
  const double alpha = problem.rows_per_feature / problem.bag_size;
  const double beta = problem.rows_per_feature * (1 - 1 / problem.bag_size);
  const double g = fixed_point(alpha, beta, rho);
  const double between = 1 / (1 + g);
  const double within = 1 / (1 + rho * g);
  const double slope = alpha * between * between + beta * rho * within * within;
  const double factor = g / slope;
  BagRisk risk{.fixed_point = g};
  risk.variance_factor = factor * alpha * between * between;
  risk.variance = (problem.noise + problem.bag_size * problem.added_noise) * risk.variance_factor;
  risk.bias = problem.signal * rho * rho * beta * factor *
              (within * within + beta * (1 - rho * g) * within * within * within);
  return risk;
}

std::optional<double> instance_level_threshold(double rows_per_feature, double bag_size) {
  check_shape(rows_per_feature, bag_size);
  const double psi = rows_per_feature;
  const double k = bag_size;
  if (psi <= k || k == 1) return std::nullopt;
  return k * ((k + 1) * psi - k) / ((psi - k) * ((k - 1) * (psi - 1) + 1));
}

BestRho best_rho(const BagProblem& problem, double most) {
  check_problem(problem);
  if (!std::isfinite(most) || most <= 0) {
    throw InputError("the largest rho is {}; expected a finite number > 0", most);
  }
  // The risk may have a minimum inside and fall again towards an end: look at a grid first.
  constexpr int kPoints = 200;
  const double low = std::log(most) - std::log(1e8);
  const double step = (std::log(most) - low) / kPoints;
  int best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i <= kPoints; ++i) {
    const double risk = risk_or_infinity(problem, std::exp(low + i * step));
    if (risk < least) {
      least = risk;
      best = i;
    }
  }
  double rho =
      search(problem, low + std::max(0, best - 1) * step, low + std::min(kPoints, best + 1) * step);
  for (const double end : {0.0, most}) {
    if (risk_or_infinity(problem, end) <= risk_or_infinity(problem, rho)) rho = end;
  }
  return {.rho = rho, .risk = bag_risk(problem, rho)};
}

std::vector<BagPlan> plan_bags(const BagProblem& problem, std::span<const double> sizes,
                               const AddedNoise& noise, std::optional<double> rho,
                               double most_rho) {
  if (sizes.empty()) throw InputError("no bag sizes to plan for; expected at least one");
  std::vector<BagPlan> plans;
  for (const double size : sizes) {
    BagProblem one = problem;
    one.bag_size = size;
    one.added_noise = noise.of_bag(size);
    BagPlan plan{.bag_size = size,
                 .added_noise = one.added_noise,
                 .bag_level = {},
                 .instance_level = bag_risk(one, 1).total(),
                 .chosen = {},
                 .best = best_rho(one, most_rho),
                 .threshold = instance_level_threshold(one.rows_per_feature, size)};
    if (is_identified(one, 0)) plan.bag_level = bag_risk(one, 0).total();
    if (rho && is_identified(one, *rho)) plan.chosen = bag_risk(one, *rho).total();
    plans.push_back(plan);
  }
  return plans;
}

std::size_t best_plan(std::span<const BagPlan> plans, bool at_given_rho) {
  const auto risk = [&](const BagPlan& plan) {
    if (!at_given_rho) return plan.best.risk.total();
    return plan.chosen.value_or(std::numeric_limits<double>::infinity());
  };
  std::size_t best = 0;
  for (std::size_t i = 1; i < plans.size(); ++i) {
    if (risk(plans[i]) < risk(plans[best])) best = i;
  }
  return best;
}

}  // namespace amalgam::labels
