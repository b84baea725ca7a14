#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "amalgam/weights/rules/task_vector_kernels.hpp"

// Kernels of nearswap, arcee_fusion, RAM and SCE over tiles (of at most kTile elements where
// buffers of the caller are involved), compiled for every SIMD target with the same bits on all of
// them. Task vectors `d` are in double, one pointer per member.
namespace amalgam::rules {

/// out = w x + (1 - w) base with w = clamp(t / max(|x - base|, 1e-6), 0, 1).
void nearswap_tile(std::span<const float> x, const float* base, double t, double* out);
void nearswap_tile(std::span<const double> x, const double* base, double t, double* out);

/// out = x where |x - base| * scale >= threshold, as base plus the difference; else base itself.
void take_over_tile(std::span<const float> x, const float* base, double scale, double threshold,
                    double* out);
void take_over_tile(std::span<const double> x, const double* base, double scale, double threshold,
                    double* out);

/// Members touch a position where |d| > epsilon. out = base + the mean of d over the members that
/// touch it; where only member i does, scales[i] * d_i; where none does, base itself.
void ram_tile(std::span<const double* const> d, std::span<const double> scales, double epsilon,
              const float* base, std::size_t count, double* out);
void ram_tile(std::span<const double* const> d, std::span<const double> scales, double epsilon,
              const double* base, std::size_t count, double* out);

/// Adds to unique[i] the positions that only member i touches, to shared[i] those it touches with
/// others.
void ram_count(std::span<const double* const> d, double epsilon, std::size_t count,
               std::span<std::uint64_t> unique, std::span<std::uint64_t> shared);

/// variance[k] = (1 / N) sum_i (d_i[k] - mean)^2 over the N members, in member order.
void variance_tile(std::span<const double* const> d, std::size_t count, double* variance);

/// Sets the values d_i[k] of all members to 0 where the key of their variance, as variance_tile has
/// it, is not in `range`.
void keep_varied_tile(std::span<double* const> d, std::size_t count, DoubleKeyRange range);

/// out = base + sum_i m_i a_i d_i / max(sum_i m_i a_i, 1e-6), where m_i says that d_i has the sign
/// of sum_i d_i (plus where that is 0).
void sce_tile(std::span<const double* const> d, std::span<const double> coefficients,
              const float* base, std::size_t count, double* out);
void sce_tile(std::span<const double* const> d, std::span<const double> coefficients,
              const double* base, std::size_t count, double* out);

}  // namespace amalgam::rules
