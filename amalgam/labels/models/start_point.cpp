#include "amalgam/labels/models/start_point.hpp"

#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"

namespace amalgam::labels::models {
namespace {

void take(const FitPoint& point, const std::map<std::string, FitPoint::Numbers>& from,
          const StartNumbers& wanted, std::span<double> values) {
  const auto found = from.find(wanted.name);
  if (found == from.end()) {
    throw InputError("{}: it has no numbers '{}' to go on from", point.where, wanted.name);
  }
  const FitPoint::Numbers& numbers = found->second;
  if (numbers.columns != wanted.columns || numbers.values.size() != values.size()) {
    throw InputError("{}: it has {} numbers '{}' in {} columns; expected {} in {} columns",
                     point.where, numbers.values.size(), wanted.name, numbers.columns,
                     values.size(), wanted.columns);
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double value = numbers.values[i];
    if (std::isnan(value)) continue;
    if (!(value >= wanted.low && value <= wanted.high)) {
      throw InputError("{}: it has {} among its numbers '{}'; expected {} to {}", point.where,
                       value, wanted.name, wanted.low, wanted.high);
    }
    values[i] = value;
  }
}

}  // namespace

void take_of_workers(const FitPoint& point, const StartNumbers& numbers, std::span<double> values) {
  take(point, point.workers, numbers, values);
}

void take_of_tasks(const FitPoint& point, const StartNumbers& numbers, std::span<double> values) {
  take(point, point.tasks, numbers, values);
}

std::vector<double> clamped(std::vector<double> values, double most) {
  for (double& value : values) value = std::clamp(value, -most, most);
  return values;
}

}  // namespace amalgam::labels::models
