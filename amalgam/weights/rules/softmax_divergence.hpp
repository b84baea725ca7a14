#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace amalgam::rules {

/// KL(softmax(x) || softmax(b)) = sum p log(p / q) over one row, with 1e-8 added to every p and q
/// as mergekit's arcee_fusion does; never below 0. In double, with exponential and logarithm of our
/// own (relative error below 1e-14) so that the bits are the same on every CPU; sums in 16 virtual
/// lanes. Rows whose elements hardly change take small_change_divergence, the same sum in an order
/// that loses nothing to cancellation. `scratch` is memory kept between calls.
double softmax_divergence(std::span<const float> x, const float* b, std::vector<double>& scratch);
double softmax_divergence(std::span<const double> x, const double* b, std::vector<double>& scratch);

}  // namespace amalgam::rules
