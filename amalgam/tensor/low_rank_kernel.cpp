#include "amalgam/tensor/low_rank_kernel.hpp"

#include <array>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/tensor/low_rank_kernel.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace amalgam::kernels::HWY_NAMESPACE {

// Sums of as many columns as fit into the registers of every target.
constexpr std::size_t kColumns = 32;

template <class T>
void add_low_rank_loop(const T* left, std::size_t rank, const T* right, std::size_t stride, T* out,
                       std::size_t count) {
  std::size_t j = 0;
  for (; j + kColumns <= count; j += kColumns) {
    std::array<T, kColumns> sum{};
    for (std::size_t k = 0; k < rank; ++k) {
      const T factor = left[k];
      const T* row = right + k * stride + j;
      for (std::size_t i = 0; i < kColumns; ++i) sum[i] += factor * row[i];
    }
    for (std::size_t i = 0; i < kColumns; ++i) out[j + i] += sum[i];
  }
  for (; j < count; ++j) {
    T sum = 0;
    for (std::size_t k = 0; k < rank; ++k) sum += left[k] * right[k * stride + j];
    out[j] += sum;
  }
}

void add_low_rank_f32(const float* left, std::size_t rank, const float* right, std::size_t stride,
                      float* out, std::size_t count) {
  add_low_rank_loop(left, rank, right, stride, out, count);
}
void add_low_rank_f64(const double* left, std::size_t rank, const double* right, std::size_t stride,
                      double* out, std::size_t count) {
  add_low_rank_loop(left, rank, right, stride, out, count);
}

}  // namespace amalgam::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amalgam::kernels {
namespace {

HWY_EXPORT(add_low_rank_f32);
HWY_EXPORT(add_low_rank_f64);

}  // namespace

void add_low_rank(std::span<const float> left, const float* right, std::size_t stride,
                  std::span<float> out) {
  HWY_DYNAMIC_DISPATCH(add_low_rank_f32)
  (left.data(), left.size(), right, stride, out.data(), out.size());
}
void add_low_rank(std::span<const double> left, const double* right, std::size_t stride,
                  std::span<double> out) {
  HWY_DYNAMIC_DISPATCH(add_low_rank_f64)
  (left.data(), left.size(), right, stride, out.data(), out.size());
}

}  // namespace amalgam::kernels
#endif
