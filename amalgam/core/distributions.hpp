#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "amalgam/core/random.hpp"

namespace amalgam {

/// The logarithm of a draw from Gamma(shape, 1), shape > 0 (Marsaglia and Tsang 2000). As a
/// logarithm it does not underflow for small shapes, whose draws are mostly below 1e-300.
double log_gamma_draw(double shape, RandomStream& random);

/// A draw from Beta(a, a), a > 0.
double beta_draw(double a, RandomStream& random);

/// `count` shares that sum to 1, drawn from the symmetric Dirichlet distribution with parameter
/// `alpha` > 0 each: nearly equal shares for a large alpha, nearly all in one for a small one.
std::vector<double> dirichlet_draw(double alpha, std::size_t count, RandomStream& random);

/// How many of `trials` succeed, each with `probability` in [0, 1]: the same draws on every
/// processor. By inversion where few are expected, else by transformed rejection (Hormann 1993,
/// "The generation of binomial random variates", algorithm BTRS); the time does not depend on
/// `trials`.
std::uint64_t binomial_draw(std::uint64_t trials, double probability, RandomStream& random);

}  // namespace amalgam
