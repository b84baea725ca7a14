#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <vector>

#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// What planning needs of a model's config.json (or of a container's metadata).
struct ModelConfig {
  /// The values of num_hidden_layers and its relatives, also those of sub-networks.
  std::vector<std::size_t> layer_counts;
  /// The head is the transpose of the token embedding and may be missing from the file.
  bool tied_embeddings = false;
};

/// The largest config.json that is read, in bytes.
inline constexpr std::size_t kLargestConfig = 16'000'000;

/// Reads a parsed config.json; what is missing or of another type is passed over.
ModelConfig model_config(const nlohmann::json& config);

/// The config of the model at `path`: `config.json` if it is a folder that has one, and the layer
/// counts that the container's metadata states. InputError if config.json is not JSON.
ModelConfig read_model_config(const std::filesystem::path& path, const TensorSource& tensors);

/// Whether a key of config.json states a number of layers ("num_hidden_layers", "n_layer", ...).
bool is_layer_count_key(std::string_view key);

}  // namespace amalgam
