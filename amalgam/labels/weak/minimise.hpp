#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace amalgam::labels {

struct MinimiseOptions {
  std::size_t iterations = 500;
  double gradient_tolerance = 1e-6;  ///< of the largest absolute entry
  std::size_t memory = 10;           ///< pairs of steps and changes of the gradient that are kept
};

/// Where a smooth convex function is smallest, from `start`, by the limited-memory BFGS method with
/// backtracking (Liu and Nocedal 1989). `objective` returns the value and fills the gradient.
std::vector<double> minimise(
    const std::function<double(std::span<const double> at, std::span<double> gradient)>& objective,
    std::vector<double> start, const MinimiseOptions& options = {});

}  // namespace amalgam::labels
