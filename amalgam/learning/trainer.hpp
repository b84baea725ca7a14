#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "amalgam/core/error.hpp"
#include "amalgam/core/progress.hpp"
#include "amalgam/learning/batches.hpp"
#include "amalgam/learning/dataset.hpp"
#include "amalgam/learning/network.hpp"
#include "amalgam/learning/pruning.hpp"
#include "amalgam/learning/recipe.hpp"
#include "amalgam/learning/training_state.hpp"

namespace amalgam::learning {

/// The loss of a run, or a weight, is no longer finite.
class Diverged : public Error {
 public:
  Diverged(const std::string& message, std::uint64_t whole_epochs)
      : Error(message), whole_epochs_(whole_epochs) {}
  /// After how many epochs the weights are that the network has now: the last good ones.
  std::uint64_t whole_epochs() const { return whole_epochs_; }

 private:
  std::uint64_t whole_epochs_;
};

struct TrainingOptions {
  Progress::Mode progress = Progress::Mode::automatic;
  /// The examples that the network is judged by after every epoch; null: none. Needed by a recipe
  /// with early stopping.
  const Dataset* validation = nullptr;
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
  std::uint64_t steps = 0;          ///< up to the end, those of resumed epochs included
  std::uint64_t examples = 0;       ///< in the training set
  std::uint64_t first_epoch = 0;    ///< where this run began (0 unless resumed)
  /// With early stopping: the epoch whose weights the network has.
  std::optional<std::uint64_t> best_epoch = {};
  double seconds = 0;  ///< of this run
};

/// The network a recipe starts from: new weights by its seed for inputs like `data` (images and
/// columns of numbers are standardised by the data's own statistics, unless the recipe's network
/// says `standardise: false`), or the checkpoint `init`. InputError if they do not fit.
std::shared_ptr<Network> initial_network(const TrainingRecipe& recipe, const Dataset& data);

/// The loss of a step: cross-entropy with the labels, or with the soft labels if there are any,
/// with label smoothing and mixup as the recipe says; of numbers to predict the mean squared error,
/// in units of their scale.
torch::Tensor training_loss(const torch::Tensor& logits, const Batch& batch,
                            double label_smoothing);

/// Trains `network` as the recipe says; it is in evaluation mode afterwards, with averaged weights
/// if the recipe averages, and with those of the best epoch if it has `early_stop`. Bit-identical
/// for equal recipe, data, threads and machine, resumed or not.
///
/// Diverged naming the step if the loss or a weight is not finite; the network then has the weights
/// after the last whole epoch, or those it began with. Interrupted between steps on a signal. In
/// both cases the state file of the last whole epoch stays. InputError if the mask does not fit,
/// there are no examples, or the recipe asks for what these data or this many steps do not have
/// (images to augment or cut, room for the schedule's stages).
TrainingReport train(Network& network, const Dataset& data, const TrainingRecipe& recipe,
                     const TrainingOptions& options = {});

/// How many threads libtorch uses within an operation.
void set_threads(std::size_t threads);

}  // namespace amalgam::learning
