#include "amalgam/learning/training_state.hpp"

#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/json.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam::learning {
namespace {

constexpr const char* kProgressKey = "amalgam.training";
const std::string kWeights = "weights/";
const std::string kOptimizer = "optimizer/";
const std::string kAverage = "average/";
const std::string kBest = "best/";

void append(NamedTensors& all, const std::string& prefix, const NamedTensors& tensors) {
  for (const auto& [name, tensor] : tensors) all.emplace_back(prefix + name, tensor);
}

NamedTensors with_prefix(const TensorSource& source, const std::string& prefix) {
  NamedTensors found;
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    const std::string& name = source.tensors()[i].name;
    if (name.starts_with(prefix)) {
      found.emplace_back(name.substr(prefix.size()), read_tensor(source, i));
    }
  }
  return found;
}

EpochRecord parse_epoch(const nlohmann::json& figures) {
  // JSON has no NaN: R2 is not defined where all numbers to predict are equal.
  const auto number = [&](std::size_t at) {
    const nlohmann::json& figure = figures.at(at);
    return figure.is_null() ? std::numeric_limits<double>::quiet_NaN() : figure.get<double>();
  };
  EpochRecord epoch{number(0), number(1)};
  if (figures.size() > 2) epoch.validation = {number(2), number(3)};
  return epoch;
}

// Gives the network's weights, or copies of them, the values that the file has under `prefix`.
void restore_weights(const TensorSource& source, const std::string& prefix,
                     const NamedTensors& state) {
  const torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : state) {
    const auto index = source.find(prefix + name);
    const torch::Tensor stored = index ? read_tensor(source, *index) : torch::Tensor();
    if (!stored.defined() || stored.sizes() != tensor.sizes()) {
      throw InputError("{}: weight '{}' is missing or of another shape", source.label(),
                       prefix + name);
    }
    torch::Tensor target = tensor;
    target.copy_(stored);
  }
}

nlohmann::json read_progress(const TensorSource& source, const TrainingRecipe& recipe) {
  const auto found = source.metadata().find(kProgressKey);
  if (found == source.metadata().end()) {
    throw InputError("{}: not the state of a training run (no '{}' in its metadata)",
                     source.label(), kProgressKey);
  }
  nlohmann::json json = parse_json(found->second, source.label());
  if (json.value("recipe", nlohmann::json()) != recipe.document) {
    throw InputError(
        "{}: the state of a run with another recipe; delete it, or use the recipe it was"
        " made with",
        source.label());
  }
  return json;
}

}  // namespace

void save_training_state(const std::filesystem::path& path, const Network& network,
                         const Optimizer& optimizer, const WeightAverage& average,
                         const TrainingProgress& progress, const TrainingRecipe& recipe) {
  NamedTensors all;
  append(all, kWeights, state_of(network));
  append(all, kOptimizer, optimizer.memory());
  append(all, kAverage, average.memory());
  append(all, kBest, progress.best_weights);
  nlohmann::json json = nlohmann::json::object();
  json["recipe"] = recipe.document;
  json["averaged"] = average.count();
  json["epochs"] = nlohmann::json::array();
  for (const EpochRecord& epoch : progress.epochs) {
    nlohmann::json figures{epoch.loss, epoch.learning_rate};
    if (epoch.validation) {
      figures.push_back(epoch.validation->loss);
      figures.push_back(epoch.validation->accuracy);
    }
    json["epochs"].push_back(figures);
  }
  if (progress.best_epoch) json["best_epoch"] = *progress.best_epoch;
  save_tensors(path, all, {{kProgressKey, json.dump()}}, true);
}

TrainingProgress load_training_state(const std::filesystem::path& path, Network& network,
                                     Optimizer& optimizer, WeightAverage& average,
                                     const TrainingRecipe& recipe) {
  const auto source = open_checkpoint_file(path);
  const nlohmann::json json = read_progress(*source, recipe);
  const std::string& where = source->label();
  restore_weights(*source, kWeights, state_of(network));
  optimizer.restore(with_prefix(*source, kOptimizer), where);
  TrainingProgress progress;
  try {
    average.restore(with_prefix(*source, kAverage), json_count(json, "averaged", where), where);
    for (const auto& epoch : json.at("epochs")) {
      progress.epochs.push_back(parse_epoch(epoch));
    }
    if (json.contains("best_epoch")) progress.best_epoch = json_count(json, "best_epoch", where);
  } catch (const nlohmann::json::exception& error) {
    throw InputError("{}: its '{}' is damaged: {}", where, kProgressKey, error.what());
  }
  if (progress.epochs.size() > recipe.epochs) {
    throw InputError("{}: {} epochs are done, but the recipe has {}", where, progress.epochs.size(),
                     recipe.epochs);
  }
  if (progress.best_epoch) {
    if (*progress.best_epoch >= progress.epochs.size() ||
        !progress.epochs[*progress.best_epoch].validation) {
      throw InputError("{}: its '{}' is damaged: best epoch {} of {}", where, kProgressKey,
                       *progress.best_epoch, progress.epochs.size());
    }
    progress.best_weights = copied_state(network);
    restore_weights(*source, kBest, progress.best_weights);
  }
  return progress;
}

}  // namespace amalgam::learning
