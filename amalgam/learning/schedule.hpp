#pragma once

#include <cstdint>

#include "amalgam/learning/recipe.hpp"

namespace amalgam::learning {

/// The learning rate of step `step` (from 0) of `steps`, as a share of the highest. Warm-up: (step
/// + 1) / (warmup + 1). After it, with t the share of the remaining steps already done: 1
/// (constant), 1 - t (linear), (1 + cos(pi t)) / 2 (cosine). If the run is part of a longer one,
/// step `schedule.first` + `step` of `schedule.total`.
///
/// wsd (Hu et al. 2024): 1 after the warm-up, but with u the share already done of the last `decay`
/// of all steps, floor + (1 - floor) * (1 - u), (1 - sqrt(u)) or (1 + cos(pi u)) / 2, or floor^u
/// (exponential: it halves every log(2) / log(1 / floor) of the decay).
double schedule_factor(const ScheduleOptions& schedule, std::uint64_t step, std::uint64_t steps);

/// InputError if the stages of the schedule do not fit into a run of `steps` steps.
void check_schedule(const ScheduleOptions& schedule, std::uint64_t steps);

}  // namespace amalgam::learning
