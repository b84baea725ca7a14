#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace amalgam::kernels {

/// The factors of one member in a Fisher-weighted average.
struct FisherFactors {
  double coefficient = 0;  ///< of the Fisher
  double floor = 0;        ///< smaller Fishers count as this
  double weight = 0;       ///< in the plain average, where all coefficients times Fishers are zero
};

/// out[k] = sum_i c_i F_i[k] x_i[k] / sum_i c_i F_i[k], F_i[k] raised to its member's floor, sums
/// in member order in double; where the denominator is zero, sum_i w_i x_i[k] / sum_i w_i. Returns
/// the number of such elements. Compiled for every SIMD target, with the same bits on all.
std::uint64_t fisher_average(std::span<const float* const> members,
                             std::span<const float* const> fishers,
                             std::span<const FisherFactors> factors, std::span<double> out);
std::uint64_t fisher_average(std::span<const double* const> members,
                             std::span<const double* const> fishers,
                             std::span<const FisherFactors> factors, std::span<double> out);

/// The index of the first value that no Fisher can have: negative, NaN or infinite.
std::optional<std::size_t> find_no_fisher(std::span<const float> values);
std::optional<std::size_t> find_no_fisher(std::span<const double> values);

}  // namespace amalgam::kernels
