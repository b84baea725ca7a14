#pragma once

#include <cstddef>
#include <vector>

namespace amalgam::scores {

/// The logarithms of the stationary distribution of the Markov chain that goes from i to j at rate
/// `rates`[i, j] >= 0 (the diagonal does not matter), by state reduction (Grassmann, Taksar and
/// Heyman 1985): no subtraction, so that each probability is right to nearly all its digits however
/// far apart they are. Error if the chain is not irreducible. O(states^3).
std::vector<double> log_stationary_distribution(std::vector<double> rates, std::size_t states);

}  // namespace amalgam::scores
