#pragma once

#include <functional>

#include "amalgam/learning/network_file.hpp"

namespace amalgam::learned {

using learning::NamedTensors;

/// Where weights lie to each other, over all parameters that are numbers with fractions.
struct WeightGeometry {
  double distance = 0;  ///< |theta_1 - theta_2|
  /// That by the mean of the two norms: near sqrt(2) for networks that have nothing in common.
  double relative_distance = 0;
  /// Between theta_1 - theta_0 and theta_2 - theta_0, in degrees; NaN if one of them is zero.
  double angle = 0;
};

/// InputError naming the tensor if names or shapes differ.
WeightGeometry weight_geometry(const NamedTensors& first, const NamedTensors& second,
                               const NamedTensors& base);

/// How the loss of averaged weights differs from that of averaged logits.
struct SoupVersusEnsemble {
  double soup_loss = 0;      ///< cross-entropy of beta f(x; theta_alpha), mean over the examples
  double ensemble_loss = 0;  ///< of beta ((1 - alpha) f(x; theta_0) + alpha f(x; theta_1))
  double curvature = 0;      ///< d^2 soup loss / d alpha^2, by central differences
  /// E_x Var over classes drawn from softmax(beta f(x; theta_alpha)) of f(x; theta_1) - f(x;
  /// theta_0).
  double variance = 0;
  /// alpha (1 - alpha) / 2 (-curvature + beta^2 variance): approximates soup_loss - ensemble_loss.
  double predicted = 0;

  double measured() const { return soup_loss - ensemble_loss; }
};

struct SoupVersusEnsembleOptions {
  double alpha = 0.5;              ///< in (0, 1)
  double inverse_temperature = 1;  ///< beta, above 0
  double step = 0.1;  ///< of the differences in alpha; made smaller where [0, 1] ends before
};

/// Wortsman et al. 2022 (Model soups), section 4: theta_alpha = (1 - alpha) theta_0 + alpha
/// theta_1; where the loss is flat and predictions are certain, the soup is the ensemble. `logits`
/// gives f(x; theta_alpha), [examples, classes], for any alpha in [0, 1]; computed in double.
/// InputError for options outside their ranges and labels that do not fit.
SoupVersusEnsemble soup_versus_ensemble(const std::function<torch::Tensor(double alpha)>& logits,
                                        const torch::Tensor& labels,
                                        const SoupVersusEnsembleOptions& options = {});

}  // namespace amalgam::learned
