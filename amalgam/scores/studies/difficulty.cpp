#include "amalgam/scores/studies/difficulty.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam::scores {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLn2 = std::numbers::ln2;

// What Stirling's series adds to (x - 1/2) ln x - x + ln(2 pi) / 2.
double stirling_rest(double x) {
  const double r = 1.0 / (x * x);
  return (1.0 / 12 - r * (1.0 / 360 - r * (1.0 / 1260 - r * (1.0 / 1680 - r / 1188)))) / x;
}

// ln Gamma(x + m) - ln Gamma(x) for x >= 1: as a difference of two logarithms it would lose the
// digits that large x has in common.
double log_rising(double x, double m) {
  const double whole = std::floor(m);
  const double fraction = m - whole;
  double sum = 0;
  for (double j = 0; j < whole; ++j) sum += portable_log(x + j);
  if (fraction == 0) return sum;
  double low = x + whole;
  while (low < 12) {  // Gamma(y + f) / Gamma(y) = Gamma(y + 1 + f) / Gamma(y + 1) * y / (y + f)
    sum += portable_log(low / (low + fraction));
    low += 1;
  }
  return sum + (low - 0.5) * std::log1p(fraction / low) + fraction * portable_log(low + fraction) -
         fraction + (stirling_rest(low + fraction) - stirling_rest(low));
}

void check(const char* what, double value, double least, double most) {
  if (!(value >= least) || !(value <= most)) {
    throw InputError("difficulty: the {} is {}; expected a number from {} to {}", what, value,
                     least, most);
  }
}

void check_above_zero(const char* what, double value) {
  if (!(value > 0) || !std::isfinite(value)) {
    throw InputError("difficulty: the {} is {}; expected a finite number above 0", what, value);
  }
}

void check_common(double log_examples, double dimension, double resolution, double error) {
  if (!(log_examples >= 0) || !std::isfinite(log_examples)) {
    throw InputError("difficulty: fewer than one training example");
  }
  check("dimension", dimension, 1, kMostDimensions);
  check_above_zero("resolution", resolution);
  if (!(error > 0) || !(error < 1)) {
    throw InputError("difficulty: the error is {}; expected a number above 0 and below 1", error);
  }
}

// ln(e^a - e^b); -infinity unless a > b.
double log_difference(double a, double b) {
  return a > b ? a + std::log1p(-portable_exp(b - a)) : -kInfinity;
}

// Fills in the flags and the bits.
void conclude(Difficulty& result) {
  result.over_determined = result.log_consistent == -kInfinity;
  result.everything_general = result.log2_ratio <= 0;
  if (result.over_determined || result.everything_general) {
    result.log10_bits = -kInfinity;
    return;
  }
  const double log_bits = result.log_consistent + portable_log(result.log2_ratio);
  result.log10_bits = log_bits / std::numbers::ln10;
  result.bits = result.log10_bits < 300 ? portable_exp(log_bits) : kInfinity;
}

}  // namespace

double harmonic_degree(double dimension, double frequency) {
  const double m = dimension - 1;
  // 2 M^2 / (sqrt(m^2 + 4 M^2) + m), which does not cancel where M is small; scaled by M so that
  // nothing overflows.
  const double relative = m / frequency;
  return 2 * frequency / (std::sqrt(relative * relative + 4) + relative);
}

double log_harmonics(double dimension, double degree) {
  // The second binomial is K / (m + K) of the first.
  return log_rising(degree + 1, dimension) - portable_log_gamma(dimension + 1) +
         portable_log((dimension + 2 * degree) / (dimension + degree));
}

SphereTask classification_task(double examples, double dimension, double radius, double resolution,
                               double classes) {
  if (!(examples >= 1) || !std::isfinite(examples)) {
    throw InputError("difficulty: {} training examples; expected 1 or more", examples);
  }
  check("number of classes", classes, 2, 1e15);
  return {.log_examples = portable_log(examples),
          .dimension = dimension,
          .radius = radius,
          .resolution = resolution,
          .combinations = classes,
          .log_outputs = portable_log(classes - 1),
          .bound = 1};
}

SphereTask shown_together(const SphereTask& task, const SphereTask& other) {
  SphereTask both = task;
  both.log_examples += other.log_examples;
  both.dimension += other.dimension;
  both.radius = std::hypot(task.radius, other.radius);
  both.combinations *= other.combinations;
  return both;
}

