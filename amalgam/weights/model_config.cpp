#include "amalgam/weights/model_config.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/json.hpp"
#include "amalgam/core/file_status.hpp"

namespace amalgam {
namespace {

constexpr std::size_t kMostLayers = 1'000'000;
// Sub-networks are objects inside the config ("text_config"), which may hold objects again.
constexpr int kDeepest = 4;

void add_count(std::vector<std::size_t>& counts, std::uint64_t count) {
  if (count >= 1 && count <= kMostLayers &&
      std::find(counts.begin(), counts.end(), count) == counts.end()) {
    counts.push_back(count);
  }
}

void collect(const nlohmann::json& config, int depth, ModelConfig& read) {
  if (!config.is_object() || depth > kDeepest) return;
  for (const auto& [key, value] : config.items()) {
    if (is_layer_count_key(key) && value.is_number_unsigned()) {
      add_count(read.layer_counts, value.get<std::uint64_t>());
    } else if (key == "tie_word_embeddings" && value.is_boolean()) {
      read.tied_embeddings = read.tied_embeddings || value.get<bool>();
    } else {
      collect(value, depth + 1, read);
    }
  }
}

}  // namespace

bool is_layer_count_key(std::string_view key) {
  static constexpr std::array<std::string_view, 12> kKeys = {
      "num_hidden_layers", "num_layers",         "n_layer",        "n_layers",
      "num_blocks",        "num_decoder_layers", "decoder_layers", "num_encoder_layers",
      "encoder_layers",    "n_blocks",           "depth",          "num_transformer_layers"};
  return std::find(kKeys.begin(), kKeys.end(), key) != kKeys.end();
}

ModelConfig model_config(const nlohmann::json& config) {
  ModelConfig read;
  collect(config, 0, read);
  return read;
}

ModelConfig read_model_config(const std::filesystem::path& path, const TensorSource& tensors) {
  ModelConfig read;
  const std::filesystem::path file = path / "config.json";
  if (names_file(file)) {
    read = model_config(parse_json(read_text_file(file, kLargestConfig), file.string()));
  }
  for (const auto& [key, value] : tensors.metadata()) {
    if (!key.ends_with(".block_count")) continue;
    std::uint64_t count = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), count);
    if (error == std::errc{} && end == value.data() + value.size()) {
      add_count(read.layer_counts, count);
    }
  }
  return read;
}

}  // namespace amalgam
