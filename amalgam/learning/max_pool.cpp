#include "amalgam/learning/max_pool.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "amalgam/learning/max_pool_kernels.hpp"

namespace amalgam::learning {
namespace {

// Integers as wide as the values say where in its window each is.
template <class T>
using Place = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

PooledPlanes planes_of(const torch::Tensor& images) { return {images.size(-2), images.size(-1)}; }

// Calls some(first plane, how many) for all planes, over all threads.
template <class Some>
void for_planes(const PooledPlanes& planes, std::int64_t numel, const Some& some) {
  const std::int64_t count = numel / std::max<std::int64_t>(planes.size(), 1);
  // So many are worth a thread's while.
  const std::int64_t grain = 1 + 32'768 / (planes.size() + 1);
  at::parallel_for(0, count, grain,
                   [&](std::int64_t begin, std::int64_t end) { some(begin, end - begin); });
}

template <class T>
void pool(const PooledPlanes& planes, const torch::Tensor& images, torch::Tensor& out,
          torch::Tensor& which) {
  const T* from = images.data_ptr<T>();
  T* to = out.data_ptr<T>();
  auto* places = which.data_ptr<Place<T>>();
  for_planes(planes, images.numel(), [&](std::int64_t first, std::int64_t count) {
    const std::int64_t pooled = first * planes.pooled_size();
    pool_planes(planes, count, from + first * planes.size(), to + pooled, places + pooled);
  });
}

template <class T>
void spread(const PooledPlanes& planes, const torch::Tensor& gradient, const torch::Tensor& which,
            torch::Tensor& out) {
  const T* from = gradient.data_ptr<T>();
  const auto* places = which.data_ptr<Place<T>>();
  T* to = out.data_ptr<T>();
  for_planes(planes, out.numel(), [&](std::int64_t first, std::int64_t count) {
    const std::int64_t pooled = first * planes.pooled_size();
    spread_planes(planes, count, from + pooled, places + pooled, to + first * planes.size());
  });
}

class MaxPool final : public torch::autograd::Function<MaxPool> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context,
                               const torch::Tensor& images) {
    const torch::Tensor whole = images.contiguous();
    const PooledPlanes planes = planes_of(whole);
    std::vector<std::int64_t> shape = whole.sizes().vec();
    shape[shape.size() - 2] = planes.pooled_rows();
    shape[shape.size() - 1] = planes.pooled_columns();
    torch::Tensor out = torch::empty(shape, whole.options());
    torch::Tensor which;
    AT_DISPATCH_FLOATING_TYPES(whole.scalar_type(), "max_pool_2x2", [&] {
      which = torch::empty(shape, c10::CppTypeToScalarType<Place<scalar_t>>::value);
      pool<scalar_t>(planes, whole, out, which);
    });
    context->save_for_backward({which});
    context->saved_data["shape"] = whole.sizes().vec();
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const torch::Tensor gradient = gradients[0].contiguous();
    const std::vector<std::int64_t> shape = context->saved_data["shape"].toIntVector();
    torch::Tensor out = torch::empty(shape, gradient.options());
    const PooledPlanes planes = planes_of(out);
    // An odd last row or column is in no window.
    if (planes.rows % 2 != 0 || planes.columns % 2 != 0) out.zero_();
    const torch::Tensor which = context->get_saved_variables()[0];
    AT_DISPATCH_FLOATING_TYPES(gradient.scalar_type(), "max_pool_2x2",
                               [&] { spread<scalar_t>(planes, gradient, which, out); });
    return {out};
  }
};

}  // namespace

torch::Tensor max_pool_2x2(const torch::Tensor& images) { return MaxPool::apply(images); }

}  // namespace amalgam::learning
