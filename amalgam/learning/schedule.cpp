#include "amalgam/learning/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "amalgam/core/error.hpp"

namespace amalgam::learning {
namespace {

// The steps of the decay at the end of a run of `steps`: at least one, if there is any.
std::uint64_t decay_steps(const ScheduleOptions& schedule, std::uint64_t steps) {
  const double wanted = std::round(schedule.decay * static_cast<double>(steps));
  const auto count = std::min(static_cast<std::uint64_t>(wanted), steps);
  return schedule.decay > 0 ? std::max<std::uint64_t>(count, 1) : 0;
}

double decay_factor(const ScheduleOptions& schedule, double u) {
  const auto above_floor = [&](double share) {
    return schedule.floor + (1.0 - schedule.floor) * share;
  };
  switch (schedule.form) {
    case ScheduleOptions::Decay::linear:
      return above_floor(1.0 - u);
    case ScheduleOptions::Decay::sqrt:
      return above_floor(1.0 - std::sqrt(u));
    case ScheduleOptions::Decay::cosine:
      return above_floor((1.0 + std::cos(std::numbers::pi * u)) / 2.0);
    case ScheduleOptions::Decay::exponential:
      return std::pow(schedule.floor, u);
  }
  return 1.0;
}

}  // namespace

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
    case ScheduleOptions::Kind::wsd: {
      const std::uint64_t length = decay_steps(schedule, steps);
      const std::uint64_t begin = steps - length;
      if (step < begin) return 1.0;
      return decay_factor(schedule,
                          static_cast<double>(step - begin) / static_cast<double>(length));
    }
  }
  return 1.0;
}

void check_schedule(const ScheduleOptions& schedule, std::uint64_t steps) {
  if (schedule.kind != ScheduleOptions::Kind::wsd) return;
  if (schedule.total > 0) steps = schedule.total;
  const std::uint64_t length = decay_steps(schedule, steps);
  if (schedule.warmup + length > steps) {
    throw InputError(
        "schedule: a warm-up of {} steps and a decay over the last {} do not fit into {} steps",
        schedule.warmup, length, steps);
  }
}

}  // namespace amalgam::learning
