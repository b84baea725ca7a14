#include "amalgam/labels/learned/end_model.hpp"

#include <algorithm>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/learning/trainer.hpp"

namespace amalgam::labels {
namespace {

constexpr std::int64_t kBatch = 1000;

learning::TrainingRecipe recipe_of(const EndModelOptions& options, std::uint64_t examples) {
  if (options.batch == 0 || options.steps == 0) {
    throw InputError("end model: batches of {} examples, {} steps; expected 1 or more",
                     options.batch, options.steps);
  }
  const std::uint64_t per_epoch = (examples + options.batch - 1) / options.batch;
  nlohmann::json network = options.network;
  if (network.is_null()) network = {{"architecture", "mlp"}, {"hidden", {64}}};
  return learning::parse_recipe(
      {{"network", network},
       {"data", {{"set", "weak labels"}}},
       {"epochs", (options.steps + per_epoch - 1) / per_epoch},
       {"batch", options.batch},
       {"optimizer", {{"name", "sgd"}, {"learning_rate", options.learning_rate}}},
       {"seed", options.seed}},
      "end model");
}

}  // namespace

learning::Dataset as_dataset(const Features& features, std::vector<std::string> class_names) {
  learning::Dataset data;
  data.source = "features";
  data.class_names = std::move(class_names);
  data.inputs = torch::empty({static_cast<std::int64_t>(features.rows),
                              static_cast<std::int64_t>(features.columns), 1, 1});
  std::ranges::transform(features.values, data.inputs.data_ptr<float>(),
                         [](double value) { return static_cast<float>(value); });
  data.labels = torch::zeros({static_cast<std::int64_t>(features.rows)}, torch::kLong);
  return data;
}

Features encode(learning::Network& network, const learning::Dataset& data) {
  learning::check_fits(network, data);
  if (data.is_text()) throw InputError("{}: texts have no features per example", data.source);
  const torch::NoGradGuard no_grad;
  network.eval();
  Features features;
  for (std::int64_t begin = 0; begin < data.count(); begin += kBatch) {
    const std::int64_t count = std::min(kBatch, data.count() - begin);
    const torch::Tensor some =
        network.features(data.inputs.narrow(0, begin, count)).to(torch::kDouble).contiguous();
    features.columns = static_cast<std::size_t>(some.size(1));
    features.rows += static_cast<std::size_t>(count);
    features.values.insert(features.values.end(), some.data_ptr<double>(),
                           some.data_ptr<double>() + some.numel());
  }
  return features;
}

std::shared_ptr<learning::Network> train_end_model(const learning::Dataset& data,
                                                   const WeakLabels& labels,
                                                   const EndModelOptions& options) {
  const auto count = static_cast<std::size_t>(data.count());
  if (labels.soft.items != count || labels.covered.size() != count ||
      labels.soft.classes != data.class_names.size()) {
    throw InputError("end model: probabilities [{}, {}] for {} examples of {} classes",
                     labels.soft.items, labels.soft.classes, count, data.class_names.size());
  }
  std::vector<std::size_t> covered;
  for (std::size_t i = 0; i < count; ++i) {
    if (labels.covered[i]) covered.push_back(i);
  }
  if (covered.empty()) throw InputError("end model: no example is covered by a label");
  learning::Dataset training = data.select(covered);
  const auto classes = static_cast<std::int64_t>(labels.soft.classes);
  training.soft_labels = torch::zeros({training.count(), classes});
  auto soft = training.soft_labels.accessor<float, 2>();
  auto hard = training.labels.accessor<std::int64_t, 1>();
  const HardLabels most = hard_labels(labels.soft);
  for (std::size_t i = 0; i < covered.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i);
    hard[row] = most.labels[covered[i]];
    if (options.hard) {
      soft[row][hard[row]] = 1;
      continue;
    }
    const std::span<const double> probabilities = labels.soft.row(covered[i]);
    for (std::int64_t k = 0; k < classes; ++k) {
      soft[row][k] = static_cast<float>(probabilities[static_cast<std::size_t>(k)]);
    }
  }
  const learning::TrainingRecipe recipe = recipe_of(options, covered.size());
  const auto network = learning::initial_network(recipe, training);
  learning::train(*network, training, recipe, {.progress = Progress::Mode::never});
  return network;
}

SoftLabels predict(learning::Network& network, const learning::Dataset& data) {
  const torch::Tensor sure =
      learning::log_probabilities(learning::predict_logits(network, data, kBatch))
          .exp()
          .contiguous();
  SoftLabels soft(static_cast<std::size_t>(sure.size(0)), static_cast<std::size_t>(sure.size(1)));
  std::copy_n(sure.data_ptr<double>(), sure.numel(), soft.values.begin());
  return soft;
}

}  // namespace amalgam::labels
