#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "amalgam/learning/layers.hpp"
#include "amalgam/learning/options.hpp"

namespace amalgam::learning {

/// Linear layers with ReLU between, registered in `owner` as `layers.0`, `layers.1`, ...: an mlp,
/// and the head of other networks.
class LinearStack {
 public:
  /// widths: inputs, hidden widths..., outputs.
  LinearStack(torch::nn::Module& owner, const std::vector<std::int64_t>& widths);
  /// [batch, widths.front()] -> [batch, widths.back()].
  torch::Tensor forward(torch::Tensor x, const LayerObserver& observer) const;

 private:
  std::vector<std::shared_ptr<Linear>> layers_;
};

/// The option `hidden` of networks that end in a LinearStack.
std::vector<std::int64_t> hidden_widths(Options& options, std::vector<std::int64_t> fallback);

}  // namespace amalgam::learning
