#include "amalgam/labels/bags/privacy.hpp"

#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"

namespace amalgam::labels {
namespace {

constexpr double kMostEpsilon = 100;
constexpr double kMostBound = 1e250;
constexpr std::size_t kLargestBag = std::size_t{1} << 20U;
// The noise's scale in steps of the grid is 2 to this, or up to twice as many. The bound has at
// most 100 (by epsilon) or 1000 (by delta) times as many steps, so sums of the largest bag fit.
constexpr int kLaplaceSteps = 30;
constexpr int kGaussianSteps = 25;
// Discrete noise of a large deviation is private as continuous noise is, but for its steps.
constexpr double kDiscreteMargin = 1 + 1e-6;

void check_epsilon(double epsilon) {
  if (!(epsilon > 0) || epsilon > kMostEpsilon) {
    throw InputError("epsilon is {}; expected a number above 0, at most {}", epsilon, kMostEpsilon);
  }
}

void check_delta(double delta) {
  if (!(delta > 0 && delta < 1)) {
    throw InputError("delta is {}; Gaussian noise needs a number between 0 and 1", delta);
  }
}

double upper_tail(double x) { return 0.5 * std::erfc(x / std::sqrt(2.0)); }

// By how much one response may move a bag's sum.
double sensitivity_of(const PrivacyOptions& options, double bound) {
  return options.neighbours == Neighbours::replace ? 2 * bound : bound;
}

// How a release counts: everything in whole steps of the grid.
struct Grid {
  double step = 0;
  std::int64_t bound = 0;
  std::int64_t sensitivity = 0;
  std::int64_t scale = 0;
};

Grid make_grid(const PrivacyOptions& options) {
  const bool laplace = options.mechanism == Mechanism::laplace;
  const double sensitivity = sensitivity_of(options, options.bound);
  const double scale = noise_scale(options);
  Grid grid;
  grid.step = std::ldexp(1.0, std::ilogb(scale) - (laplace ? kLaplaceSteps : kGaussianSteps));
  if (!std::isnormal(grid.step)) {
    throw InputError("responses clipped at {} are too small to be released; use other units",
                     options.bound);
  }
  grid.bound = static_cast<std::int64_t>(std::floor(options.bound / grid.step));
  if (grid.bound < 1) {
    throw InputError(
        "epsilon {} is so small that the noise hides everything: expected at least about 1e-8",
        options.epsilon);
  }
  grid.sensitivity =
      static_cast<std::int64_t>(sensitivity_of(options, static_cast<double>(grid.bound)));
  grid.scale = static_cast<std::int64_t>(
      std::ceil(static_cast<double>(grid.sensitivity) * (scale / sensitivity) *
                (laplace ? 1.0 : kDiscreteMargin)));
  // One step covers the rounding of the product above.
  ++grid.scale;
  return grid;
}

}  // namespace

std::string_view mechanism_name(Mechanism mechanism) {
  switch (mechanism) {
    case Mechanism::laplace:
      return "laplace";
    case Mechanism::gaussian:
      return "gaussian";
    case Mechanism::analytic_gaussian:
      return "analytic-gaussian";
  }
  throw Error("an unknown mechanism");
}

std::string_view neighbours_name(Neighbours neighbours) {
  return neighbours == Neighbours::replace ? "replace" : "zero";
}

void check_privacy(const PrivacyOptions& options) {
  check_epsilon(options.epsilon);
  if (!(options.bound > 0 && options.bound <= kMostBound)) {
    throw InputError("responses are clipped at {}; expected a number above 0, at most {}",
                     options.bound, kMostBound);
  }
  if (options.mechanism == Mechanism::laplace) {
    if (options.delta != 0) {
      throw InputError("Laplace noise has no delta, but {} was given; leave it out", options.delta);
    }
    return;
  }
  check_delta(options.delta);
  if (options.mechanism == Mechanism::gaussian && options.epsilon > 1) {
    throw InputError(
        "the classical Gaussian mechanism is for epsilon <= 1, not {}; use analytic-gaussian",
        options.epsilon);
  }
}

double clip_bound(double constant, std::uint64_t rows) {
  if (!std::isfinite(constant) || constant <= 0) {
    throw InputError("the clip constant C is {}; expected a finite number above 0", constant);
  }
  if (rows < 2) throw InputError("the bound C sqrt(log n) needs at least 2 rows, not {}", rows);
  return constant * std::sqrt(std::log(static_cast<double>(rows)));
}

double classical_gaussian_deviation(double epsilon, double delta) {
  check_epsilon(epsilon);
  check_delta(delta);
  if (epsilon > 1) {
    throw InputError("the classical Gaussian mechanism is for epsilon <= 1, not {}", epsilon);
  }
  return std::sqrt(2 * std::log(1.25 / delta)) / epsilon;
}

double gaussian_delta(double epsilon, double deviation) {
  const double half = 0.5 / deviation;
  const double shift = epsilon * deviation;
  return upper_tail(shift - half) - std::exp(epsilon) * upper_tail(shift + half);
}

double analytic_gaussian_deviation(double epsilon, double delta) {
  check_epsilon(epsilon);
  check_delta(delta);
  // delta falls as the deviation grows; bisection over its logarithm, ending on the private side.
  double low = std::log(1e-3);
  double high = std::log(1e-3);
  while (gaussian_delta(epsilon, std::exp(high)) > delta) {
    high += 1;
    if (high > 60) throw InputError("epsilon {} and delta {} are too small", epsilon, delta);
  }
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    (gaussian_delta(epsilon, std::exp(middle)) > delta ? low : high) = middle;
  }
  return std::exp(high);
}

