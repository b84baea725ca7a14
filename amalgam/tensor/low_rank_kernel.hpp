#pragma once

#include <cstddef>
#include <span>

namespace amalgam::kernels {

/// A run of elements of a row of W + L R: out[j] = out[j] + (((0 + left[0] right[0][j]) + left[1]
/// right[1][j]) + ...), where right[k] begins at right + k * stride. All in the type of the
/// elements, in this order and without fused multiply-add, so that an element has the same bits on
/// every SIMD target and however rows are cut into runs.
void add_low_rank(std::span<const float> left, const float* right, std::size_t stride,
                  std::span<float> out);
void add_low_rank(std::span<const double> left, const double* right, std::size_t stride,
                  std::span<double> out);

}  // namespace amalgam::kernels
