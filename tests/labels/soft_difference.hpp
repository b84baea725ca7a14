#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "amalgam/labels/label_model.hpp"

namespace amalgam::labels {

/// Of a probability in one and in the other, which must be of the same size.
inline double largest_difference(const SoftLabels& a, const SoftLabels& b) {
  EXPECT_EQ(a.values.size(), b.values.size());
  double largest = 0;
  for (std::size_t i = 0; i < std::min(a.values.size(), b.values.size()); ++i) {
    largest = std::max(largest, std::abs(a.values[i] - b.values[i]));
  }
  return largest;
}

}  // namespace amalgam::labels
