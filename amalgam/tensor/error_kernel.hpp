#pragma once

#include <span>

namespace amalgam::kernels {

/// What storing values changed, in one go over both.
struct ErrorSums {
  double squares = 0;        ///< sum of the squares of the values
  double squared_error = 0;  ///< sum of the squares of stored - value
};

/// A difference is one subtraction in the type of the values; squares and sums are in double, in
/// the order of kernels.hpp's reductions, with the same bits on every SIMD target. Spans have the
/// same length.
ErrorSums error_sums(std::span<const float> values, std::span<const float> stored);
ErrorSums error_sums(std::span<const double> values, std::span<const double> stored);

}  // namespace amalgam::kernels
