#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "amalgam/scores/studies/hypothesis_tests.hpp"

namespace amalgam::scores {

/// What a share of `yes` at temperature 1 becomes at another under a softmax of two logits:
/// logit p_T = logit(p) / T. At T = 0 the more probable answer alone (1/2 for 1/2).
double yes_at_temperature(double yes, double temperature);

/// The temperature at which a share of `yes` becomes `wanted`: logit(yes) / logit(wanted). NaN if
/// none does (they are on different sides of 1/2, or one of them is 0, 1/2 or 1).
double temperature_for(double yes, double wanted);

/// What was answered at a temperature.
struct TemperaturePoint {
  double temperature = 0;  ///< > 0
  Proportion yes;
};

/// logit p_T = slope / T + offset, fitted by weighted least squares, each logit with the weight
/// n p (1 - p). Under a plain softmax the offset is 0 and the slope is the logit at T = 1.
struct TemperatureFit {
  std::vector<double> logits;  ///< measured; shares of 0 and 1 moved inside by half an answer
  double slope = 0;
  double offset = 0;
  double slope_error = 0;  ///< standard errors
  double offset_error = 0;
  TestResult offset_test;  ///< of offset = 0; the statistic is z
  TestResult misfit;       ///< of the line; points - 2 degrees of freedom, not defined for 2 points
  double softmax_slope = 0;   ///< with the offset held at 0
  TestResult softmax_misfit;  ///< of that; points - 1 degrees of freedom
};

/// InputError for fewer than two different temperatures, one that is not positive and finite, or a
/// point without answers.
TemperatureFit fit_temperature(std::span<const TemperaturePoint> points);

}  // namespace amalgam::scores
