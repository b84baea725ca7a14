#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "amalgam/learning/dataset.hpp"
#include "amalgam/weights/learned/coefficients.hpp"

namespace amalgam::learned {

/// What coefficients are learned from.
enum class CoefficientLoss {
  entropy,        ///< of the predictions, in nats; needs no labels
  cross_entropy,  ///< the supervised variant
  squared_error,  ///< of numbers to predict, in units of their scale
};

/// Mean entropy of softmax(logits) in nats, a scalar; logits [..., classes].
torch::Tensor mean_entropy(const torch::Tensor& logits);
/// The loss of these examples of `data`, a scalar, by the logits of the data's head. Labels are
/// looked at for cross_entropy only.
torch::Tensor coefficient_loss(learning::Network& network, const learning::Dataset& data,
                               const torch::Tensor& chosen, CoefficientLoss loss);

/// InputError if there are no tasks, one has no examples or does not fit, or its labels are not
/// what the loss is of: numbers to predict for squared_error, else at least two classes.
void check_tasks(const learning::Network& network, const std::vector<learning::Dataset>& tasks,
                 CoefficientLoss loss, const char* method);

struct DescentOptions {
  CoefficientLoss loss = CoefficientLoss::entropy;
  double learning_rate = 1e-3;  ///< of Adam, betas 0.9 and 0.999
  std::uint64_t steps = 500;
  std::uint64_t batch = 16;  ///< examples per task and step
  std::uint64_t seed = 0;    ///< of the order of the examples
  bool clamp = false;  ///< merge by the coefficients clamped to [0, 1]; they are not themselves
  /// Called on the coefficients after every step, to project them.
  std::function<void(torch::Tensor& coefficients)> project;
  std::function<void(std::uint64_t step)> on_step;
};

struct Descent {
  torch::Tensor coefficients;  ///< as learned (not clamped), double [rows, directions]
  std::vector<double> losses;  ///< of every step, summed over the tasks
};

/// Learns the coefficients of a merged point by Adam on the sum of the tasks' losses; the point is
/// at them afterwards. Where the loss is not finite, it stops with a warning that names the step
/// and goes back to the last coefficients that had a finite one.
Descent descend(MergedPoint& point, const torch::Tensor& initial,
                const std::vector<learning::Dataset>& tasks, const DescentOptions& options);

}  // namespace amalgam::learned
