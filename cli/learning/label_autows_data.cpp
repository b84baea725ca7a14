#include "cli/learning/label_autows_data.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/labels/learned/end_model.hpp"
#include "amalgam/learning/load_dataset.hpp"
#include "amalgam/learning/network_file.hpp"

namespace amalgam::cli {
namespace {

using namespace labels;

learning::Dataset load(const AutoWsCommand& command,
                       const learning::NetworkDescription* network = nullptr) {
  learning::DataRecipe recipe;
  recipe.set = command.data;
  recipe.label = command.label;
  recipe.ignore = command.ignore;
  if (command.examples > 0) recipe.examples = command.examples;
  const std::string extension = std::filesystem::path(command.data).extension().string();
  const bool table = extension == ".csv" || extension == ".tsv" || extension == ".tab";
  learning::Dataset data =
      learning::load_dataset(recipe, table ? Split::all : Split::train, 0, network);
  if (data.is_text()) throw InputError("{}: a text has no classes to label", command.data);
  return data;
}

Features raw_features(const AutoWsCommand& command, const learning::Dataset& data) {
  const torch::Tensor flat = data.inputs.flatten(1).to(torch::kDouble).contiguous();
  Features features(static_cast<std::size_t>(flat.size(0)), static_cast<std::size_t>(flat.size(1)));
  std::copy_n(flat.data_ptr<double>(), flat.numel(), features.values.begin());
  const bool standard = command.scale == "standard" || (command.scale.empty() && !data.is_images());
  if (standard) return standardised(features);
  return command.scale == "range" ? in_unit_range(features) : features;
}

// A file's matrix, with a row for each of `rows`.
Features matrix_for(const std::string& path, std::size_t rows, const char* what) {
  Features features = read_features(path);
  if (features.rows != rows) {
    throw InputError("{} {}: {} rows; expected one for each of {}", what, path, features.rows,
                     rows);
  }
  return features;
}

FeatureSet feature_set(const std::string& name, const AutoWsCommand& command,
                       const learning::Dataset& data) {
  if (name == "raw") return {name, raw_features(command, data)};
  if (name == "pca" || name.starts_with("pca:")) {
    std::uint64_t components = 100;
    const std::string_view text =
        std::string_view(name).substr(std::min<std::size_t>(name.size(), 4));
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), components);
    const bool number = error == std::errc() && end == text.data() + text.size() && components > 0;
    if (name != "pca" && !number) {
      throw InputError("--features {}: expected pca:N with N >= 1", name);
    }
    return {name, principal_components(raw_features(command, data), components)};
  }
  if (name.starts_with("encoder:")) {
    const auto network = learning::load_network(*open_checkpoint(name.substr(8)));
    return {name, encode(*network, load(command, &network->description()))};
  }
  return {name, matrix_for(name, static_cast<std::size_t>(data.count()), "--features")};
}

}  // namespace

AutoWsTask load_autows_task(const AutoWsCommand& command) {
  const learning::Dataset data = load(command);
  AutoWsTask task;
  task.class_names = data.class_names;
  const auto* labels = data.labels.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < data.count(); ++i) {
    task.truth.push_back(static_cast<Label>(labels[i]));
  }
  for (const std::string& name : command.features) {
    task.sets.push_back(feature_set(name, command, data));
  }
  if (!command.logits.empty()) {
    task.logits = matrix_for(command.logits, task.truth.size(), "--logits");
    if (task.logits->columns != task.class_names.size()) {
      throw InputError("--logits {}: {} columns; expected one for each of {} classes",
                       command.logits, task.logits->columns, task.class_names.size());
    }
  }
  if (!command.prototypes.empty()) {
    task.prototypes = matrix_for(command.prototypes, task.class_names.size(), "--prototypes");
    const bool fits = std::ranges::any_of(task.sets, [&](const FeatureSet& set) {
      return set.features.columns == task.prototypes->columns;
    });
    if (!fits) {
      throw InputError("--prototypes {}: {} columns, but no features have as many",
                       command.prototypes, task.prototypes->columns);
    }
  }
  return task;
}

}  // namespace amalgam::cli
