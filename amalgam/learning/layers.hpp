#pragma once

#include <cstdint>
#include <functional>

#include "amalgam/learning/torch.hpp"

namespace amalgam::learning {

/// A part of a network with parameters of its own.
class Layer : public torch::nn::Module {
 public:
  torch::Tensor weight;
  torch::Tensor bias;  ///< undefined if there is none
};

/// Sees what goes into a layer and what comes out, while the network runs: how methods that need
/// activations or gradients per layer look inside any network. Without gradients it may change the
/// output in place, and the network goes on with that.
using LayerObserver = std::function<void(const Layer& layer, const torch::Tensor& input,
                                         const torch::Tensor& output)>;

/// y = x W^T + b with `weight` [outputs, inputs] and `bias` [outputs]; x is [..., inputs].
class Linear : public Layer {
 public:
  Linear(std::int64_t inputs, std::int64_t outputs, bool has_bias = true);
  /// Without bias, by a weight that belongs to another layer (tied embeddings). Such a layer is not
  /// registered in its network.
  explicit Linear(const torch::Tensor& shared_weight) { weight = shared_weight; }
  torch::Tensor forward(const torch::Tensor& input, const LayerObserver& observer) const;

  /// New weights have the variance gain / inputs: 2 before a ReLU (He et al. 2015).
  double gain = 2;
};

/// How a convolution moves over an image whose edges are padded with zeros.
struct ConvolutionShape {
  std::int64_t kernel = 3;
  std::int64_t stride = 1;
  std::int64_t padding = 1;
};

/// Cross-correlation with `weight` [outputs, inputs, kernel, kernel] and `bias` [outputs]; x is
/// [batch, inputs, rows, columns].
class Convolution : public Layer {
 public:
  Convolution(std::int64_t inputs, std::int64_t outputs, const ConvolutionShape& shape,
              bool has_bias = true);
  torch::Tensor forward(const torch::Tensor& input, const LayerObserver& observer) const;
  /// What the kernel sees at each of its positions, [batch, inputs * kernel * kernel, positions] in
  /// the order of the flattened weight.
  torch::Tensor patches(const torch::Tensor& input) const;

  double gain = 2;  ///< as of Linear, of the inputs at all places of the kernel

 private:
  ConvolutionShape shape_;
};

/// PyTorch's BatchNorm2d: every channel of x [batch, channels, rows, columns] has its mean taken
/// away and is divided by its deviation, then scaled by `weight` and moved by `bias` (all
/// [channels]). In training mode mean and variance are the batch's own, and running_mean and
/// running_var (unbiased) follow them with momentum 0.1; in evaluation mode they are the running
/// ones. 1e-5 is added to variances.
class BatchNorm : public Layer {
 public:
  explicit BatchNorm(std::int64_t channels);
  torch::Tensor forward(const torch::Tensor& input, const LayerObserver& observer) const;
  /// What `weight` scales in evaluation mode.
  torch::Tensor normalised(const torch::Tensor& input) const;

  torch::Tensor running_mean;
  torch::Tensor running_var;
};

/// PyTorch's LayerNorm over the last axis, with `weight` and `bias` [width].
class LayerNorm : public Layer {
 public:
  LayerNorm(std::int64_t width, double epsilon);
  torch::Tensor forward(const torch::Tensor& input, const LayerObserver& observer) const;
  torch::Tensor normalised(const torch::Tensor& input) const;

 private:
  double epsilon_;
};

/// x / sqrt(mean(x^2) + epsilon) over the last axis, scaled by `weight` [width] (Zhang and Sennrich
/// 2019).
class RmsNorm : public Layer {
 public:
  RmsNorm(std::int64_t width, double epsilon);
  torch::Tensor forward(const torch::Tensor& input, const LayerObserver& observer) const;
  torch::Tensor normalised(const torch::Tensor& input) const;

 private:
  double epsilon_;
};

/// Rows of `weight` [count, width] by number: int64 [batch, ...] -> [batch, ..., width].
class Embedding : public Layer {
 public:
  Embedding(std::int64_t count, std::int64_t width);
  torch::Tensor forward(const torch::Tensor& input, const LayerObserver& observer) const;
};

/// A parameter that belongs to a network itself and is the same for every example (a class token, a
/// position embedding), as a layer, so that observers see it. It is not registered in its network.
class LearnedConstant : public Layer {
 public:
  /// `parameter` is [1, ...].
  explicit LearnedConstant(const torch::Tensor& parameter) { weight = parameter; }
  /// [batch, ...], of the batch of `input`.
  torch::Tensor forward(const torch::Tensor& input, const LayerObserver& observer) const;
};

/// Whether the layer is a Linear or a Convolution: what most methods are about.
bool is_linear_or_convolution(const Layer& layer);

}  // namespace amalgam::learning
