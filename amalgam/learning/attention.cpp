#include "amalgam/learning/attention.hpp"

#include <cmath>
#include <limits>

namespace amalgam::learning {

torch::Tensor attend(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                     const torch::Tensor& mask) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(-1)));
  torch::Tensor scores = torch::matmul(q * scale, k.transpose(-2, -1));
  if (mask.defined()) scores = scores + mask;
  return torch::matmul(torch::softmax(scores, -1), v);
}

torch::Tensor causal_mask(std::int64_t length, const torch::Tensor& like) {
  const torch::Tensor hidden =
      torch::full({length, length}, -std::numeric_limits<double>::infinity(), like.options());
  return torch::triu(hidden, 1);
}

}  // namespace amalgam::learning
