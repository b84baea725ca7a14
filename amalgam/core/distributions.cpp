#include "amalgam/core/distributions.hpp"

#include <algorithm>
#include <cmath>

namespace amalgam {

double log_gamma_draw(double shape, RandomStream& random) {
  if (shape < 1) {
    // Gamma(a) = Gamma(a + 1) * U^(1 / a).
    const double raised = log_gamma_draw(shape + 1, random);
    return raised + std::log(1.0 - random.uniform()) / shape;
  }
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  while (true) {
    const double normal = random.normal();
    const double cube = std::pow(1.0 + c * normal, 3);
    if (cube <= 0) continue;
    const double u = 1.0 - random.uniform();
    if (std::log(u) < 0.5 * normal * normal + d - d * cube + d * std::log(cube)) {
      return std::log(d) + std::log(cube);
    }
  }
}

double beta_draw(double a, RandomStream& random) {
  const double x = log_gamma_draw(a, random);
  const double y = log_gamma_draw(a, random);
  return 1.0 / (1.0 + std::exp(y - x));
}

std::vector<double> dirichlet_draw(double alpha, std::size_t count, RandomStream& random) {
  std::vector<double> shares(count);
  for (double& share : shares) share = log_gamma_draw(alpha, random);
  const double largest = *std::max_element(shares.begin(), shares.end());
  double sum = 0;
  for (double& share : shares) {
    share = std::exp(share - largest);
    sum += share;
  }
  for (double& share : shares) share /= sum;
  return shares;
}

}  // namespace amalgam
