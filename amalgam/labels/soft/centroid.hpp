#pragma once

#include <span>

#include "amalgam/labels/label_model.hpp"

namespace amalgam::labels::soft {

/// Of each item the distribution with the least mean Jensen-Shannon divergence to the members'
/// (Nielsen 2020, the concave-convex procedure): from the mean on until the coordinates change by
/// less than 1e-10 in all, at most 1000 steps. Probabilities are floored at kLeastProbability.
SoftLabels centroid_labels(std::span<const SoftLabels> members, const Parallel& parallel);

/// The same of rows of probabilities [members, classes], to `centroid` [classes].
void jensen_shannon_centroid(std::span<const double> rows, std::span<double> centroid);

}  // namespace amalgam::labels::soft
