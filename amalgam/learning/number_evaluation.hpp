#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "amalgam/core/statistics.hpp"
#include "amalgam/data/table.hpp"
#include "amalgam/learning/dataset.hpp"
#include "amalgam/learning/evaluation.hpp"

namespace amalgam::learning {

/// How good predictions of numbers are, in the units of the column that they are of.
struct NumberFigures {
  std::uint64_t examples = 0;
  double mse = 0;         ///< mean squared error
  Interval mse_interval;  ///< of 95 % confidence over the draw of the examples
  double mae = 0;         ///< mean absolute error
  /// 1 - mse / variance of these examples' numbers: 1 is perfect, 0 what their mean achieves; NaN
  /// where they do not vary.
  double r2 = 0;
  double scaled_mse = 0;  ///< mse / deviation^2 of the training numbers: the loss of training
  std::vector<double> squared_errors;  ///< per example, for paired comparisons
};

/// The scale of the numbers that the data have, from their encoding.
TargetScale target_scale(const Dataset& data);

/// Judges the outputs of a network, [count, 1], scaled as the data's numbers are. InputError if the
/// data have classes or no examples.
NumberFigures judge_numbers(const torch::Tensor& outputs, const Dataset& data);

/// R2 for people: "-" where it is not defined.
std::string r2_text(double r2);

}  // namespace amalgam::learning
