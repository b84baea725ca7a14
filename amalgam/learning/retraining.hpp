#pragma once

#include <cstdint>
#include <optional>

#include "amalgam/learning/recipe.hpp"

namespace amalgam::learning {

/// How a pruned network is trained again, after a dense run of T epochs at learning rates up to
/// `max` (Le and Hua 2021; Zimmer et al. 2023).
struct Retraining {
  enum class Kind {
    constant,    ///< the dense run's last rate (FT), or `learning_rate`
    rewind,      ///< the rates of the dense run's last epochs, step for step (LRW)
    compressed,  ///< the dense run's whole schedule in these epochs (SLR)
    cosine,      ///< from `max` down to 0 in half a cosine (CLR)
    linear,      ///< from `max` down to 0 in a line (LLR)
    budgeted     ///< the same from budgeted_rate (ALLR)
  } kind = Kind::linear;
  std::uint64_t epochs = 3;
  /// `max`, by default the dense run's; for `constant` the rate itself.
  std::optional<double> learning_rate;
  /// The share of the steps in which the rate rises linearly first; not for constant and rewind.
  double warmup = 0.1;
};

/// What pruning did, which `budgeted` goes by.
struct PruningStep {
  double norm_drop = 0;  ///< see norm_drop
  double fraction = 0;   ///< of the remaining weights, that was pruned
};

/// The start rate of ALLR: `max_rate` times clip(norm_drop / sqrt(fraction), min(share, 1), 1),
/// where `share` is the retraining epochs' share of the dense run's. With nothing pruned
/// (`fraction` 0) the least.
double budgeted_rate(double max_rate, double norm_drop, double fraction, double share);

/// The dense run's recipe with epochs, rate and schedule for retraining; `steps_per_epoch` is the
/// number of batches. Everything else (batch, momentum, weight decay, augmentation, seed) stays.
/// InputError for no epochs, a rate that is not above 0, warmup outside [0, 1), and `rewind` beyond
/// the dense run's start.
TrainingRecipe retraining_recipe(const TrainingRecipe& dense, const Retraining& retraining,
                                 std::uint64_t steps_per_epoch, const PruningStep& pruned = {});

}  // namespace amalgam::learning
