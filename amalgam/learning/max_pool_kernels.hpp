#pragma once

#include <cstdint>

// Kernels of max_pool: 2 x 2 windows of whole planes, several at a time and without branches.
namespace amalgam::learning {

/// Planes of rows x columns values, one after the other; an odd last row or column is in no window.
struct PooledPlanes {
  std::int64_t rows;
  std::int64_t columns;

  std::int64_t pooled_rows() const { return rows / 2; }
  std::int64_t pooled_columns() const { return columns / 2; }
  std::int64_t size() const { return rows * columns; }
  std::int64_t pooled_size() const { return pooled_rows() * pooled_columns(); }
};

/// Of each window of `count` planes the largest value, and in `places` which it is, 0 to 3 by rows:
/// the first of equal ones; NaN is larger than all, the last of several.
void pool_planes(const PooledPlanes& planes, std::int64_t count, const float* from, float* to,
                 std::int32_t* places);
void pool_planes(const PooledPlanes& planes, std::int64_t count, const double* from, double* to,
                 std::int64_t* places);

/// Gives each window's gradient to the value at its place and 0 to the others; what is in no window
/// is left as it is.
void spread_planes(const PooledPlanes& planes, std::int64_t count, const float* gradient,
                   const std::int32_t* places, float* to);
void spread_planes(const PooledPlanes& planes, std::int64_t count, const double* gradient,
                   const std::int64_t* places, double* to);

}  // namespace amalgam::learning
