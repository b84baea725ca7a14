#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "amalgam/learning/retraining.hpp"
#include "amalgam/weights/learned/copies.hpp"
#include "amalgam/weights/learned/sparse_sum.hpp"

namespace amalgam::learned {

/// What makes a copy differ from the others, beside the order of its batches.
struct CopyVariation {
  std::optional<double> weight_decay;
  std::optional<std::uint64_t> epochs;
  std::optional<double> learning_rate;  ///< as Retraining::learning_rate
};

struct SparseSoupOptions {
  double sparsity = 0.9;     ///< of the prunable weights at the end, in [0, 1)
  std::uint64_t phases = 3;  ///< of pruning and retraining
  /// An entry per copy; a single one makes this iterative magnitude pruning (IMP).
  std::vector<CopyVariation> copies = std::vector<CopyVariation>(3);
  learning::PruningOptions pruning;
  learning::Retraining retraining;  ///< in every phase
  bool greedy = false;              ///< a greedy soup instead of the plain average; needs `score`
  /// Higher is better, on held-out data. With it the plain average leaves out copies that score
  /// below the pruned parent (unless all do), with a warning.
  std::function<double(learning::Network& network)> score;
  /// Of the training examples, from the first on, that statistics of BatchNorm are of, for the soup
  /// and whenever a network is scored; in (0, 1].
  double batch_norm_share = 0.2;
  std::uint64_t seed = 0;  ///< see copy_seed
  TrainCopy train;         ///< empty: plain_training
};

/// Over all pairs; 0 if there are none.
struct Spread {
  double least = 0;
  double mean = 0;
  double most = 0;
};

/// What happened in one phase. A score is NaN if there is no `SparseSoupOptions::score`, and of a
/// copy that diverged.
struct SparsePhase {
  double sparsity = 0;
  std::uint64_t pruned = 0;  ///< weights, in this phase
  std::uint64_t mask_hash = 0;
  learning::PruningStep step;
  double learning_rate = 0;  ///< the highest in retraining, of a copy without variation
  double parent_score = std::numeric_limits<double>::quiet_NaN();  ///< pruned, not yet retrained
  std::vector<double> scores;                                      ///< of the copies
  std::vector<std::size_t> ingredients;                            ///< the copies in the soup
  double soup_score = std::numeric_limits<double>::quiet_NaN();
  Spread distance;        ///< Euclidean, between all parameters of the ingredients
  Spread angle;           ///< between the same, in degrees
  double to_average = 0;  ///< mean distance of the ingredients to their average
};

struct SparseSoup {
  NamedTensors state;
  PruningMask mask;
  std::vector<SparsePhase> phases;
  std::vector<NamedTensors> copies;  ///< of the last phase; an empty one diverged
};

/// Sparse model soup (Zimmer et al. 2023, arXiv 2306.16788, algorithm 1): every phase prunes the
/// soup of the one before (first `dense`), trains copies of it under the one mask, and averages
/// them; the average has the mask too. `recipe` is the one that `dense` was trained with; epochs
/// and rates are set by options.retraining. Statistics of BatchNorm are estimated anew, of every
/// soup and every network that is scored. InputError for a sparsity outside [0, 1), no phases, no
/// copies or 1,000 and more, `greedy` without `score` and weights that are NaN; Error if every copy
/// of a phase diverged.
SparseSoup sparse_soup(const learning::Network& dense, const learning::Dataset& data,
                       const learning::TrainingRecipe& recipe,
                       const SparseSoupOptions& options = {});

}  // namespace amalgam::learned
