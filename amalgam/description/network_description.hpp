#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

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
/// architecture_options.hpp. `classes` may be a number: the classes are then named "0", "1", ... A
/// network with several heads has `heads` instead: [{"name": "left", "classes": [...]}, ...]. The
/// input of a network that reads tokens is {"shape": [longest context]}.
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

/// The most classes that all outputs of a network have together.
inline constexpr std::uint64_t kMostClasses = 1'000'000;
/// The longest context of a network that reads tokens.
inline constexpr std::int64_t kLongestContext = 100'000'000;

/// Reads and writes the JSON above. InputError naming `where` and the key.
NetworkDescription parse_network_description(const nlohmann::json& json, const std::string& where);
nlohmann::json to_json(const NetworkDescription& description);

}  // namespace amalgam::learning
