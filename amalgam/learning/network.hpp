#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/learning/layers.hpp"

namespace amalgam::learning {

/// What a network is, apart from its weights; kept with them in the file, so that a checkpoint can
/// be used by itself. As JSON:
///
///     {"architecture": "cnn", "channels": [16, 32], "kernel": 3, "hidden": [64],
///      "input": {"shape": [1, 28, 28], "mean": [0.286], "deviation": [0.353]},
///      "classes": ["T-shirt/top", ...]}
///
/// Keys besides `architecture`, `input` and `classes` belong to the architecture; see make_network.
struct NetworkDescription {
  std::string architecture;
  std::vector<std::int64_t> input_shape;  ///< of one example: [channels, rows, columns]
  /// Per channel: the network itself subtracts the mean from its input and divides by the
  /// deviation, so whoever feeds it need not know.
  std::vector<double> input_mean;
  std::vector<double> input_deviation;
  std::vector<std::string> class_names;
  nlohmann::json options = nlohmann::json::object();  ///< of the architecture

  std::int64_t classes() const { return static_cast<std::int64_t>(class_names.size()); }
};

/// Reads and writes the JSON above. InputError naming `where` and the key.
NetworkDescription parse_network_description(const nlohmann::json& json, const std::string& where);
nlohmann::json to_json(const NetworkDescription& description);

/// A network: named parameters (and buffers) and what they compute. It is in training or evaluation
/// mode as torch::nn::Module is.
class Network : public torch::nn::Module {
 public:
  explicit Network(NetworkDescription description) : description_(std::move(description)) {}

  const NetworkDescription& description() const { return description_; }

  /// Logits [batch, classes] of inputs [batch, channels, rows, columns] with values in [0, 1], in
  /// the type of the parameters. `observer` sees every Linear and Convolution.
  torch::Tensor forward(const torch::Tensor& inputs, const LayerObserver& observer = {});

 protected:
  /// The same from inputs with mean and deviation taken care of.
  virtual torch::Tensor compute(const torch::Tensor& inputs, const LayerObserver& observer) = 0;

 private:
  NetworkDescription description_;
};

/// Builds a network whose weights are not set yet (and whose memory is not touched, so that a
/// description from outside costs nothing before it is compared with a file). Architectures and
/// their options:
///   mlp: `hidden` (list of widths, default [128]); ReLU between. Tensors `layers.<i>.weight/bias`.
///   cnn: `channels` (default [16, 32]), `kernel` (odd, default 3), `hidden` (default [64]): for
///   each
///        number of channels a convolution, ReLU and 2x2 max-pooling, then an mlp. Tensors
///        `convolutions.<i>.*` and `layers.<i>.*`.
/// InputError naming `where` for an unknown architecture or option.
std::shared_ptr<Network> make_network(const NetworkDescription& description,
                                      const std::string& where);
/// The names make_network knows.
std::vector<std::string> network_architectures();

/// Draws new weights: He's normal initialisation (deviation sqrt(2 / inputs)) for weights before a
/// ReLU, sqrt(1 / inputs) for the output layer, zero biases. Each tensor has a Philox stream of its
/// own, (seed, "initialise " + name), so results do not depend on libtorch's generator.
void initialise(Network& network, std::uint64_t seed);

}  // namespace amalgam::learning
