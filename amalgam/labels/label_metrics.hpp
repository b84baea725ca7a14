#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "amalgam/labels/label_model.hpp"

namespace amalgam::labels {

/// How good labels are, over the tasks that have gold and an annotation.
struct LabelQuality {
  std::uint64_t tasks = 0;  ///< that count
  double accuracy = 0;      ///< share of them that are right; NaN if there are none
  /// Mean of the F1 of each label that gold or predictions have there; 0 where one is undefined.
  double macro_f1 = 0;
};

/// `predicted` and `gold` [tasks]; kNoLabel: there is none, and the task does not count. Gold
/// labels may be beyond those of the table: then they are never right.
LabelQuality label_quality(std::span<const Label> predicted, std::span<const Label> gold);

/// How good probabilities are, over the tasks that have gold.
struct SoftQuality {
  std::uint64_t tasks = 0;
  double nll = 0;    ///< mean -log probability of the gold label, probabilities floored at `floor`
  double brier = 0;  ///< mean squared distance from the one-hot gold label
  double ece = 0;    ///< expected calibration error, 15 equal bins of the largest probability
};
SoftQuality soft_quality(const SoftLabels& soft, std::span<const Label> gold, double floor = 1e-12);

}  // namespace amalgam::labels
