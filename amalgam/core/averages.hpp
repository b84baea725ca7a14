#pragma once

#include <span>
#include <vector>

namespace amalgam {

/// The sum of the values, in their order, divided by their number; NaN without values.
double mean_of(std::span<const double> values);

/// The middle value, or half the sum of the two middle ones; NaN without values.
double median_of(std::vector<double> values);

}  // namespace amalgam
