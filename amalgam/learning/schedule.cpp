#include "amalgam/learning/schedule.hpp"

#include <cmath>
#include <numbers>

namespace amalgam::learning {

double schedule_factor(const ScheduleOptions& schedule, std::uint64_t step, std::uint64_t steps) {
  if (schedule.total > 0) {
    step += schedule.first;
    steps = schedule.total;
  }
  if (step < schedule.warmup) {
    return static_cast<double>(step + 1) / static_cast<double>(schedule.warmup + 1);
  }
  const double t =
      static_cast<double>(step - schedule.warmup) / static_cast<double>(steps - schedule.warmup);
  switch (schedule.kind) {
    case ScheduleOptions::Kind::constant:
      return 1.0;
    case ScheduleOptions::Kind::linear:
      return 1.0 - t;
    case ScheduleOptions::Kind::cosine:
      return (1.0 + std::cos(std::numbers::pi * t)) / 2.0;
  }
  return 1.0;
}

}  // namespace amalgam::learning
