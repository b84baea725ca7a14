#include "amalgam/core/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "amalgam/core/random.hpp"

namespace amalgam {

Interval wilson_interval(std::uint64_t successes, std::uint64_t trials, double z) {
  const auto n = static_cast<double>(trials);
  const double p = static_cast<double>(successes) / n;
  const double centre = p + z * z / (2 * n);
  const double reach = z * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  const double scale = 1 + z * z / n;
  return {std::max(0.0, (centre - reach) / scale), std::min(1.0, (centre + reach) / scale)};
}

MeanInterval mean_interval(std::span<const double> values, double z) {
  const auto n = static_cast<double>(values.size());
  double sum = 0;
  for (const double value : values) sum += value;
  const double mean = sum / n;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const double reach = z * std::sqrt(squares / (n - 1) / n);
  return {mean, {mean - reach, mean + reach}};
}

Interval bootstrap_interval(
    std::size_t count, std::size_t resamples, std::uint64_t seed,
    const std::function<double(std::span<const std::uint32_t> indices)>& statistic) {
  RandomStream random(seed, "bootstrap");
  std::vector<std::uint32_t> indices(count);
  std::vector<double> values(resamples);
  for (double& value : values) {
    // Multiplying 32 bits by the count leaves a bias below count / 2^32, far under the interval's
    // own accuracy.
    for (std::uint32_t& index : indices) {
      index = static_cast<std::uint32_t>((std::uint64_t{random.next()} * count) >> 32);
    }
    value = statistic(indices);
  }
  std::sort(values.begin(), values.end());
  const auto at = [&](double quantile) {
    return values[static_cast<std::size_t>(quantile * static_cast<double>(resamples - 1))];
  };
  return {at(0.025), at(0.975)};
}

}  // namespace amalgam
