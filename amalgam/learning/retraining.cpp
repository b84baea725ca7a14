#include "amalgam/learning/retraining.hpp"

#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/schedule.hpp"

namespace amalgam::learning {

double budgeted_rate(double max_rate, double norm_drop, double fraction, double share) {
  const double least = std::min(share, 1.0);
  if (!(fraction > 0)) return max_rate * least;
  return max_rate * std::clamp(norm_drop / std::sqrt(fraction), least, 1.0);
}

TrainingRecipe retraining_recipe(const TrainingRecipe& dense, const Retraining& retraining,
                                 std::uint64_t steps_per_epoch, const PruningStep& pruned) {
  using Kind = Retraining::Kind;
  using ScheduleKind = ScheduleOptions::Kind;
  if (retraining.epochs < 1) throw InputError("retraining: expected at least 1 epoch");
  if (retraining.learning_rate && !(*retraining.learning_rate > 0)) {
    throw InputError("retraining: the learning rate is {}; expected more than 0",
                     *retraining.learning_rate);
  }
  if (std::isnan(retraining.warmup) || retraining.warmup < 0 || retraining.warmup >= 1) {
    throw InputError("retraining: warmup is {}; expected at least 0 and less than 1",
                     retraining.warmup);
  }
  const std::uint64_t steps = retraining.epochs * steps_per_epoch;
  const std::uint64_t dense_steps = dense.epochs * steps_per_epoch;
  const double max_rate = retraining.learning_rate.value_or(dense.optimizer.learning_rate);

  TrainingRecipe recipe = dense;
  recipe.epochs = retraining.epochs;
  recipe.optimizer.learning_rate = max_rate;
  const auto warmup =
      static_cast<std::uint64_t>(std::nearbyint(retraining.warmup * static_cast<double>(steps)));
  switch (retraining.kind) {
    case Kind::constant:
      recipe.schedule = {.kind = ScheduleKind::constant};
      if (!retraining.learning_rate) {
        recipe.optimizer.learning_rate =
            max_rate * schedule_factor(dense.schedule, dense_steps - 1, dense_steps);
      }
      break;
    case Kind::rewind:
      if (retraining.epochs > dense.epochs) {
        throw InputError("retraining: the last {} epochs of {} cannot be replayed",
                         retraining.epochs, dense.epochs);
      }
      recipe.schedule.first = dense_steps - steps;
      recipe.schedule.total = dense_steps;
      break;
    case Kind::compressed:
      recipe.schedule.warmup = warmup;
      break;
    case Kind::cosine:
      recipe.schedule = {.kind = ScheduleKind::cosine, .warmup = warmup};
      break;
    case Kind::linear:
      recipe.schedule = {.kind = ScheduleKind::linear, .warmup = warmup};
      break;
    case Kind::budgeted:
      recipe.schedule = {.kind = ScheduleKind::linear, .warmup = warmup};
      recipe.optimizer.learning_rate =
          budgeted_rate(max_rate, pruned.norm_drop, pruned.fraction,
                        static_cast<double>(retraining.epochs) / static_cast<double>(dense.epochs));
      break;
  }
  return recipe;
}

}  // namespace amalgam::learning
