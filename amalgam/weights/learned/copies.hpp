#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "amalgam/learning/dataset.hpp"
#include "amalgam/learning/pruning.hpp"
#include "amalgam/learning/trainer.hpp"

namespace amalgam::learned {

using learning::NamedTensors;
using learning::PruningMask;

/// One of several trainings that begin at the same weights.
struct CopyTask {
  std::uint64_t phase = 0;            ///< from 0
  std::uint64_t copy = 0;             ///< from 0
  const PruningMask* mask = nullptr;  ///< which stays as it is; null: everything exists
  learning::TrainingRecipe recipe;    ///< seed included
};

/// Trains `network`, which holds the start, in place; may throw learning::Diverged.
using TrainCopy = std::function<void(learning::Network& network, const CopyTask& task)>;

/// learning::train on `data` (which outlives it) under the task's mask, without progress.
TrainCopy plain_training(const learning::Dataset& data);

/// The seed of copy `copy` in phase `phase`: `seed` + copy + 1,000 phase.
std::uint64_t copy_seed(std::uint64_t seed, std::uint64_t phase, std::uint64_t copy);

/// If the network has BatchNorm, estimates its statistics anew of the first `share` of the examples
/// (at least two): averaged and pruned weights have none of their own.
void refresh_batch_norm(learning::Network& network, const learning::Dataset& data, double share);

/// Trains every task from the weights of `start`. The result of one that diverged, or ended with
/// weights that are not finite, is empty, and a warning says so; Error if all did.
std::vector<NamedTensors> train_copies(const learning::Network& start,
                                       const std::vector<CopyTask>& tasks, const TrainCopy& train);

}  // namespace amalgam::learned
