#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/core/statistics.hpp"

namespace amalgam::scores {

/// Models that are drawn together: [clusters] of model numbers, in the order of appearance.
using ModelClusters = std::vector<std::vector<std::size_t>>;

/// Each model by itself.
ModelClusters single_models(std::size_t models);
/// Models with equal values together.
ModelClusters clusters_of(std::span<const std::string> values);

/// Draws as many clusters as there are, with replacement, `resamples` times, and returns what
/// `statistics` says of each draw, [resamples][statistics]. It gets how often each of `models`
/// models was drawn, and is called from several threads. The same bits for any number of threads.
/// InputError for fewer than two clusters.
std::vector<std::vector<double>> bootstrap_models(
    const ModelClusters& clusters, std::size_t models, std::size_t resamples, std::uint64_t seed,
    const Parallel& parallel,
    const std::function<std::vector<double>(std::span<const std::uint32_t> times)>& statistics);

/// The 95 % percentile interval of statistic `index` over the draws in which it is a number;
/// nothing if these are fewer than half of the draws.
std::optional<Interval> percentile_interval(const std::vector<std::vector<double>>& draws,
                                            std::size_t index);

}  // namespace amalgam::scores
