#pragma once

#include <memory>
#include <unordered_map>

#include "amalgam/learning/network.hpp"
#include "amalgam/weights/moe/moe_gates.hpp"

namespace amalgam::learned {

/// Hidden states of a decoder of the Llama family, computed in float32 by libtorch. The whole model
/// is in memory while this lives.
class NetworkStates final : public PromptStates {
 public:
  /// Loads the model. InputError as learning::load_network, and if it is no decoder.
  explicit NetworkStates(const TensorSource& model);

  std::vector<std::vector<double>> last_states(
      const std::vector<std::size_t>& tokens) const override;

 private:
  std::shared_ptr<learning::Network> network_;
  // The norm that a layer begins with sees what enters it.
  std::unordered_map<const torch::nn::Module*, std::size_t> layers_;
};

}  // namespace amalgam::learned
