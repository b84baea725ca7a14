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

/// A part of a network's outputs that answers a question of its own, by a last layer of its own on
/// what all heads share.
struct Head {
  std::string name;          ///< letters, digits, '-' and '_'
  std::int64_t first = 0;    ///< its first column among the logits
  std::int64_t classes = 0;  ///< how many columns it has
};

/// What a network is, apart from its weights; kept with them in the file, so that a checkpoint can
/// be used by itself. As JSON:
///
///     {"architecture": "cnn", "channels": [16, 32], "kernel": 3, "hidden": [64],
///      "input": {"shape": [1, 28, 28], "mean": [0.286], "deviation": [0.353]},
///      "classes": ["T-shirt/top", ...]}
///
/// Keys besides `architecture`, `input`, `classes` and `heads` belong to the architecture; see
/// make_network. `classes` may be a number: the classes are then named "0", "1", ... A network with
/// several heads has `heads` instead: [{"name": "left", "classes": [...]}, ...]. The input of a
/// network that reads tokens is {"shape": [longest context]}.
struct NetworkDescription {
  std::string architecture;
  /// Of one example: [channels, rows, columns], or [longest context] of tokens.
  std::vector<std::int64_t> input_shape;
  /// Per channel: the network itself subtracts the mean from its input and divides by the
  /// deviation, so whoever feeds it need not know. Empty for tokens.
  std::vector<double> input_mean;
  std::vector<double> input_deviation;
  /// How examples became numbers, which must be done alike for others: the layout of a table, the
  /// tokens of a text (see encoding.hpp); null for images.
  nlohmann::json input_encoding;
  std::vector<std::string> class_names;  ///< of all outputs, those of each head after another
  std::vector<Head> heads;               ///< empty: the outputs are one
  nlohmann::json options = nlohmann::json::object();  ///< of the architecture

  std::int64_t classes() const { return static_cast<std::int64_t>(class_names.size()); }
  bool takes_tokens() const { return input_shape.size() == 1; }
  /// The columns of the head of this name; of all outputs for "". InputError beginning with `where`
  /// if there is no such head.
  Head head(const std::string& name, const std::string& where) const;
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
/// description from outside costs nothing before it is compared with a file). Architectures, their
/// options and tensors:
///   mlp: `hidden` (list of widths, default [128]); ReLU between. `layers.<i>.weight/bias`.
///   cnn: `channels` (default [16, 32]), `kernel` (odd, default 3), `hidden` (default [64]): for
///        each number of channels a convolution, ReLU and 2x2 max-pooling, then an mlp.
///        `convolutions.<i>.*` and `layers.<i>.*`.
///   resnet, vit, llama: see resnet.cpp, vit.cpp and decoder.cpp.
/// With heads, the last Linear of an architecture is replaced by `heads.<name>.*`, one per head.
/// InputError naming `where` for an unknown architecture or option.
std::shared_ptr<Network> make_network(const NetworkDescription& description,
                                      const std::string& where);
/// The names make_network knows.
std::vector<std::string> network_architectures();

/// Draws new weights, normal with mean 0: of linear layers and convolutions with variance gain /
/// inputs (see layers.hpp; 2 before a ReLU, 1 for outputs), of embeddings and learned constants
/// with deviation 0.02. Biases are 0, scales of norms 1. Each tensor has a Philox stream of its
/// own, (seed, "initialise " + name), so results do not depend on libtorch's generator.
void initialise(Network& network, std::uint64_t seed);

}  // namespace amalgam::learning
