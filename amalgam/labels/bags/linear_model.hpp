#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "amalgam/labels/bags/linear_state.hpp"
#include "amalgam/labels/bags/losses.hpp"

namespace amalgam::labels {

/// What a linear model minimises: n ((1 - rho) bag loss + rho instance loss) + ridge |theta|^2.
struct LinearBagOptions {
  /// 0: bag-level loss; 1: instance-level loss; between: interpolated. Finite, >= 0; beyond 1 the
  /// predictions within a bag are drawn together further.
  double rho = 1;
  double ridge = 0;       ///< >= 0; the intercept is not shrunk
  bool intercept = true;  ///< without one and with responses that are not centred, rho > 0 is wrong
};

/// f(x) = intercept + theta^T x.
struct LinearBagModel {
  std::vector<double> coefficients;  ///< [features]
  double intercept = 0;
  LinearBagOptions options;
  std::size_t rank = 0;  ///< of the matrix that was inverted; below [features]: not identified
  /// Of many solutions the one with the smallest |theta| was taken.
  bool minimum_norm() const { return rank < coefficients.size(); }
  double predict(std::span<const double> row) const;
};

/// The predictions of all rows of `data`, [rows].
std::vector<double> predict_rows(const LinearBagModel& model, const BagData& data);

/// theta = (A + rho B + ridge I)^-1 c, in closed form (Cholesky; where the matrix is singular, e.g.
/// fewer bags than features and rho = 0, the solution of minimum norm; see identification_warning).
/// rho = 0 is least squares of the bags' mean responses on their mean features, rho = 1 that of
/// every row on its bag's mean response. InputError for a rho or ridge that is negative or not
/// finite, or a state without bags.
LinearBagModel fit_linear(const LinearBagState& state, const LinearBagOptions& options);

/// What to tell people of a model that its bags do not identify; empty for one that they do.
std::string identification_warning(const LinearBagState& state, const LinearBagModel& model);

/// The squared losses of a model on the bags of a state (which need not be those it was fitted on).
BagLosses linear_losses(const LinearBagState& state, const LinearBagModel& model);

/// Models of many rho from one generalised eigendecomposition of B and A + B + ridge I, after which
/// each takes O(features^2). Where that matrix is singular, or one rho's is, as fit_linear.
class LinearRhoPath {
 public:
  explicit LinearRhoPath(const LinearBagState& state, double ridge = 0, bool intercept = true);
  ~LinearRhoPath();
  LinearRhoPath(LinearRhoPath&&) noexcept;
  LinearRhoPath& operator=(LinearRhoPath&&) noexcept;
  LinearBagModel at(double rho) const;

 private:
  struct Decomposition;
  std::unique_ptr<Decomposition> decomposition_;
};

/// The rho that are tried where nothing else is said.
std::vector<double> standard_rho_grid();

/// A choice among options by cross-validation.
struct LinearBagChoice {
  std::vector<LinearBagOptions> candidates;
  /// [candidates], the mean over held-out rows of the bag-level squared loss: all that can be known
  /// without the rows' own responses.
  std::vector<double> scores;
  std::size_t best = 0;  ///< the lowest score; the first one of equal ones
  LinearBagModel model;  ///< by the best candidate, of all bags
};

/// Chooses among candidates: each is fitted on all states but one and scored on that. States are of
/// disjoint sets of whole bags (bag_folds), at least two with bags. InputError if there are fewer,
/// or no candidates.
LinearBagChoice choose_linear(std::span<const LinearBagState> folds,
                              std::vector<LinearBagOptions> candidates);

/// The states of the parts of a random partition of the bags; see bag_folds.
std::vector<LinearBagState> fold_states(const BagData& data, std::size_t folds, std::uint64_t seed);

}  // namespace amalgam::labels
