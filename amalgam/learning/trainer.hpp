#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>

#include "amalgam/core/error.hpp"
#include "amalgam/core/progress.hpp"
#include "amalgam/learning/batches.hpp"
#include "amalgam/learning/dataset.hpp"
#include "amalgam/learning/network.hpp"
#include "amalgam/learning/pruning.hpp"
#include "amalgam/learning/recipe.hpp"
#include "amalgam/learning/training_state.hpp"

namespace amalgam::learning {

/// The loss of a run is no longer finite.
class Diverged : public Error {
 public:
  using Error::Error;
};

struct TrainingOptions {
  Progress::Mode progress = Progress::Mode::automatic;
  /// Where the state of the run is kept after every epoch but the last; empty: nowhere.
  std::filesystem::path state_file;
  /// Go on from `state_file` if it exists.
  bool resume = false;
  /// Called after every epoch (0-based), once its state is kept. For tests and early ends.
  std::function<void(std::uint64_t epoch)> after_epoch;
  /// Weights that do not exist: they are 0 before the first step and, with the optimiser's memory
  /// of them, again after every one. It may become another mask between steps (in a callback).
  /// Null: all exist.
  const PruningMask* mask = nullptr;
  /// Called before the forward pass of every step (from 0), and when the gradients are there and
  /// the weights are about to move: to compute gradients at other weights than those that move.
  std::function<void(std::uint64_t step)> before_forward;
  std::function<void(std::uint64_t step)> before_update;
};

struct TrainingReport {
  std::vector<EpochRecord> epochs;  ///< resumed ones included
  std::uint64_t steps = 0;
  std::uint64_t examples = 0;     ///< in the training set
  std::uint64_t first_epoch = 0;  ///< where this run began (0 unless resumed)
  double seconds = 0;             ///< of this run
};

/// The network a recipe starts from: new weights by its seed for images like `data` (the inputs are
/// standardised by the data's own statistics, unless the recipe's network says `standardise:
/// false`), or the checkpoint `init`. InputError if they do not
/// fit.
std::shared_ptr<Network> initial_network(const TrainingRecipe& recipe, const Dataset& data);

/// The loss of a step: cross-entropy, with label smoothing and mixup as the recipe says.
torch::Tensor training_loss(const torch::Tensor& logits, const Batch& batch,
                            double label_smoothing);

/// Trains `network` as the recipe says; it is in evaluation mode afterwards, with averaged weights
/// if the recipe averages. Bit-identical for equal recipe, data, threads and machine, resumed or
/// not. Diverged naming the step if the loss is not finite; Interrupted between steps on a signal.
/// In both cases the state file of the last whole epoch stays. InputError if the mask does not fit.
TrainingReport train(Network& network, const Dataset& data, const TrainingRecipe& recipe,
                     const TrainingOptions& options = {});

/// How many threads libtorch uses within an operation.
void set_threads(std::size_t threads);

}  // namespace amalgam::learning
