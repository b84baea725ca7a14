#pragma once

#include <cstdint>
#include <span>

#include "amalgam/predictions/agreement.hpp"

namespace amalgam {

/// The temperature T > 0 with the least mean -ln of the softmax of logits / T at the labels of the
/// examples given (Guo et al. 2017), by Newton's method on 1 / T, within [0.001, 1000].
double fitted_temperature(const LogitTable& table, std::span<const std::uint32_t> labels,
                          std::span<const std::size_t> examples);

/// Calibrated log-likelihood (Ashukha et al. 2020): the mean over `splits` random halves of the
/// mean log-probability of the labels of one half, at the temperature fitted on the other. Higher
/// is better. The halves are by the Philox streams "calibration half 0", "... 1" and so on of
/// `seed`. InputError for logits that are not finite, a label without a class, or fewer than 2
/// examples.
double calibrated_log_likelihood(const LogitTable& table, std::span<const std::uint32_t> labels,
                                 std::uint64_t seed, std::size_t splits = 5);

}  // namespace amalgam