SphereTask sphere_task(const FewShotTask& task) {
  check("number of ways", task.ways, 2, 1e6);
  check("dimension within a family", task.dimension_within, 1, kMostDimensions);
  check_above_zero("radius", task.radius);
  check_above_zero("resolution", task.resolution);
  const double frequency = 2 * std::numbers::pi * task.radius / task.resolution;
  const double within =
      log_harmonics(task.dimension_within, harmonic_degree(task.dimension_within, frequency));
  const double pairs = task.ways * (task.ways - 1);
  return {.log_examples = task.log_examples,
          .dimension = task.dimension_across + (task.ways - 1) * task.dimension_within,
          .radius = task.radius * std::sqrt(task.ways),
          .resolution = task.resolution,
          .combinations = 1,
          .log_outputs = portable_log(2 * pairs) + within,
          .bound = std::sqrt(pairs)};
}

double few_shot_log_examples(std::span<const std::uint64_t> classes_per_family, std::uint64_t ways,
                             double images_per_class) {
  if (classes_per_family.empty()) throw InputError("difficulty: no family of classes");
  check_above_zero("number of images per class", images_per_class);
  const auto k = static_cast<double>(ways);
  double largest = -kInfinity;
  double sum = 0;  // of e^(term - largest)
  for (const std::uint64_t classes : classes_per_family) {
    const double rest = static_cast<double>(std::max(classes, ways) - ways);
    const double term = log_rising(rest + 1, k) - portable_log_gamma(k + 1);
    if (term > largest) {
      sum = sum * portable_exp(largest - term) + 1;
      largest = term;
    } else {
      sum += portable_exp(term - largest);
    }
  }
  return largest + portable_log(sum) + k * portable_log(images_per_class);
}

Difficulty difficulty(const SphereTask& task, double error) {
  check_common(task.log_examples, task.dimension, task.resolution, error);
  check_above_zero("radius", task.radius);
  check("number of combinations of discrete features", task.combinations, 1, 1e300);
  check_above_zero("bound of the output", task.bound);
  if (!(task.log_outputs >= 0) || !std::isfinite(task.log_outputs)) {
    throw InputError("difficulty: fewer than one output");
  }
  const double m = task.dimension;
  const double log_combinations = portable_log(task.combinations);
  Difficulty result{.error = error};
  result.frequency = 2 * std::numbers::pi * (task.radius / task.resolution);
  check_above_zero("ratio of radius and resolution", result.frequency);
  result.degree = harmonic_degree(m, result.frequency);
  result.log_functions = log_harmonics(m, result.degree);
  // dim = D (2 prod E), of which the examples determine n D.
  const double per_output = kLn2 + log_combinations + result.log_functions;
  result.log_dimensions = task.log_outputs + per_output;
  result.log_consistent = task.log_outputs + log_difference(per_output, task.log_examples);
  const double log_pi = portable_log(std::numbers::pi);
  result.log_distance =
      0.5 * portable_log(m / 6) +
      (kLn2 + (m + 1) / 2 * log_pi + log_combinations - portable_log_gamma((m + 1) / 2)) / m +
      portable_log(task.radius) - task.log_examples / m;
  const double log_lipschitz =
      portable_log(result.degree) + 0.5 * task.log_outputs - portable_log(task.radius);
  result.log2_ratio = (portable_log(task.bound) + 0.5 * task.log_outputs + 0.5 * log_combinations -
                       portable_log(error) + log_lipschitz + result.log_distance) /
                      kLn2;
  conclude(result);
  return result;
}

Difficulty difficulty(const TorusTask& task, double error) {
  check_common(task.log_examples, task.dimension, task.resolution, error);
  check("number of outputs", task.outputs, 1, 1e300);
  const double m = task.dimension;
  const double log_pi = portable_log(std::numbers::pi);
  Difficulty result{.error = error};
  result.frequency = 2 * std::numbers::pi / task.resolution;
  check_above_zero("frequency", result.frequency);
  result.degree = result.frequency;
  // Weyl's count: the volume of the ball of radius M in m dimensions.
  result.log_functions =
      m / 2 * log_pi - portable_log_gamma(m / 2 + 1) + m * portable_log(result.frequency);
  const double per_output = kLn2 + result.log_functions;
  const double log_outputs = portable_log(task.outputs);
  result.log_dimensions = log_outputs + per_output;
  result.log_consistent = log_outputs + log_difference(per_output, task.log_examples);
  result.log_distance = std::numeric_limits<double>::quiet_NaN();
  // log2(4 pi^2 / sqrt 6) + log2 D + log2(m) / 2 - log2 delta - log2(n) / m - log2 error.
  result.log2_ratio =
      (2 * kLn2 + 2 * log_pi - 0.5 * portable_log(6) + log_outputs + 0.5 * portable_log(m) -
       portable_log(task.resolution) - task.log_examples / m - portable_log(error)) /
      kLn2;
  conclude(result);
  return result;
}

}  // namespace amalgam::scores
