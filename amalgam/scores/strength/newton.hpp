#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace amalgam::scores {

/// The slope of a log-likelihood at a point, and minus its matrix of second derivatives.
struct Curvature {
  std::vector<double> gradient;     ///< [parameters]
  std::vector<double> information;  ///< [parameters, parameters], symmetric

  explicit Curvature(std::size_t parameters)
      : gradient(parameters), information(parameters * parameters) {}
  void clear();
};

struct NewtonOptions {
  std::size_t iterations = 200;
  /// The step at which the loop ends, in the largest component. Convergence is quadratic: what is
  /// left after that step is about its square.
  double tolerance = 1e-6;
  /// No component moves by more in one iteration. Within 2, the curvature of a logistic likelihood
  /// changes so little that a step which does not turn the slope around cannot lower it.
  double longest_step = 2;
};

struct NewtonResult {
  std::size_t iterations = 0;
  bool converged = false;
};

/// Moves `point` to the maximum of a concave function by Newton's method with step halving. The
/// first `shiftable` parameters matter only by their differences: their mean stays as it is.
/// `curvature` fills (and need not clear) a Curvature at a point; `allowed(point)` may forbid
/// points. InputError if the function is so flat that it has no single maximum to within rounding.
NewtonResult maximise(std::vector<double>& point, std::size_t shiftable,
                      const std::function<void(std::span<const double>, Curvature&)>& curvature,
                      const NewtonOptions& options = {},
                      const std::function<bool(std::span<const double>)>& allowed = {});

/// The inverse of an information matrix [parameters, parameters] on the space in which the first
/// `shiftable` parameters have mean 0 (with none else: its pseudo-inverse). InputError as maximise.
std::vector<double> covariance_of(std::vector<double> information, std::size_t parameters,
                                  std::size_t shiftable);

}  // namespace amalgam::scores
