#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

/// What linear regression from bags can be expected to reach, before any data are seen: the limit
/// of many rows and features (Javanmard et al. 2024, theorem 1 in closed form). It assumes rows
/// x_i ~ N(0, I_d), responses x^T theta + noise, and bags that are drawn at random: not bags sorted
/// by anything that has to do with the response.
namespace amalgam::labels {

/// The problem, apart from rho.
struct BagProblem {
  double rows_per_feature = 0;  ///< psi = n / d, > 1
  double bag_size = 1;          ///< k >= 1
  double signal = 1;            ///< |theta|^2 >= 0
  double noise = 1;             ///< variance of the responses' noise, >= 0
  /// Variance of noise that is added to each bag's mean response, for privacy; >= 0.
  double added_noise = 0;
};

/// The parts of the risk E |theta_hat - theta|^2.
struct BagRisk {
  double fixed_point = 0;      ///< g > 0
  double bias = 0;             ///< squared
  double variance_factor = 0;  ///< v: variance per unit of noise
  double variance = 0;         ///< (noise + bag_size * added_noise) * v
  double total() const { return bias + variance; }
};

/// Whether the risk at this rho is finite: rho > 0, or more bags than features (psi > k).
bool is_identified(const BagProblem& problem, double rho);

/// The risk at rho. InputError naming the condition that fails: psi <= 1 (no theory), rho = 0 and
/// psi <= k (fewer bags than features: the bag-level risk is infinite, and the solution of minimum
/// norm is another estimator), rho < 0, k < 1, or a variance that is negative.
BagRisk bag_risk(const BagProblem& problem, double rho);

/// The signal-to-noise ratio |theta|^2 / noise below which the instance-level loss (rho = 1) has a
/// lower risk than the bag-level loss (rho = 0), without added noise. Nothing if psi <= k (it
/// always has) or k = 1 (both are the same). InputError as bag_risk.
std::optional<double> instance_level_threshold(double rows_per_feature, double bag_size);

struct BestRho {
  double rho = 0;
  BagRisk risk;
};
/// The rho in [0, `most`] of the lowest risk, to a relative 1e-6. InputError as bag_risk.
BestRho best_rho(const BagProblem& problem, double most = 1);

/// How a bag's added noise depends on its size, e.g. of a private release; see privacy.hpp.
struct AddedNoise {
  double of_single_row = 0;  ///< the variance with k = 1; a bag's mean of k rows gets 1 / k^2 of it
  double of_bag(double size) const { return of_single_row / (size * size); }
};

/// What is to be expected of one bag size.
struct BagPlan {
  double bag_size = 1;
  double added_noise = 0;           ///< variance, per bag mean
  std::optional<double> bag_level;  ///< risk at rho = 0; nothing: not identified
  double instance_level = 0;        ///< risk at rho = 1
  std::optional<double> chosen;     ///< risk at the given rho; nothing: not identified
  BestRho best;
  std::optional<double> threshold;  ///< see instance_level_threshold
};

/// Plans for several bag sizes; `problem.bag_size` and `added_noise` are not looked at. `rho`: also
/// the risk at this one. InputError as bag_risk, or without sizes.
std::vector<BagPlan> plan_bags(const BagProblem& problem, std::span<const double> sizes,
                               const AddedNoise& noise = {}, std::optional<double> rho = {},
                               double most_rho = 1);

/// The plan of the lowest risk: at `rho` if plans have that (and it is identified anywhere), else
/// at each size's best rho. The first of equal ones.
std::size_t best_plan(std::span<const BagPlan> plans, bool at_given_rho);

}  // namespace amalgam::labels
