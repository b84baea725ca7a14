#pragma once

#include <span>

#include "amalgam/labels/bags/bags.hpp"

namespace amalgam::labels {

/// l(y, f), the loss of predicting f where the response is y.
enum class PointLoss {
  squared,   ///< (y - f)^2
  logistic,  ///< cross-entropy of y in [0, 1] and the probability 1 / (1 + e^-f)
};

/// The loss of one prediction.
double point_loss(PointLoss loss, double response, double prediction);

/// The losses of predictions of rows, of which only the bags' mean responses are known. Bags weigh
/// by their number of rows; with equal ones these are the means of the paper.
struct BagLosses {
  /// sum_a (k_a / n) l(ybar_a, fbar_a), fbar_a the mean prediction of bag a of k_a rows.
  double bag = 0;
  /// (1 / n) sum_a sum_{i in a} l(ybar_a, f_i).
  double instance = 0;
  /// R = sum_a (k_a / n) Var_a, the population variance of the predictions within a bag. For the
  /// squared loss instance = bag + R, whatever the predictions; for a convex loss with |l''| <= L
  /// instance <= bag + (L / 2) R (logistic: L = 1/4).
  double spread = 0;

  /// (1 - rho) bag + rho instance, the interpolating loss. For the squared loss this is bag + rho
  /// R, which makes sense beyond rho = 1 too.
  double interpolated(double rho) const { return bag + rho * (instance - bag); }
};

/// The losses of `predictions` [rows] where the bags' mean responses are `responses` [bags].
/// InputError if sizes do not fit.
BagLosses bag_losses(const Bags& bags, std::span<const double> responses,
                     std::span<const double> predictions, PointLoss loss = PointLoss::squared);

}  // namespace amalgam::labels
