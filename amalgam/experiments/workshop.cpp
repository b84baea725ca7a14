#include "amalgam/experiments/workshop.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/learning/trainer.hpp"

namespace amalgam::experiments {
namespace {

namespace fs = std::filesystem;
using learning::Dataset;
using learning::NamedTensors;
using learning::Network;

// Changes when training comes to give other weights for equal recipes.
constexpr int kTrainingVersion = 1;

class Digest {
 public:
  void add(const void* bytes, std::size_t count) {
    const XXH128_hash_t part = XXH3_128bits_withSeed(bytes, count, low_ ^ high_);
    low_ = part.low64;
    high_ = part.high64;
  }
  void add(const std::string& text) { add(text.data(), text.size()); }
  void add(const torch::Tensor& tensor) {
    const torch::Tensor whole = tensor.contiguous();
    add(whole.data_ptr(), whole.nbytes());
  }
  std::string text() const { return fmt::format("{:016x}{:016x}", high_, low_); }

 private:
  std::uint64_t low_ = 0;
  std::uint64_t high_ = 0;
};

// Everything that the trained weights depend on.
std::string content_key(const nlohmann::json& recipe, const Dataset& data, const Network* start) {
  Digest digest;
  digest.add(fmt::format("{} {}", kTrainingVersion, recipe.dump()));
  digest.add(data.inputs);
  digest.add(data.labels);
  if (start != nullptr) {
    for (const auto& [name, tensor] : learning::state_of(*start)) {
      digest.add(name);
      digest.add(tensor);
    }
  }
  return digest.text();
}

}  // namespace

Workshop::Workshop(WorkshopOptions options) : options_(std::move(options)) {
  if (!options_.cache.empty()) fs::create_directories(options_.cache);
}

const Dataset& Workshop::images(Split split) {
  std::unique_ptr<Dataset>& data = images_[static_cast<std::size_t>(split)];
  if (!data) {
    data = std::make_unique<Dataset>(learning::to_tensors(load_images("fashion-mnist", split)));
  }
  return *data;
}

std::shared_ptr<Network> Workshop::train(nlohmann::json recipe, const Dataset& data,
                                         std::uint64_t seed, const Network* start) {
  check_interrupt();
  recipe["seed"] = seed;
  if (start != nullptr) recipe["init"] = "start";
  const std::string key = content_key(recipe, data, start);
  const fs::path kept = options_.cache / (key + ".safetensors");
  if (!options_.cache.empty() && fs::exists(kept)) {
    return learning::load_network(*open_checkpoint(kept));
  }
  const learning::TrainingRecipe parsed = learning::parse_recipe(recipe, "experiment");
  const auto network = start != nullptr ? learning::network_with(*start, learning::state_of(*start))
                                        : learning::initial_network(parsed, data);
  learning::train(*network, data, parsed, {.progress = Progress::Mode::never});
  if (!options_.cache.empty()) {
    // Two runs may train the same member; either file is right.
    learning::save_network(kept, *network, /*overwrite=*/true);
  }
  return network;
}

double accuracy(Network& network, const Dataset& data) {
  return accuracy(learning::predict_logits(network, data), data);
}

double accuracy(const torch::Tensor& logits, const Dataset& data) {
  return logits.argmax(1).eq(data.labels).to(torch::kDouble).mean().item<double>();
}

Dataset joined(const std::vector<Dataset>& parts) {
  std::vector<torch::Tensor> images;
  std::vector<torch::Tensor> labels;
  for (const Dataset& part : parts) {
    images.push_back(part.inputs);
    labels.push_back(part.labels);
  }
  return {parts.front().source, torch::cat(images), torch::cat(labels), parts.front().class_names};
}

}  // namespace amalgam::experiments
