#pragma once

#include <cstdint>
#include <functional>
#include <span>

namespace amalgam {

/// low <= estimate <= high with the stated confidence.
struct Interval {
  double low = 0;
  double high = 0;
};

/// The point below which a standard normal falls with probability (1 + 0.95) / 2.
inline constexpr double kNormal95 = 1.959963984540054;

/// Wilson's score interval of a proportion, `successes` of `trials` >= 1, which stays within [0, 1]
/// and is right even near its ends (Wilson 1927). `z`: kNormal95 for 95 % confidence.
Interval wilson_interval(std::uint64_t successes, std::uint64_t trials, double z = kNormal95);

/// mean +- z * s / sqrt(n) of `values` (at least 2), s with divisor n - 1: for paired differences.
struct MeanInterval {
  double mean = 0;
  Interval interval;
};
MeanInterval mean_interval(std::span<const double> values, double z = kNormal95);

/// The 95 % percentile bootstrap interval of a statistic of `count` examples: `statistic` gets the
/// indices of one resample, drawn with replacement from the Philox stream "bootstrap" of `seed`,
/// and is called `resamples` times.
Interval bootstrap_interval(
    std::size_t count, std::size_t resamples, std::uint64_t seed,
    const std::function<double(std::span<const std::uint32_t> indices)>& statistic);

}  // namespace amalgam
