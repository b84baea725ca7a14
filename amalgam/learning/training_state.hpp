#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "amalgam/learning/optimizer.hpp"
#include "amalgam/learning/weight_average.hpp"

namespace amalgam::learning {

/// How good the weights are on the validation examples.
struct ValidationFigures {
  /// Mean cross-entropy in nats, without label smoothing; of numbers to predict the mean squared
  /// error in units of their scale.
  double loss = 0;
  double accuracy = 0;  ///< of numbers to predict R2, see NumberFigures
};

/// One epoch of a run.
struct EpochRecord {
  double loss = 0;           ///< mean over the epoch's examples, as it was trained
  double learning_rate = 0;  ///< of the last step
  std::optional<ValidationFigures> validation = {};
};

/// A run between two epochs.
struct TrainingProgress {
  std::vector<EpochRecord> epochs;  ///< those that are done
  /// With early stopping: the epoch (0-based) that was best, and the weights after it.
  std::optional<std::uint64_t> best_epoch = {};
  NamedTensors best_weights = {};
};

/// Writes everything that a run needs to go on with the same bits as if it had not stopped:
/// weights, the optimiser's memory, the running average and what is done. The file comes into place
/// whole.
void save_training_state(const std::filesystem::path& path, const Network& network,
                         const Optimizer& optimizer, const WeightAverage& average,
                         const TrainingProgress& progress, const TrainingRecipe& recipe);

/// Puts all of it back. InputError if the file is not such a state, or is of another recipe.
TrainingProgress load_training_state(const std::filesystem::path& path, Network& network,
                                     Optimizer& optimizer, WeightAverage& average,
                                     const TrainingRecipe& recipe);

}  // namespace amalgam::learning
