#include "amalgam/scores/studies/subpopulation_bootstrap.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/quantile.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/scores/studies/subpopulation_fits.hpp"

namespace amalgam::scores {

ModelClusters single_models(std::size_t models) {
  ModelClusters clusters(models);
  for (std::size_t i = 0; i < models; ++i) clusters[i] = {i};
  return clusters;
}

ModelClusters clusters_of(std::span<const std::string> values) {
  ModelClusters clusters;
  std::map<std::string, std::size_t, std::less<>> numbers;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto [found, added] = numbers.try_emplace(values[i], clusters.size());
    if (added) clusters.emplace_back();
    clusters[found->second].push_back(i);
  }
  return clusters;
}

std::vector<std::vector<double>> bootstrap_models(
    const ModelClusters& clusters, std::size_t models, std::size_t resamples, std::uint64_t seed,
    const Parallel& parallel,
    const std::function<std::vector<double>(std::span<const std::uint32_t> times)>& statistics) {
  if (clusters.size() < 2) {
    throw InputError("bootstrap over models: {} clusters; expected two or more", clusters.size());
  }
  std::vector<std::vector<double>> draws(resamples);
  constexpr std::size_t kChunk = 64;
  parallel_for(parallel, (resamples + kChunk - 1) / kChunk, [&](std::size_t chunk, std::size_t) {
    check_interrupt();
    RandomStream random(seed, fmt::format("bootstrap over models {}", chunk));
    std::vector<std::uint32_t> times(models);
    for (std::size_t r = chunk * kChunk; r < std::min(resamples, (chunk + 1) * kChunk); ++r) {
      std::ranges::fill(times, 0);
      for (std::size_t c = 0; c < clusters.size(); ++c) {
        for (const std::size_t model : clusters[random.below(clusters.size())]) ++times[model];
      }
      draws[r] = statistics(times);
    }
  });
  return draws;
}

std::optional<Interval> percentile_interval(const std::vector<std::vector<double>>& draws,
                                            std::size_t index) {
  std::vector<double> values;
  for (const auto& draw : draws) {
    if (!std::isnan(draw[index])) values.push_back(draw[index]);
  }
  if (values.empty() || 2 * values.size() < draws.size()) return std::nullopt;
  std::ranges::sort(values);
  return Interval{quantile_of_sorted(values, 0.025), quantile_of_sorted(values, 0.975)};
}

}  // namespace amalgam::scores
