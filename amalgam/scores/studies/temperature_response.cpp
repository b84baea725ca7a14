#include "amalgam/scores/studies/temperature_response.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/tail_probabilities.hpp"

namespace amalgam::scores {
namespace {

double logit(double p) { return portable_log(p) - portable_log(1 - p); }

struct WeightedPoint {
  double x = 0;  // 1 / T
  double y = 0;
  double weight = 0;
};

TestResult misfit_of(std::span<const WeightedPoint> points, double slope, double offset,
                     std::size_t parameters) {
  if (points.size() <= parameters) return undefined_test();
  double sum = 0;
  for (const WeightedPoint& point : points) {
    const double apart = point.y - slope * point.x - offset;
    sum += point.weight * apart * apart;
  }
  const auto degrees = static_cast<double>(points.size() - parameters);
  return {.statistic = sum, .degrees = degrees, .p = chi_squared_above(sum, degrees)};
}

}  // namespace

double yes_at_temperature(double yes, double temperature) {
  if (!(yes >= 0 && yes <= 1)) throw InputError("a share of {}; expected one from 0 to 1", yes);
  if (!(temperature >= 0)) {
    throw InputError("temperature {}; expected one of at least 0", temperature);
  }
  if (yes == 0.5 || yes <= 0 || yes >= 1) return yes;
  if (temperature <= 0) return yes > 0.5 ? 1 : 0;
  return portable_logistic(logit(yes) / temperature);
}

double temperature_for(double yes, double wanted) {
  const double ratio = logit(yes) / logit(wanted);
  return std::isfinite(ratio) && ratio > 0 ? ratio : std::numeric_limits<double>::quiet_NaN();
}

TemperatureFit fit_temperature(std::span<const TemperaturePoint> points) {
  TemperatureFit fit;
  std::vector<WeightedPoint> weighted;
  for (const TemperaturePoint& point : points) {
    if (!(point.temperature > 0 && std::isfinite(point.temperature))) {
      throw InputError("temperature {}; expected a positive one to fit a response",
                       point.temperature);
    }
    if (point.yes.trials == 0) {
      throw InputError("no answers at temperature {}", point.temperature);
    }
    const auto n = static_cast<double>(point.yes.trials);
    const auto k = static_cast<double>(point.yes.successes);
    const double p = std::clamp(k, 0.5, n - 0.5) / n;
    weighted.push_back({1 / point.temperature, logit(p), n * p * (1 - p)});
    fit.logits.push_back(weighted.back().y);
  }
  double w = 0;
  double x = 0;
  double y = 0;
  for (const WeightedPoint& point : weighted) {
    w += point.weight;
    x += point.weight * point.x;
    y += point.weight * point.y;
  }
  double xx = 0;
  double xy = 0;
  double raw_xx = 0;
  double raw_xy = 0;
  for (const WeightedPoint& point : weighted) {
    xx += point.weight * (point.x - x / w) * (point.x - x / w);
    xy += point.weight * (point.x - x / w) * (point.y - y / w);
    raw_xx += point.weight * point.x * point.x;
    raw_xy += point.weight * point.x * point.y;
  }
  if (!(xx > 1e-12 * raw_xx)) {
    throw InputError("a temperature response needs two different temperatures above 0");
  }
  fit.slope = xy / xx;
  fit.offset = (y - fit.slope * x) / w;
  fit.slope_error = std::sqrt(1 / xx);
  fit.offset_error = std::sqrt(1 / w + x / w * (x / w) / xx);
  const double z = fit.offset / fit.offset_error;
  fit.offset_test = {.statistic = z, .p = normal_two_sided(z)};
  fit.misfit = misfit_of(weighted, fit.slope, fit.offset, 2);
  fit.softmax_slope = raw_xy / raw_xx;
  fit.softmax_misfit = misfit_of(weighted, fit.softmax_slope, 0, 1);
  return fit;
}

}  // namespace amalgam::scores
