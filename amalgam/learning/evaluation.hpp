#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "amalgam/core/statistics.hpp"
#include "amalgam/learning/dataset.hpp"
#include "amalgam/learning/network.hpp"

namespace amalgam::learning {

/// Logits [count, classes] (of text [count, context, classes]) of all examples, computed in batches
/// in evaluation mode without gradients; those of the data's head, if the network has several.
/// InputError if the data do not fit the network, or there would be more than 10^9 logits.
torch::Tensor predict_logits(Network& network, const Dataset& data, std::int64_t batch = 100);

struct EvaluationOptions {
  std::size_t bins = 15;         ///< of the calibration error
  std::size_t resamples = 1000;  ///< of the bootstrap; 0 leaves the two intervals out
  std::uint64_t seed = 0;        ///< of the bootstrap
};

struct ClassAccuracy {
  std::string name;
  std::uint64_t examples = 0;
  std::optional<double> accuracy;  ///< nothing if there are no examples
};

/// How good predictions are. Intervals have 95 % confidence over the draw of the examples.
struct Evaluation {
  std::uint64_t examples = 0;
  double accuracy = 0;
  Interval accuracy_interval;  ///< Wilson's
  double nll = 0;              ///< mean of -log p(label), in nats
  Interval nll_interval;       ///< bootstrap
  /// Expected calibration error: over equal bins of confidence (the largest probability), the mean
  /// of |accuracy - confidence| weighted by the bin's share of examples (Naeini et al. 2015).
  double ece = 0;
  Interval ece_interval;  ///< bootstrap
  /// Mean of the F1 of the classes that labels or predictions have; 0 where one is undefined.
  double macro_f1 = 0;
  /// Mean squared distance of the probabilities from the one-hot label (Brier 1950): 0 to 2.
  double brier = 0;
  std::vector<ClassAccuracy> per_class;
  std::vector<double> correct;  ///< 1 or 0 per example, for paired comparisons
};

/// Judges log-probabilities [count, classes] (double, count >= 1) against labels [count]; of text,
/// with one axis more, every token is an example. Of equal largest probabilities the lowest class
/// is the prediction.
Evaluation evaluate(const torch::Tensor& log_probs, const torch::Tensor& truth,
                    const std::vector<std::string>& class_names,
                    const EvaluationOptions& options = {});

/// log softmax of logits over the last axis, in double.
torch::Tensor log_probabilities(const torch::Tensor& logits);

}  // namespace amalgam::learning
