#pragma once

#include <cmath>
#include <span>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/random.hpp"

/// Draws that are the same bits on every processor (those of core/distributions.hpp use the C
/// library's functions).
namespace amalgam::labels::models {

/// A standard normal (Marsaglia's polar method; the second of each pair is not used).
inline double portable_normal(RandomStream& random) {
  while (true) {
    const double x = 2 * random.uniform() - 1;
    const double y = 2 * random.uniform() - 1;
    const double square = x * x + y * y;
    if (square >= 1 || square == 0) continue;
    return x * std::sqrt(-2 * portable_log(square) / square);
  }
}

/// The logarithm of a draw from Gamma(shape, 1), shape > 0 (Marsaglia and Tsang 2000).
inline double portable_log_gamma_draw(double shape, RandomStream& random) {
  // Gamma(a) = Gamma(a + 1) * U^(1 / a).
  double raised = 0;
  if (shape < 1) {
    raised = portable_log(1.0 - random.uniform()) / shape;
    shape += 1;
  }
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  while (true) {
    const double normal = portable_normal(random);
    const double root = 1.0 + c * normal;
    if (root <= 0) continue;
    const double cube = root * root * root;
    const double log_cube = portable_log(cube);
    const double u = 1.0 - random.uniform();
    if (portable_log(u) < 0.5 * normal * normal + d - d * cube + d * log_cube) {
      return raised + portable_log(d) + log_cube;
    }
  }
}

/// The logarithms of a draw from Dirichlet(shapes), in their place.
inline void log_dirichlet_draw(std::span<double> shapes, RandomStream& random) {
  double most = -std::numeric_limits<double>::infinity();
  for (double& shape : shapes) {
    shape = portable_log_gamma_draw(shape, random);
    most = shape > most ? shape : most;
  }
  double sum = 0;
  for (const double log : shapes) sum += portable_exp(log - most);
  const double all = most + portable_log(sum);
  for (double& log : shapes) log -= all;
}

}  // namespace amalgam::labels::models