double noise_scale(const PrivacyOptions& options) {
  check_privacy(options);
  const double sensitivity = sensitivity_of(options, options.bound);
  switch (options.mechanism) {
    case Mechanism::laplace:
      return sensitivity / options.epsilon;
    case Mechanism::gaussian:
      return sensitivity * classical_gaussian_deviation(options.epsilon, options.delta);
    case Mechanism::analytic_gaussian:
      return sensitivity * analytic_gaussian_deviation(options.epsilon, options.delta);
  }
  throw Error("an unknown mechanism");
}

AddedNoise added_noise(const PrivacyOptions& options) {
  const double scale = noise_scale(options);
  return {options.mechanism == Mechanism::laplace ? 2 * scale * scale : scale * scale};
}

PrivateRelease release_bags(const Bags& bags, std::span<const double> responses,
                            const PrivacyOptions& options, RandomBits& bits) {
  const Grid grid = make_grid(options);
  if (responses.size() != bags.row_count() || bags.count() == 0) {
    throw InputError("{} responses for {} rows in {} bags; expected one for each row",
                     responses.size(), bags.row_count(), bags.count());
  }
  if (bags.largest() > kLargestBag) {
    throw InputError("a bag has {} rows; expected at most {}", bags.largest(), kLargestBag);
  }
  PrivateRelease release;
  for (std::size_t bag = 0; bag < bags.count(); ++bag) {
    std::int64_t sum = 0;
    for (const std::size_t row : bags.rows_of(bag)) {
      if (!std::isfinite(responses[row])) {
        throw InputError("the response of row {} is {}; expected a finite number", row,
                         responses[row]);
      }
      const double clipped = std::clamp(responses[row], -options.bound, options.bound);
      release.clipped += clipped != responses[row] ? 1 : 0;
      sum += std::clamp(std::llround(clipped / grid.step), static_cast<long long>(-grid.bound),
                        static_cast<long long>(grid.bound));
    }
    sum += options.mechanism == Mechanism::laplace ? discrete_laplace(grid.scale, bits)
                                                   : discrete_gaussian(grid.scale, bits);
    release.means.push_back(static_cast<double>(sum) * grid.step /
                            static_cast<double>(bags.size(bag)));
  }
  release.record = {.options = options,
                    .sensitivity = static_cast<double>(grid.sensitivity) * grid.step,
                    .scale = static_cast<double>(grid.scale) * grid.step,
                    .grid = grid.step,
                    .rows = bags.row_count(),
                    .bags = bags.count(),
                    .smallest_bag = bags.smallest(),
                    .largest_bag = bags.largest()};
  return release;
}

}  // namespace amalgam::labels
