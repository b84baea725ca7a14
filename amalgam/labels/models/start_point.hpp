#pragma once

#include <span>
#include <string>
#include <vector>

#include "amalgam/labels/label_model.hpp"

/// How methods that go on from where a fit stands read and write that point.
namespace amalgam::labels::models {

/// What numbers of a point may be.
struct StartNumbers {
  const char* name;
  std::size_t columns = 1;
  double low = 0;
  double high = 1;
};

/// Puts the numbers of the workers in place of `values` [workers, columns], but those of rows that
/// are NaN. InputError if there are none of this name and shape, or one is not within [low, high].
void take_of_workers(const FitPoint& point, const StartNumbers& numbers, std::span<double> values);
/// The same of the tasks.
void take_of_tasks(const FitPoint& point, const StartNumbers& numbers, std::span<double> values);

/// The values within [-most, most], as a point holds them: enormous weights may lead beyond.
std::vector<double> clamped(std::vector<double> values, double most);

}  // namespace amalgam::labels::models
