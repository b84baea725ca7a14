#include "amalgam/learning/attention.hpp"

#include <ATen/Parallel.h>

#include <Eigen/Core>
#include <cmath>

#include "amalgam/core/error.hpp"

namespace amalgam::learning {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using Rows = Eigen::Map<Matrix<T>, 0, Eigen::OuterStride<>>;

// [rows, columns] of a tensor [batch, heads, rows, columns] whose last axis is contiguous.
template <class T>
Rows<T> rows_of(const torch::Tensor& tensor, std::int64_t batch, std::int64_t head) {
  T* first = tensor.data_ptr<T>() + batch * tensor.stride(0) + head * tensor.stride(1);
  return {first, tensor.size(2), tensor.size(3), Eigen::OuterStride<>(tensor.stride(2))};
}

torch::Tensor with_whole_rows(const torch::Tensor& tensor) {
  return tensor.stride(3) == 1 ? tensor : tensor.contiguous();
}

// [batch, heads, length, width] that is contiguous as [batch, length, heads, width], which is what
// comes next.
torch::Tensor heads_inside(const torch::Tensor& like) {
  return torch::empty({like.size(0), like.size(2), like.size(1), like.size(3)}, like.options())
      .transpose(1, 2);
}

struct Sizes {
  std::int64_t batch = 0;
  std::int64_t key_heads = 0;
  std::int64_t shared = 0;  // heads of q per head of k
  double scale = 1;

  Sizes(const torch::Tensor& q, const torch::Tensor& k)
      : batch(q.size(0)),
        key_heads(k.size(1)),
        shared(q.size(1) / k.size(1)),
        scale(1.0 / std::sqrt(static_cast<double>(q.size(3)))) {}

  // Calls body(batch, key head) for all of them, from all threads.
  template <class Body>
  void for_each(const Body& body) const {
    at::parallel_for(0, batch * key_heads, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) body(i / key_heads, i % key_heads);
    });
  }
};

// Scores become shares, row by row; what a row must not see gets none.
template <class T>
void softmax_rows(Rows<T> scores, bool causal) {
  for (Eigen::Index t = 0; t < scores.rows(); ++t) {
    const Eigen::Index seen = causal ? t + 1 : scores.cols();
    auto row = scores.row(t).head(seen).array();
    row = (row - row.maxCoeff()).exp();
    row /= row.sum();
    scores.row(t).tail(scores.cols() - seen).setZero();
  }
}

template <class T>
void forward_heads(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                   const torch::Tensor& shares, const torch::Tensor& out, bool causal) {
  const Sizes sizes(q, k);
  sizes.for_each([&](std::int64_t n, std::int64_t key_head) {
    const Rows<T> keys = rows_of<T>(k, n, key_head);
    const Rows<T> values = rows_of<T>(v, n, key_head);
    for (std::int64_t h = key_head * sizes.shared; h < (key_head + 1) * sizes.shared; ++h) {
      Rows<T> weights = rows_of<T>(shares, n, h);
      weights.noalias() = (rows_of<T>(q, n, h) * static_cast<T>(sizes.scale)) * keys.transpose();
      softmax_rows<T>(weights, causal);
      rows_of<T>(out, n, h).noalias() = weights * values;
    }
  });
}

struct Gradients {
  torch::Tensor q;
  torch::Tensor k;
  torch::Tensor v;
};

// With shares P = softmax(S): dV = P^T dO, dP = dO V^T, dS = P (dP - the rows' sums of P dP).
template <class T>
void backward_heads(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                    const torch::Tensor& shares, const torch::Tensor& out_gradient,
                    const Gradients& gradients) {
  const Sizes sizes(q, k);
  const auto scale = static_cast<T>(sizes.scale);
  sizes.for_each([&](std::int64_t n, std::int64_t key_head) {
    const Rows<T> keys = rows_of<T>(k, n, key_head);
    const Rows<T> values = rows_of<T>(v, n, key_head);
    Rows<T> d_keys = rows_of<T>(gradients.k, n, key_head);
    Rows<T> d_values = rows_of<T>(gradients.v, n, key_head);
    d_keys.setZero();
    d_values.setZero();
    Matrix<T> d_scores;
    for (std::int64_t h = key_head * sizes.shared; h < (key_head + 1) * sizes.shared; ++h) {
      const Rows<T> weights = rows_of<T>(shares, n, h);
      const Rows<T> d_out = rows_of<T>(out_gradient, n, h);
      d_values.noalias() += weights.transpose() * d_out;
      d_scores.noalias() = d_out * values.transpose();
      d_scores.array() *= weights.array();
      const Eigen::Matrix<T, Eigen::Dynamic, 1> sums = d_scores.rowwise().sum();
      d_scores.noalias() -= sums.asDiagonal() * weights;
      d_scores *= scale;
      rows_of<T>(gradients.q, n, h).noalias() = d_scores * keys;
      d_keys.noalias() += d_scores.transpose() * rows_of<T>(q, n, h);
    }
  });
}

class Attention : public torch::autograd::Function<Attention> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& all_q,
                               const torch::Tensor& all_k, const torch::Tensor& all_v,
                               bool causal) {
    const torch::Tensor q = with_whole_rows(all_q);
    const torch::Tensor k = with_whole_rows(all_k);
    const torch::Tensor v = with_whole_rows(all_v);
    const torch::Tensor shares =
        torch::empty({q.size(0), q.size(1), q.size(2), k.size(2)}, q.options());
    torch::Tensor out = heads_inside(q);
    if (q.scalar_type() == torch::kDouble) {
      forward_heads<double>(q, k, v, shares, out, causal);
    } else {
      forward_heads<float>(q, k, v, shares, out, causal);
    }
    context->save_for_backward({q, k, v, shares});
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& out_gradients) {
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor out_gradient = with_whole_rows(out_gradients[0]);
    const Gradients gradients{heads_inside(saved[0]), heads_inside(saved[1]),
                              heads_inside(saved[2])};
    if (saved[0].scalar_type() == torch::kDouble) {
      backward_heads<double>(saved[0], saved[1], saved[2], saved[3], out_gradient, gradients);
    } else {
      backward_heads<float>(saved[0], saved[1], saved[2], saved[3], out_gradient, gradients);
    }
    return {gradients.q, gradients.k, gradients.v, torch::Tensor()};
  }
};

}  // namespace

torch::Tensor attend(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                     bool causal) {
  const bool fits = q.dim() == 4 && k.dim() == 4 && k.sizes() == v.sizes() &&
                    q.size(0) == k.size(0) && q.size(3) == k.size(3) && k.size(1) > 0 &&
                    q.size(1) % k.size(1) == 0 && (!causal || q.size(2) == k.size(2));
  const bool known = q.scalar_type() == torch::kFloat || q.scalar_type() == torch::kDouble;
  if (!fits || !known || k.scalar_type() != q.scalar_type() || v.scalar_type() != q.scalar_type()) {
    throw Error("attention of tensors that do not fit each other");
  }
  return Attention::apply(q, k, v, causal);
}

}  // namespace amalgam::learning
