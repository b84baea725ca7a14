#pragma once

#include <cstdint>
#include <functional>

#include "amalgam/learning/torch.hpp"

namespace amalgam::learning {

/// Sees what goes into a layer and what comes out, while the network runs: how methods that need
/// activations or gradients per layer look inside any network.
using LayerObserver = std::function<void(const torch::nn::Module& layer, const torch::Tensor& input,
                                         const torch::Tensor& output)>;

/// y = x W^T + b with `weight` [outputs, inputs] and `bias` [outputs]; x is [..., inputs].
class Linear : public torch::nn::Module {
 public:
  Linear(std::int64_t inputs, std::int64_t outputs);
  torch::Tensor forward(const torch::Tensor& input, const LayerObserver& observer) const;

  torch::Tensor weight;
  torch::Tensor bias;
};

/// Cross-correlation with `weight` [outputs, inputs, kernel, kernel] and `bias` [outputs], stride
/// 1, zero padding that keeps the size (kernel is odd); x is [batch, inputs, rows, columns].
class Convolution : public torch::nn::Module {
 public:
  Convolution(std::int64_t inputs, std::int64_t outputs, std::int64_t kernel);
  torch::Tensor forward(const torch::Tensor& input, const LayerObserver& observer) const;
  std::int64_t padding() const { return weight.size(-1) / 2; }

  torch::Tensor weight;
  torch::Tensor bias;
};

}  // namespace amalgam::learning
