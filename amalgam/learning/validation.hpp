#pragma once

#include <cstdint>
#include <optional>

#include "amalgam/learning/dataset.hpp"
#include "amalgam/learning/network.hpp"
#include "amalgam/learning/recipe.hpp"
#include "amalgam/learning/training_state.hpp"

namespace amalgam::learning {

/// Loss and accuracy of the network as it is now, in evaluation mode; it is in the mode it was in
/// afterwards. Of texts over all tokens; of numbers to predict their squared error and R2.
/// InputError if the data do not fit the network.
ValidationFigures validate(Network& network, const Dataset& data);

/// Whether a run should end: keeps the best weights so far.
class EarlyStopper {
 public:
  explicit EarlyStopper(std::optional<EarlyStop> options) : options_(options) {}

  /// Notes the figures after epoch `epoch` (0-based); if they are the best so far, `progress` gets
  /// that epoch and a copy of the network's weights.
  void note(std::uint64_t epoch, const ValidationFigures& figures, const Network& network,
            TrainingProgress& progress) const;
  /// Whether the patience has run out after the epochs of `progress`.
  bool stops(const TrainingProgress& progress) const;

 private:
  bool is_better(const ValidationFigures& figures, const ValidationFigures& best) const;

  std::optional<EarlyStop> options_;
};

}  // namespace amalgam::learning
