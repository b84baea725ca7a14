#include "amalgam/learning/max_pool.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace amalgam::learning {
namespace {

// Sizes of planes before and after.
struct Planes {
  std::int64_t count;
  std::int64_t rows;
  std::int64_t columns;

  std::int64_t pooled_rows() const { return rows / 2; }
  std::int64_t pooled_columns() const { return columns / 2; }
  std::int64_t size() const { return rows * columns; }
  std::int64_t pooled_size() const { return pooled_rows() * pooled_columns(); }
  // Planes that are worth a thread's while.
  std::int64_t grain() const { return 1 + 32'768 / (size() + 1); }
};

Planes planes_of(const torch::Tensor& images) {
  const std::int64_t rows = images.size(-2);
  const std::int64_t columns = images.size(-1);
  return {images.numel() / std::max<std::int64_t>(rows * columns, 1), rows, columns};
}

// One row of windows: the largest of each four values, and which it is.
template <class T>
void pool_row(const T* top, const T* bottom, std::int64_t windows, T* out, std::uint8_t* which) {
  const auto take = [](T value, std::uint8_t place, T& best, std::uint8_t& best_place) {
    const bool better = value > best || value != value;
    best = better ? value : best;
    best_place = better ? place : best_place;
  };
  for (std::int64_t i = 0; i < windows; ++i) {
    T best = top[2 * i];
    std::uint8_t place = 0;
    take(top[2 * i + 1], 1, best, place);
    take(bottom[2 * i], 2, best, place);
    take(bottom[2 * i + 1], 3, best, place);
    out[i] = best;
    which[i] = place;
  }
}

template <class T>
void spread_row(const T* gradient, const std::uint8_t* which, std::int64_t windows, T* top,
                T* bottom) {
  for (std::int64_t i = 0; i < windows; ++i) {
    top[2 * i] = which[i] == 0 ? gradient[i] : T(0);
    top[2 * i + 1] = which[i] == 1 ? gradient[i] : T(0);
    bottom[2 * i] = which[i] == 2 ? gradient[i] : T(0);
    bottom[2 * i + 1] = which[i] == 3 ? gradient[i] : T(0);
  }
}

// Calls row(plane's row offset before, after) for every row of windows, over all threads.
template <class Row>
void for_each_row(const Planes& planes, const Row& row) {
  at::parallel_for(0, planes.count, planes.grain(), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t plane = begin; plane < end; ++plane) {
      for (std::int64_t r = 0; r < planes.pooled_rows(); ++r) {
        row(plane * planes.size() + 2 * r * planes.columns,
            plane * planes.pooled_size() + r * planes.pooled_columns());
      }
    }
  });
}

template <class T>
void pool(const Planes& planes, const torch::Tensor& images, torch::Tensor& out,
          torch::Tensor& which) {
  const T* from = images.data_ptr<T>();
  T* to = out.data_ptr<T>();
  auto* places = which.data_ptr<std::uint8_t>();
  for_each_row(planes, [&](std::int64_t before, std::int64_t after) {
    pool_row(from + before, from + before + planes.columns, planes.pooled_columns(), to + after,
             places + after);
  });
}

template <class T>
void spread(const Planes& planes, const torch::Tensor& gradient, const torch::Tensor& which,
            torch::Tensor& out) {
  const T* from = gradient.data_ptr<T>();
  const auto* places = which.data_ptr<std::uint8_t>();
  T* to = out.data_ptr<T>();
  for_each_row(planes, [&](std::int64_t before, std::int64_t after) {
    spread_row(from + after, places + after, planes.pooled_columns(), to + before,
               to + before + planes.columns);
  });
}

class MaxPool final : public torch::autograd::Function<MaxPool> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context,
                               const torch::Tensor& images) {
    const torch::Tensor whole = images.contiguous();
    const Planes planes = planes_of(whole);
    std::vector<std::int64_t> shape = whole.sizes().vec();
    shape[shape.size() - 2] = planes.pooled_rows();
    shape[shape.size() - 1] = planes.pooled_columns();
    torch::Tensor out = torch::empty(shape, whole.options());
    torch::Tensor which = torch::empty(shape, torch::kByte);
    AT_DISPATCH_FLOATING_TYPES(whole.scalar_type(), "max_pool_2x2",
                               [&] { pool<scalar_t>(planes, whole, out, which); });
    context->save_for_backward({which});
    context->saved_data["shape"] = whole.sizes().vec();
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const torch::Tensor gradient = gradients[0].contiguous();
    const std::vector<std::int64_t> shape = context->saved_data["shape"].toIntVector();
    torch::Tensor out = torch::empty(shape, gradient.options());
    const Planes planes = planes_of(out);
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
