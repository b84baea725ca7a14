#pragma once

#include <cstdint>

#include "amalgam/learning/recipe.hpp"

namespace amalgam::learning {

/// The learning rate of step `step` (from 0) of `steps`, as a share of the highest. Warm-up: (step
/// + 1) / (warmup + 1). After it, with t the share of the remaining steps already done: 1
/// (constant), 1 - t (linear), (1 + cos(pi t)) / 2 (cosine). If the run is part of a longer one,
/// step `schedule.first` + `step` of `schedule.total`.
double schedule_factor(const ScheduleOptions& schedule, std::uint64_t step, std::uint64_t steps);

}  // namespace amalgam::learning
