#include "amalgam/weights/learned/soup_diagnostics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "amalgam/core/error.hpp"
#include "amalgam/weights/learned/coefficients.hpp"

namespace amalgam::learned {
namespace {

double squared_norm(const NamedTensors& tensors) {
  double sum = 0;
  for (const auto& [name, tensor] : tensors) {
    if (tensor.is_floating_point()) sum += tensor.to(torch::kDouble).square().sum().item<double>();
  }
  return sum;
}

double product(const NamedTensors& a, const NamedTensors& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!a[i].second.is_floating_point()) continue;
    sum += (a[i].second.to(torch::kDouble) * b[i].second.to(torch::kDouble)).sum().item<double>();
  }
  return sum;
}

double cross_entropy(const torch::Tensor& logits, const torch::Tensor& labels) {
  return torch::nn::functional::cross_entropy(logits, labels).item<double>();
}

}  // namespace

WeightGeometry weight_geometry(const NamedTensors& first, const NamedTensors& second,
                               const NamedTensors& base) {
  const torch::NoGradGuard no_grad;
  WeightGeometry geometry;
  geometry.distance = std::sqrt(squared_norm(subtract(first, second)));
  const double norms = std::sqrt(squared_norm(first)) + std::sqrt(squared_norm(second));
  geometry.relative_distance = norms > 0 ? 2 * geometry.distance / norms : 0;
  const NamedTensors a = subtract(first, base);
  const NamedTensors b = subtract(second, base);
  const double lengths = std::sqrt(squared_norm(a) * squared_norm(b));
  geometry.angle = lengths > 0 ? std::acos(std::clamp(product(a, b) / lengths, -1.0, 1.0)) * 180 /
                                     std::numbers::pi
                               : std::numeric_limits<double>::quiet_NaN();
  return geometry;
}

SoupVersusEnsemble soup_versus_ensemble(const std::function<torch::Tensor(double alpha)>& logits,
                                        const torch::Tensor& labels,
                                        const SoupVersusEnsembleOptions& options) {
  const double alpha = options.alpha;
  const double beta = options.inverse_temperature;
  const bool fits = alpha > 0 && alpha < 1 && beta > 0 && std::isfinite(beta) && options.step > 0;
  if (!fits) {
    throw InputError(
        "soup and ensemble: alpha {}, inverse temperature {}, step {}; expected alpha in (0, 1) and"
        " the others above 0",
        alpha, beta, options.step);
  }
  const torch::NoGradGuard no_grad;
  const auto at = [&](double where) { return logits(where).to(torch::kDouble); };
  const torch::Tensor middle = at(alpha);
  if (middle.dim() != 2 || labels.dim() != 1 || middle.size(0) != labels.size(0) ||
      labels.size(0) == 0) {
    throw InputError("soup and ensemble: {} labels do not fit the logits", labels.numel());
  }
  const double step = std::min({options.step, alpha, 1 - alpha});
  const auto loss_at = [&](double where) { return cross_entropy(beta * at(where), labels); };
  const torch::Tensor first = at(0);
  const torch::Tensor second = at(1);

  SoupVersusEnsemble result;
  result.soup_loss = cross_entropy(beta * middle, labels);
  result.ensemble_loss = cross_entropy(beta * ((1 - alpha) * first + alpha * second), labels);
  result.curvature =
      (loss_at(alpha + step) - 2 * result.soup_loss + loss_at(alpha - step)) / (step * step);
  const torch::Tensor change = second - first;
  const torch::Tensor shares = torch::softmax(beta * middle, 1);
  const torch::Tensor mean = (shares * change).sum(1, /*keepdim=*/true);
  result.variance = (shares * (change - mean).square()).sum(1).mean().item<double>();
  result.predicted = alpha * (1 - alpha) / 2 * (-result.curvature + beta * beta * result.variance);
  return result;
}

}  // namespace amalgam::learned
