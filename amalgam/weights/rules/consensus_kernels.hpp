#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

// Kernels that make one task vector of several over a tile, with or without an election of signs;
// as task_vector_kernels.hpp, whose weigh functions give the weighted ones.
namespace amalgam::rules {

/// How the weighted task vectors y_m of a tile become one.
struct Consensus {
  enum class Elect { none, sum, count };  ///< none: no consensus, everything is summed
  enum class Merge { sum, mean, max };
  Elect elect = Elect::none;
  Merge merge = Merge::sum;
  bool zero_is_plus = true;  ///< the sign elected where the members balance
  double divisor = 1;        ///< Elect::none with Merge::mean: the sum of the weights, made safe
  double lambda = 1;
};

/// out = base + lambda * merged, and base itself, sign of zero included, where merged is zero.
/// `y` has a tile of `count` values per member. With an election, members whose sign is the elected
/// one take part; a mean divides by the sum of their weights (by 1 where that is 0).
void merge_tile(const Consensus& consensus, std::span<const double* const> y,
                std::span<const double> weights, const float* base, std::size_t count, double* out);
void merge_tile(const Consensus& consensus, std::span<const double* const> y,
                std::span<const double> weights, const double* base, std::size_t count,
                double* out);

/// The same as weigh for all members and merge_tile without an election, in one go and with factor
/// 1: out = base + lambda * (sum_m weights[m] * d_m) / divisor. Tile of any size.
void merge_differences(std::span<const float* const> members, std::size_t offset,
                       std::span<const double> weights, double divisor, double lambda,
                       const float* base, std::size_t count, double* out);
void merge_differences(std::span<const double* const> members, std::size_t offset,
                       std::span<const double> weights, double divisor, double lambda,
                       const double* base, std::size_t count, double* out);

/// The number of elements that elect plus less that of those that elect minus.
std::int64_t sign_balance(Consensus::Elect elect, std::span<const double* const> y,
                          std::size_t count);

}  // namespace amalgam::rules
