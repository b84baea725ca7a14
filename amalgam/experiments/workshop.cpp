#include "amalgam/experiments/workshop.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/learning/tensor_digest.hpp"
#include "amalgam/learning/trainer.hpp"

namespace amalgam::experiments {
namespace {

namespace fs = std::filesystem;
using learning::Dataset;
using learning::NamedTensors;
using learning::Network;

// Changes when training comes to give other weights for equal recipes.
constexpr int kTrainingVersion = 2;

// Everything that the trained weights depend on.
std::string content_key(const nlohmann::json& recipe, const Dataset& data, const Network* start) {
  learning::TensorDigest digest;
  digest.add(fmt::format("{} {}", kTrainingVersion, recipe.dump()));
  digest.add(NamedTensors{{"inputs", data.inputs}, {"labels", data.labels}});
  if (data.soft_labels.defined()) digest.add(NamedTensors{{"soft_labels", data.soft_labels}});
  digest.add(data.head);
  if (start != nullptr) digest.add(learning::state_of(*start));
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

}  // namespace amalgam::experiments
