#pragma once

#include <optional>
#include <string>
#include <vector>

#include "amalgam/weights/learned/prune_in_training.hpp"

namespace amalgam::learned {

/// Methods that make a network sparse in one run of the recipe by other means than a schedule of
/// pruning times. Weights are those of learning::prunable_weights; all others are trained as ever.
/// The first three are told the sparsity; in the others it comes of how they are set.
enum class SparseMethod {
  /// Learning-compression (LC; Carreira-Perpinan and Idelbayev 2018): only the smallest weights
  /// decay, so that pruning them at the end changes little. Needs weight decay.
  compression,
  /// Global sparse momentum (GSM; Ding et al. 2019): only the weights of the largest |w dL/dw|
  /// follow their gradients, the others only decay. Needs weight decay and momentum.
  sparse_momentum,
  /// Discovering neural wirings (DNW; Wortsman et al. 2019): the network computes with its largest
  /// weights only, and the gradients go straight through to all of them.
  top_weights,
  /// Soft threshold reparameterisation (STR; Kusupati et al. 2020): sign(w) relu(|w| - sigmoid(s))
  /// with a learned s per tensor, which decays as weights do.
  soft_threshold,
  /// Continuous sparsification (CS; Savarese et al. 2020): c w sigmoid(beta m) with a learned m per
  /// weight, a penalty on sum sigmoid(beta m), and c so that new weights are not changed. beta
  /// grows
  /// from 1 to `final_beta`; in the end weights with m > 0 stay.
  continuous,
  /// Dynamic sparse training (DST; Liu et al. 2020): w where |w| > t with a learned t per unit
  /// (outputs of a layer), from 0, a penalty on sum exp(-t), and the paper's long-tailed estimate
  /// of the step's derivative. Where a layer has no more than 1 % left, its t start again.
  unit_threshold,
};

/// The names that recipes have for them, in the order above.
std::vector<std::string> sparse_method_names();

struct SparseTrainingOptions {
  SparseMethod method = SparseMethod::top_weights;
  double sparsity = 0.9;  ///< at the end, in [0, 1)
  learning::PruningOptions pruning;
  /// soft_threshold: s at the start, -5 by default. continuous: m, 0 by default.
  std::optional<double> initial;
  /// continuous (default 1e-5) and unit_threshold (5e-4): weight of the penalty in the loss.
  std::optional<double> penalty;
  double final_beta = 300;  ///< continuous, at least 1
  double batch_norm_share = 0.2;
  Progress::Mode progress = Progress::Mode::never;
};

/// Trains a copy of `start` by the recipe with one of the methods, as ZIB-IOL/BIMP has them. At the
/// end the smallest weights are pruned to `sparsity`, if the method itself has left more; one that
/// is sparser by itself stays so, with a warning. PrunedTraining::sparsities has the method's own
/// sparsity and the final one. InputError for an option out of its range, another optimiser than
/// SGD, and one without what the method needs.
PrunedTraining sparse_training(const learning::Network& start, const learning::Dataset& data,
                               const learning::TrainingRecipe& recipe,
                               const SparseTrainingOptions& options);

}  // namespace amalgam::learned
