#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "amalgam/learning/network.hpp"

namespace amalgam::learning {

/// What went through one layer while a network ran.
struct LayerRecord {
  const Layer* layer = nullptr;
  /// "layers.0"; the parameter's own name for a LearnedConstant, and the name of the layer that
  /// owns the weight for a Linear that shares it.
  std::string name;
  torch::Tensor input;   ///< detached
  torch::Tensor output;  ///< before the nonlinearity; part of the graph
};

enum class TracedLayers { linear_and_convolution, all };

/// Runs a network and keeps inputs and outputs of its layers, so that gradients of each example can
/// be had from one backward pass of the whole batch: d/dW of example n depends on its layer input
/// and the gradient at its layer output only. (True as long as examples do not mix, as they do not
/// in evaluation mode.)
class LayerTrace {
 public:
  LayerTrace(Network& network, const torch::Tensor& inputs,
             TracedLayers traced = TracedLayers::linear_and_convolution);

  const torch::Tensor& logits() const { return logits_; }
  const std::vector<LayerRecord>& layers() const { return layers_; }
  /// The gradient of `scalar` at each layer's output, in the order of layers(); undefined where
  /// `scalar` does not depend on it. The graph is kept.
  std::vector<torch::Tensor> output_gradients(const torch::Tensor& scalar) const;

 private:
  torch::Tensor logits_;
  std::vector<LayerRecord> layers_;
};

/// Something for each parameter of a layer.
struct LayerGradients {
  torch::Tensor weight;
  torch::Tensor bias;  ///< undefined if the layer has none
};

/// One use of a layer's parameters: where in a network, and the gradient at the layer's output
/// there for the whole batch.
struct LayerUse {
  const LayerRecord* record = nullptr;
  torch::Tensor output_gradient;
};

/// sum_n weights[n] (gradient of example n)^2 for the parameters that all of `uses` share, usually
/// one; an example's gradient is the sum over the uses. `weights` is [batch]. Error for a BatchNorm
/// in training mode, where examples mix.
LayerGradients squared_gradients(const std::vector<LayerUse>& uses, const torch::Tensor& weights);

}  // namespace amalgam::learning
