#pragma once

#include <cstdint>
#include <vector>

#include "amalgam/weights/learned/sparse_soup.hpp"

// Pruning while a network is trained, in one run of the recipe's epochs, and sparse model soups of
// it: between two pruning times several copies are trained from the merged weights, and averaged
// before the next. (The paper says only that it can be adapted; this is our definition.)
namespace amalgam::learned {

struct GradualPruningOptions {
  double sparsity = 0.9;       ///< at the end, in [0, 1)
  std::uint64_t interval = 1;  ///< epochs between pruning times; the last stretch only trains
  std::uint64_t copies = 1;    ///< 1: the method itself, in one run
  learning::PruningOptions pruning;
  /// For gradual_pruning: pruned weights keep the value that they had and may come back when the
  /// mask is made anew. Else a mask only loses weights.
  bool allow_recovering = false;
  /// For dynamic_pruning: steps after which the mask is made anew.
  std::uint64_t refresh = 16;
  /// Of the training examples, that statistics of BatchNorm are of where the method has made new
  /// weights by averaging or pruning.
  double batch_norm_share = 0.2;
  Progress::Mode progress = Progress::Mode::never;  ///< of the trainings in it
  /// For gradual_pruning with several copies: who trains one. Empty: plain_training.
  TrainCopy train = {};
};

struct PrunedTraining {
  NamedTensors state;
  PruningMask mask;
  std::vector<double> sparsities;  ///< after every pruning time
};

/// Gradual magnitude pruning (GMP; Zhu and Gupta 2017): of n = epochs / interval - 1 pruning times,
/// after every `interval` epochs, the t-th prunes to gradual_sparsity(s, t, n); weights and
/// momentum outside the mask are 0. With copies each stretch has fresh momentum and orders of its
/// own (copy_seed), and the rates of its place in the whole run. `start` is not trained yet.
/// InputError for a sparsity outside [0, 1), no copies or too many, and fewer than two intervals;
/// Error if every copy of a stretch diverged.
PrunedTraining gradual_pruning(const learning::Network& start, const learning::Dataset& data,
                               const learning::TrainingRecipe& recipe,
                               const GradualPruningOptions& options);

/// Dynamic pruning with feedback (DPF; Lin et al. 2020): the weights stay dense; gradients are
/// those of the pruned network, whose mask is made anew from the magnitudes every `refresh` steps
/// at the sparsity that gradual pruning has then; they move the dense weights. At the end the
/// weights are pruned to s. With copies, the dense weights are averaged and pruned again. Errors as
/// gradual_pruning.
PrunedTraining dynamic_pruning(const learning::Network& start, const learning::Dataset& data,
                               const learning::TrainingRecipe& recipe,
                               const GradualPruningOptions& options);

/// BIMP (Zimmer et al. 2023, arXiv 2111.00843): trains densely for `dense_epochs` by the recipe's
/// own schedule and spends the rest of its epochs, equally, on the phases of sparse_soup with
/// budgeted retraining rates; one copy is the method itself. `options.retraining` is set from this;
/// `options.train` also trains the dense network, a task without mask.
/// InputError if the phases cannot share the rest equally.
SparseSoup budgeted_pruning(const learning::Network& start, const learning::Dataset& data,
                            const learning::TrainingRecipe& recipe, std::uint64_t dense_epochs,
                            SparseSoupOptions options);

}  // namespace amalgam::learned
