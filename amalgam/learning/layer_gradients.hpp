#pragma once

#include <string>
#include <vector>

#include "amalgam/learning/network.hpp"

namespace amalgam::learning {

/// What went through one layer while a network ran.
struct LayerRecord {
  const torch::nn::Module* layer = nullptr;
  std::string name;      ///< "layers.0"
  torch::Tensor input;   ///< detached
  torch::Tensor output;  ///< before the nonlinearity; part of the graph
};

/// Runs a network and keeps inputs and outputs of its layers, so that gradients of each example can
/// be had from one backward pass of the whole batch: d/dW of example n depends on its layer input
/// and the gradient at its layer output only. (True as long as examples do not mix, as they do not
/// in evaluation mode.)
class LayerTrace {
 public:
  LayerTrace(Network& network, const torch::Tensor& inputs);

  const torch::Tensor& logits() const { return logits_; }
  const std::vector<LayerRecord>& layers() const { return layers_; }
  /// The gradient of `scalar` at each layer's output, in the order of layers(). The graph is kept.
  std::vector<torch::Tensor> output_gradients(const torch::Tensor& scalar) const;

 private:
  torch::Tensor logits_;
  std::vector<LayerRecord> layers_;
};

/// The squared gradients of a layer's parameters, summed over a batch with a weight per example.
struct SquaredGradients {
  torch::Tensor weight;
  torch::Tensor bias;
};

/// sum_n weights[n] (gradient of example n)^2 for a layer that LayerTrace saw, given the gradient
/// at its output. `weights` is [batch].
SquaredGradients squared_gradients(const LayerRecord& record, const torch::Tensor& output_gradient,
                                   const torch::Tensor& weights);

}  // namespace amalgam::learning
