#include "amalgam/scores/strength/newton.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"

namespace amalgam::scores {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Blocks of products must not depend on the processor's caches: they decide the order of sums.
void fix_block_sizes() {
  static const bool kDone = [] {
    Eigen::setCpuCacheSizes(32 << 10, 256 << 10, 2 << 20);
    return true;
  }();
  (void)kDone;
}

// Fills the direction of common shifts, in which the information is 0, with its mean elsewhere, so
// that the matrix can be factored; solutions for gradients without a shift do not change. Returns
// what was added to each entry.
double fill_shift(std::vector<double>& information, std::size_t parameters, std::size_t shiftable) {
  if (shiftable == 0) return 0;
  double trace = 0;
  for (std::size_t i = 0; i < shiftable; ++i) trace += information[i * parameters + i];
  const double each = trace / static_cast<double>(shiftable * shiftable);
  for (std::size_t i = 0; i < shiftable; ++i) {
    for (std::size_t j = 0; j < shiftable; ++j) information[i * parameters + j] += each;
  }
  return each;
}

Eigen::LLT<Matrix> factored(std::vector<double>& information, std::size_t parameters) {
  fix_block_sizes();
  const auto size = static_cast<Eigen::Index>(parameters);
  Eigen::LLT<Matrix> factor(Eigen::Map<Matrix>(information.data(), size, size));
  if (factor.info() != Eigen::Success) {
    throw InputError(
        "the comparisons do not determine all parameters to within rounding: some strengths are "
        "too far apart or depend on too few votes (or a covariate on others); set alpha above 0 "
        "to add pseudo-votes");
  }
  return factor;
}

void centre(std::span<double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  for (double& value : values) value -= sum / static_cast<double>(values.size());
}

double dot(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

double largest(std::span<const double> values) {
  double most = 0;
  for (const double value : values) most = std::max(most, std::abs(value));
  return most;
}

std::vector<double> moved(std::span<const double> point, std::span<const double> step,
                          double length) {
  std::vector<double> result(point.begin(), point.end());
  for (std::size_t i = 0; i < result.size(); ++i) result[i] += length * step[i];
  return result;
}

}  // namespace

void Curvature::clear() {
  std::ranges::fill(gradient, 0.0);
  std::ranges::fill(information, 0.0);
}

NewtonResult maximise(std::vector<double>& point, std::size_t shiftable,
                      const std::function<void(std::span<const double>, Curvature&)>& curvature,
                      const NewtonOptions& options,
                      const std::function<bool(std::span<const double>)>& allowed) {
  const std::size_t parameters = point.size();
  Curvature here(parameters);
  Curvature there(parameters);
  curvature(point, here);
  NewtonResult result;
  std::vector<double> step(parameters);
  while (result.iterations < options.iterations) {
    check_interrupt();
    ++result.iterations;
    fill_shift(here.information, parameters, shiftable);
    const Eigen::LLT<Matrix> factor = factored(here.information, parameters);
    const auto size = static_cast<Eigen::Index>(parameters);
    Eigen::Map<Eigen::VectorXd>(step.data(), size) =
        factor.solve(Eigen::Map<const Eigen::VectorXd>(here.gradient.data(), size));
    if (shiftable > 0) centre(std::span(step).first(shiftable));
    const double longest = largest(step);
    if (!std::isfinite(longest)) throw Error("a Newton step is not finite");

    double length = std::min(1.0, options.longest_step / longest);
    const double slope = dot(here.gradient, step);
    std::vector<double> next;
    while (true) {
      next = moved(point, step, length);
      if (!allowed || allowed(next)) {
        if (longest <= options.tolerance) {
          point = std::move(next);
          result.converged = true;
          return result;
        }
        curvature(next, there);
        // A quarter of the slope in the other direction: beyond the summit, but not far.
        if (dot(there.gradient, step) >= -0.25 * slope) break;
      }
      length *= 0.5;
      if (length < 1e-12) return result;
    }
    point = std::move(next);
    std::swap(here, there);
  }
  return result;
}

std::vector<double> covariance_of(std::vector<double> information, std::size_t parameters,
                                  std::size_t shiftable) {
  const double added = fill_shift(information, parameters, shiftable);
  const Eigen::LLT<Matrix> factor = factored(information, parameters);
  const auto size = static_cast<Eigen::Index>(parameters);
  std::vector<double> covariance(information.size());
  Eigen::Map<Matrix> inverse(covariance.data(), size, size);
  inverse = factor.solve(Matrix::Identity(size, size));
  // What was filled in was `added` * shiftable along the unit vector of shifts.
  if (shiftable > 0) {
    const auto count = static_cast<double>(shiftable);
    for (std::size_t i = 0; i < shiftable; ++i) {
      for (std::size_t j = 0; j < shiftable; ++j) {
        covariance[i * parameters + j] -= 1 / (added * count * count);
      }
    }
  }
  return covariance;
}

}  // namespace amalgam::scores
