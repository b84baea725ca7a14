#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/core/statistics.hpp"
#include "amalgam/scores/studies/subpopulation_study.hpp"

namespace amalgam::scores {

/// How a figure goes with the strength of the spurious link.
struct StrengthTrend {
  double tau = 0;                    ///< Kendall's tau a of strength and figure
  std::optional<Interval> interval;  ///< 95 %, by the paired bootstrap
};

/// The same models trained on data in which label and subpopulation go together more and more.
struct StrengthSweep {
  std::vector<double> strengths;   ///< increasing
  std::vector<AxisFits> fits;      ///< [strengths]
  std::size_t configurations = 0;  ///< that are drawn together over all strengths
  StrengthTrend line_r_squared;
  StrengthTrend quadratic;
  StrengthTrend moon_index;
};

/// Fits the models of each strength (values of the tag `strength`, numbers), and says how the
/// figures go with it. `configuration`: a tag whose equal values are one configuration at several
/// strengths, drawn together by the bootstrap; empty: models are drawn by themselves. InputError
/// for fewer than two strengths, a strength that is no number, one with fewer than four models or
/// all alike on the majority.
StrengthSweep sweep_strengths(const SubpopulationTable& table, const std::string& strength,
                              const std::string& configuration, const SubpopulationOptions& options,
                              const Parallel& parallel = {});

}  // namespace amalgam::scores
