#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace amalgam::kernels {

/// Kernels over one block of all members at once, compiled for every SIMD target of Highway and
/// chosen at run time, with the same bits on all of them (see tensor/kernels.hpp: 16 virtual lanes,
/// one fixed tree, no fused multiply-add). A contribution is y_i = x_i, or y_i = x_i - base by one
/// subtraction in the type of the inputs when base is not null; it is then widened to double.

/// The number of pairs (i, j) with i <= j among n members.
constexpr std::size_t pair_count(std::size_t n) { return n * (n + 1) / 2; }
/// The place of pair (i, j), i <= j < n, in a packed upper triangle, row by row.
constexpr std::size_t pair_index(std::size_t i, std::size_t j, std::size_t n) {
  return i * n - i * (i + 1) / 2 + j;
}

/// Memory the pairwise kernels work in; kept by the caller between calls.
using PairScratch = std::vector<double>;

/// sums[pair_index(i, j, n)] += sum_k y_i[k] y_j[k] over `count` elements, for all i <= j < n.
/// Every product sum has the bits of kernels::dot, and every input is read once.
void add_products(std::span<const float* const> members, const float* base, std::size_t count,
                  PairScratch& scratch, std::span<double> sums);
void add_products(std::span<const double* const> members, const double* base, std::size_t count,
                  PairScratch& scratch, std::span<double> sums);

/// sums[pair_index(i, j, n)] += sum_k (x_i[k] - x_j[k])^2, differences in double: no cancellation
/// between near-equal members, unlike K_ii + K_jj - 2 K_ij. Base-free: distances do not see it.
void add_squared_distances(std::span<const float* const> members, std::size_t count,
                           PairScratch& scratch, std::span<double> sums);
void add_squared_distances(std::span<const double* const> members, std::size_t count,
                           PairScratch& scratch, std::span<double> sums);

/// out[k] = sum_i weights[i] x_i[k], in the order of the members. At least one member.
void weighted_sum(std::span<const float* const> members, std::span<const double> weights,
                  std::span<double> out);
void weighted_sum(std::span<const double* const> members, std::span<const double> weights,
                  std::span<double> out);

/// out[k] = base[k] + sum_i weights[i] (x_i - base)[k], the sum in the order of the members.
void weighted_difference_sum(std::span<const float* const> members, const float* base,
                             std::span<const double> weights, std::span<double> out);
void weighted_difference_sum(std::span<const double* const> members, const double* base,
                             std::span<const double> weights, std::span<double> out);

/// sum_k (x[k] - centre)^2 in double.
double sum_squares_about(std::span<const float> x, double centre);
double sum_squares_about(std::span<const double> x, double centre);

}  // namespace amalgam::kernels
