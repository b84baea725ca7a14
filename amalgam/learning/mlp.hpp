#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "amalgam/learning/network.hpp"

namespace amalgam::learning {

/// The last layer of a network: one Linear, or one per head, whose logits are side by side.
class OutputLayers {
 public:
  /// Registers `single` in `parent` if the description has no heads, else `heads.<name>` in
  /// `owner`. `inputs`: the width of the features.
  OutputLayers(torch::nn::Module& owner, torch::nn::Module& parent, const std::string& single,
               std::int64_t inputs, const NetworkDescription& description);
  /// [..., inputs] -> [..., classes of all heads].
  torch::Tensor forward(const torch::Tensor& features, const LayerObserver& observer) const;

 private:
  std::vector<std::shared_ptr<Linear>> layers_;
};

/// Linear layers with ReLU between, registered in `owner` as `layers.0`, `layers.1`, ...: an mlp,
/// and the last part of other networks. With heads, the last of them is one per head.
class LinearStack {
 public:
  LinearStack(torch::nn::Module& owner, std::int64_t inputs,
              const std::vector<std::int64_t>& hidden, const NetworkDescription& description);
  /// [batch, inputs] -> [batch, classes].
  torch::Tensor forward(torch::Tensor x, const LayerObserver& observer) const;

 private:
  static std::shared_ptr<torch::nn::Module> list_in(torch::nn::Module& owner);
  static std::vector<std::shared_ptr<Linear>> hidden_layers(
      torch::nn::Module& list, std::int64_t inputs, const std::vector<std::int64_t>& hidden);

  std::shared_ptr<torch::nn::Module> list_;
  std::vector<std::shared_ptr<Linear>> hidden_;
  OutputLayers output_;
};

}  // namespace amalgam::learning
