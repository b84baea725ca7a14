#include "amalgam/weights/learned/prune_in_training.hpp"

#include <algorithm>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/batches.hpp"

namespace amalgam::learned {
namespace {

using learning::Dataset;
using learning::Network;
using learning::TrainingRecipe;

constexpr std::uint64_t kMostCopies = 999;  // seeds of stretches are 1,000 apart

// When a run prunes.
struct Times {
  std::uint64_t steps_per_epoch = 0;
  std::uint64_t interval = 0;  // epochs
  std::uint64_t count = 0;
  std::uint64_t epochs = 0;

  // The sparsity in force at a step of the whole run.
  double sparsity_at(std::uint64_t step, double target) const {
    const std::uint64_t passed = step / (interval * steps_per_epoch);
    return learning::gradual_sparsity(target, std::min(passed, count), count);
  }
};

Times times_of(const Network& start, const Dataset& data, const TrainingRecipe& recipe,
               const GradualPruningOptions& options) {
  learning::check_fits(start, data);
  (void)learning::phase_fraction(options.sparsity, 1);  // refuses a sparsity that is none
  if (options.copies < 1 || options.copies > kMostCopies) {
    throw InputError("pruning in training: {} copies; expected 1 to {}", options.copies,
                     kMostCopies);
  }
  if (options.interval < 1 || recipe.epochs / options.interval < 2 || options.refresh < 1) {
    throw InputError(
        "pruning in training: an interval of {} epochs in {}, a new mask every {} steps; expected"
        " at least two intervals, and at least 1 step",
        options.interval, recipe.epochs, options.refresh);
  }
  return {learning::Batches(data, recipe).per_epoch(), options.interval,
          recipe.epochs / options.interval - 1, recipe.epochs};
}

// The stretch between two pruning times (from 0), for every copy.
std::vector<CopyTask> stretch(const TrainingRecipe& recipe, const Times& times,
                              std::uint64_t number, std::uint64_t copies, const PruningMask* mask) {
  const std::uint64_t first = number * times.interval;
  std::vector<CopyTask> tasks;
  tasks.reserve(copies);
  for (std::uint64_t j = 0; j < copies; ++j) {
    tasks.push_back({number, j, mask, recipe});
    TrainingRecipe& part = tasks.back().recipe;
    part.epochs = number < times.count ? times.interval : times.epochs - first;
    part.schedule.first = first * times.steps_per_epoch;
    part.schedule.total = times.epochs * times.steps_per_epoch;
    part.seed = copy_seed(recipe.seed, number, j);
  }
  return tasks;
}

NamedTensors average_of_copies(const std::vector<NamedTensors>& copies, const PruningMask& mask) {
  SparseSum sum(mask);
  for (const NamedTensors& copy : copies) {
    if (!copy.empty()) sum.absorb(copy, mask);
  }
  return sum.finish();
}

learning::TrainingOptions training_with(Progress::Mode progress) {
  learning::TrainingOptions options;
  options.progress = progress;
  return options;
}

// The mask of gradual pruning, and the values that pruned weights would come back with.
class GradualMask {
 public:
  GradualMask(const Network& network, const GradualPruningOptions& options)
      : options_(options),
        full_(learning::full_mask(learning::prunable_weights(network))),
        mask_(full_) {
    for (const auto& [name, weight] : learning::prunable_weights(network)) {
      dense_.emplace_back(name, weight.detach().clone());
    }
  }

  const PruningMask& mask() const { return mask_; }

  void prune(const Network& network, double sparsity) {
    const torch::NoGradGuard no_grad;
    const NamedTensors weights = learning::prunable_weights(network);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const torch::Tensor& kept = mask_.parts()[i].kept;
      dense_[i].second = torch::where(kept, weights[i].second, dense_[i].second);
    }
    mask_ = learning::prune_to(dense_, options_.allow_recovering ? full_ : mask_, sparsity,
                               options_.pruning);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      torch::Tensor weight = weights[i].second;
      weight.copy_(dense_[i].second);
    }
    mask_.apply(weights);
  }

 private:
  const GradualPruningOptions& options_;
  PruningMask full_;
  PruningMask mask_;
  NamedTensors dense_;
};

// Runs the steps of a training with dense weights and gradients of the pruned network.
class Feedback {
 public:
  // `first` is the step of the whole run that this training begins with.
  Feedback(const Network& network, const GradualPruningOptions& options, const Times& times,
           std::uint64_t first)
      : weights_(learning::prunable_weights(network)),
        full_(learning::full_mask(weights_)),
        mask_(full_),
        options_(options),
        times_(times),
        first_(first) {}

  learning::TrainingOptions training() {
    learning::TrainingOptions training = training_with(options_.progress);
    training.before_forward = [this](std::uint64_t step) { hide(first_ + step, step == 0); };
    training.before_update = [this](std::uint64_t) { show(); };
    return training;
  }

