#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "amalgam/description/network_description.hpp"
#include "amalgam/learning/layers.hpp"

namespace amalgam::learning {

/// A network: named parameters (and buffers) and what they compute. It is in training or evaluation
/// mode as torch::nn::Module is.
class Network : public torch::nn::Module {
 public:
  explicit Network(NetworkDescription description) : description_(std::move(description)) {}

  const NetworkDescription& description() const { return description_; }

  /// Logits [batch, classes] of inputs [batch, channels, rows, columns] with values in [0, 1],
  /// which are taken in the type of the parameters; or [batch, context, classes] of tokens, int64
  /// [batch, context], each row predicting the next token. The heads' logits are side by side.
  /// `observer` sees every layer (layers.hpp) in the order of computation.
  torch::Tensor forward(const torch::Tensor& inputs, const LayerObserver& observer = {});

  /// What goes into the last Linear (or those of all heads), [batch, width] or [batch, context,
  /// width].
  torch::Tensor features(const torch::Tensor& inputs);

  /// Whether a file of such a network may hold this tensor although the network has none of this
  /// name: copies, and what is computed anew.
  virtual bool ignores(const std::string& /*tensor*/) const { return false; }

 protected:
  /// The logits, from inputs with type, mean and deviation taken care of.
  virtual torch::Tensor compute(const torch::Tensor& inputs, const LayerObserver& observer) = 0;

 private:
  NetworkDescription description_;
  torch::Tensor first_parameter_;
};

/// Builds a network whose weights are not set yet (and whose memory is not touched, so that a
/// description from outside costs nothing before it is compared with a file). Architectures and
/// their options: architecture_options.hpp. Tensors:
///   mlp: `layers.<i>.weight/bias`.
///   cnn: `convolutions.<i>.*` and `layers.<i>.*`.
///   resnet, vit, llama: see resnet.cpp, vit.cpp and decoder.cpp.
/// With heads, the last Linear of an architecture is replaced by `heads.<name>.*`, one per head.
/// InputError naming `where` for an unknown architecture or option, or if a tensor has more bytes
/// than the machine.
std::shared_ptr<Network> make_network(const NetworkDescription& description,
                                      const std::string& where);

/// Draws new weights, normal with mean 0: of linear layers and convolutions with variance gain /
/// inputs (see layers.hpp; 2 before a ReLU, 1 for outputs), of embeddings and learned constants
/// with deviation 0.02. Biases are 0, scales of norms 1. Each tensor has a Philox stream of its
/// own, (seed, "initialise " + name), so results do not depend on libtorch's generator.
void initialise(Network& network, std::uint64_t seed);

}  // namespace amalgam::learning
