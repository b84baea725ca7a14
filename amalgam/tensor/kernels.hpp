#pragma once

#include <cstddef>
#include <span>

namespace amalgam::kernels {

/// Kernels over one block of elements, compiled for every SIMD target of Highway and chosen at run
/// time; all targets give the same bits: element-wise ones because each element's operations are
/// fixed (no fused multiply-add), reductions because they use 16 virtual lanes on every target:
/// lane j sums elements j, j + 16, ..., then lanes are added pairwise in a fixed tree
/// (l[j] += l[j+8]; l[j] += l[j+4]; l[j] += l[j+2]; l[0] + l[1]).
/// Inputs of type float are widened to double before anything else (but see subtract). Spans of one
/// call have the same length, else Error; an output may be the very span of an input, and must not
/// overlap one otherwise. No alignment is needed.

/// out[i] = weight * x[i].
void scale(double weight, std::span<const float> x, std::span<double> out);
void scale(double weight, std::span<const double> x, std::span<double> out);

/// sum[i] += weight * x[i].
void accumulate(double weight, std::span<const float> x, std::span<double> sum);
void accumulate(double weight, std::span<const double> x, std::span<double> sum);

/// out[i] = x[i] - base[i], one subtraction in the type of the inputs.
void subtract(std::span<const float> x, std::span<const float> base, std::span<float> out);
void subtract(std::span<const double> x, std::span<const double> base, std::span<double> out);

/// sum_i a[i] * b[i] in double.
double dot(std::span<const float> a, std::span<const float> b);
double dot(std::span<const double> a, std::span<const double> b);
/// sum_i x[i].
double sum(std::span<const float> x);
double sum(std::span<const double> x);
/// sum_i |x[i]|.
double sum_abs(std::span<const float> x);
double sum_abs(std::span<const double> x);

}  // namespace amalgam::kernels