 private:
  void hide(std::uint64_t step, bool begins) {
    if (begins || step % options_.refresh == 0) {
      mask_ = learning::prune_to(weights_, full_, times_.sparsity_at(step, options_.sparsity),
                                 options_.pruning);
    }
    dense_.clear();
    for (const auto& [name, weight] : weights_) {
      dense_.emplace_back(name, weight.detach().clone());
    }
    mask_.apply(weights_);
  }

  void show() {
    const torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      weights_[i].second.copy_(dense_[i].second);
    }
  }

  NamedTensors weights_;  // the network's own
  PruningMask full_;
  PruningMask mask_;
  NamedTensors dense_;
  const GradualPruningOptions& options_;
  const Times& times_;
  std::uint64_t first_;
};

}  // namespace

PrunedTraining gradual_pruning(const Network& start, const Dataset& data,
                               const TrainingRecipe& recipe, const GradualPruningOptions& options) {
  const Times times = times_of(start, data, recipe, options);
  auto network = learning::network_with(start, learning::state_of(start));
  GradualMask gradual(*network, options);
  PrunedTraining result;
  const auto prune = [&](std::uint64_t time) {
    gradual.prune(*network, learning::gradual_sparsity(options.sparsity, time, times.count));
    result.sparsities.push_back(gradual.mask().sparsity());
  };
  if (options.copies == 1) {
    learning::TrainingOptions training = training_with(options.progress);
    training.mask = &gradual.mask();
    training.after_epoch = [&](std::uint64_t epoch) {
      const std::uint64_t done = epoch + 1;
      if (done % times.interval == 0 && done / times.interval <= times.count) {
        prune(done / times.interval);
      }
    };
    learning::train(*network, data, recipe, training);
  } else {
    for (std::uint64_t number = 0; number <= times.count; ++number) {
      const auto tasks = stretch(recipe, times, number, options.copies, &gradual.mask());
      const auto copies =
          train_copies(*network, tasks, options.train ? options.train : plain_training(data));
      network = learning::network_with(*network, average_of_copies(copies, gradual.mask()));
      if (number < times.count) prune(number + 1);
    }
    refresh_batch_norm(*network, data, options.batch_norm_share);
  }
  result.state = learning::copied_state(*network);
  result.mask = gradual.mask();
  return result;
}

PrunedTraining dynamic_pruning(const Network& start, const Dataset& data,
                               const TrainingRecipe& recipe, const GradualPruningOptions& options) {
  const Times times = times_of(start, data, recipe, options);
  auto network = learning::network_with(start, learning::state_of(start));
  const PruningMask full = learning::full_mask(learning::prunable_weights(*network));
  if (options.copies == 1) {
    Feedback feedback(*network, options, times, 0);
    learning::train(*network, data, recipe, feedback.training());
  } else {
    const TrainCopy train = [&](Network& copy, const CopyTask& task) {
      Feedback feedback(copy, options, times, task.recipe.schedule.first);
      learning::train(copy, data, task.recipe, feedback.training());
    };
    for (std::uint64_t number = 0; number <= times.count; ++number) {
      const auto copies =
          train_copies(*network, stretch(recipe, times, number, options.copies, nullptr), train);
      network = learning::network_with(*network, average_of_copies(copies, full));
    }
  }
  PrunedTraining result;
  for (std::uint64_t time = 1; time <= times.count; ++time) {
    result.sparsities.push_back(learning::gradual_sparsity(options.sparsity, time, times.count));
  }
  MaskedState pruned =
      pruned_again({learning::state_of(*network), full}, options.sparsity, options.pruning);
  network = learning::network_with(*network, pruned.state);
  refresh_batch_norm(*network, data, options.batch_norm_share);
  result.state = learning::copied_state(*network);
  result.mask = std::move(pruned.mask);
  return result;
}

SparseSoup budgeted_pruning(const Network& start, const Dataset& data, const TrainingRecipe& recipe,
                            std::uint64_t dense_epochs, SparseSoupOptions options) {
  const std::uint64_t left = recipe.epochs - std::min(recipe.epochs, dense_epochs);
  if (dense_epochs < 1 || options.phases < 1 || left < 1 || left % options.phases != 0) {
    throw InputError(
        "pruning in training: {} dense epochs leave {} of {} for {} phases; expected equal shares"
        " of at least 1",
        dense_epochs, left, recipe.epochs, options.phases);
  }
  TrainingRecipe dense_recipe = recipe;
  dense_recipe.epochs = dense_epochs;
  const auto dense = learning::network_with(start, learning::state_of(start));
  const TrainCopy train = options.train ? options.train : plain_training(data);
  train(*dense, {.phase = 0, .copy = 0, .mask = nullptr, .recipe = dense_recipe});
  options.retraining = {.kind = learning::Retraining::Kind::budgeted,
                        .epochs = left / options.phases};
  return sparse_soup(*dense, data, dense_recipe, options);
}

}  // namespace amalgam::learned
