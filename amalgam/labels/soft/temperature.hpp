#pragma once

#include <span>
#include <vector>

#include "amalgam/labels/label_model.hpp"

namespace amalgam::labels::soft {

/// Each distribution with its logarithms, floored at -15, divided by `temperature` > 0: 1 changes
/// nothing, more makes flatter.
SoftLabels tempered_labels(const SoftLabels& soft, double temperature);

/// A temperature per member, so that members agree: minimises the mean over items and pairs of
/// members of the Jensen-Shannon divergence of the tempered distributions, plus 1e-3 times the sum
/// of the squared temperatures, from 1.5 on. All 1 for a single member.
std::vector<double> ensemble_temperatures(std::span<const SoftLabels> members,
                                          const Parallel& parallel);

}  // namespace amalgam::labels::soft
