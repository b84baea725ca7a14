#pragma once

#include <optional>
#include <span>

namespace amalgam::rules {

/// softmax_divergence of a row of which no element changes by more than 1/16 (the rule among
/// fine-tuned weights); nothing for other rows, and for those with NaN or infinity. `scratch` has
/// room for two numbers per element.
///
/// With B = e^b, E = e^(x - b) - 1 and sums S = sum B, T = sum B E the difference of the two
/// distributions is p - q = B (E - T / S) / (S + T), which no rounding of B or of large numbers
/// spoils; and as p - q sums to 0, the divergence is that of the terms
/// p log(p / q) - (p - q) = (p - q) s + 2 p (s^3/3 + s^5/5 + ...) with s = (p - q) / (p + q), none
/// of which is negative. So one division per element is enough, and small divergences come out to
/// about 1e-14 of themselves, where sum p log(p / q) has lost what its terms cancel.
std::optional<double> small_change_divergence(std::span<const float> x, const float* b,
                                              std::span<double> scratch);
std::optional<double> small_change_divergence(std::span<const double> x, const double* b,
                                              std::span<double> scratch);

/// What the kernels say of a row.
struct RowRange {
  double low = 0;  ///< of the base
  double high = 0;
  bool small_changes = false;  ///< none is more than 1/16, or NaN
};

}  // namespace amalgam::rules
