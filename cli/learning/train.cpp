#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/learning/network_file.hpp"
#include "amalgam/learning/recipe.hpp"
#include "amalgam/learning/trainer.hpp"
#include "cli/learning/commands.hpp"
#include "cli/learning/data_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

namespace fs = std::filesystem;
using namespace amalgam::learning;  // NOLINT(google-build-using-namespace): the command's subject

struct TrainOptions {
  std::string recipe;
  std::string output;
  std::string data_set;
  std::string init;
  std::vector<std::string> overrides;
  bool overwrite = false;
  bool resume = false;
  CommonOptions common;
  CLI::Option* seed = nullptr;
};

// Beside the output: ".NAME.resume.safetensors" for NAME.safetensors.
fs::path state_path(const fs::path& output) {
  return output.parent_path() / ("." + output.stem().string() + ".resume.safetensors");
}

std::vector<std::string> all_overrides(const TrainOptions& options) {
  std::vector<std::string> overrides = options.overrides;
  if (!options.data_set.empty()) overrides.push_back("data.set=" + options.data_set);
  if (!options.init.empty()) {
    overrides.push_back("init=" + options.init);
    overrides.emplace_back("network=null");
  }
  if (options.seed->count() > 0) overrides.push_back(fmt::format("seed={}", options.common.seed));
  return overrides;
}

Json to_json(const TrainingReport& report, const Evaluation& validation) {
  Json json;
  json["steps"] = report.steps;
  json["examples"] = report.examples;
  json["first_epoch"] = report.first_epoch;
  json["seconds"] = report.seconds;
  json["epochs"] = Json::array();
  for (const EpochRecord& epoch : report.epochs) {
    json["epochs"].push_back({{"loss", epoch.loss}, {"learning_rate", epoch.learning_rate}});
  }
  json["validation"] = {{"examples", validation.examples},
                        {"accuracy", validation.accuracy},
                        {"nll", validation.nll},
                        {"ece", validation.ece}};
  return json;
}

void run(const TrainOptions& options) {
  check_safetensors_output(options.output, {options.recipe, options.init});
  if (fs::exists(options.output) && !options.overwrite) {
    throw InputError("{}: exists already; use --overwrite to replace it", options.output);
  }
  const TrainingRecipe recipe = read_recipe(options.recipe, all_overrides(options));
  set_threads(options.common.threads);

  Dataset data = to_tensors(load_images(recipe.data_set, Split::train));
  const auto all = static_cast<std::uint64_t>(data.count());
  data = data.range(recipe.first, recipe.examples.value_or(all - std::min(recipe.first, all)));
  if (!recipe.corruption.empty()) {
    data = corrupted(data, parse_corruption(recipe.corruption), recipe.seed);
  }
  const auto network = initial_network(recipe, data);

  TrainingOptions training;
  training.progress = options.common.progress_mode();
  training.state_file = state_path(options.output);
  training.resume = options.resume;
  if (!options.resume && fs::exists(training.state_file)) {
    log::warn("{}: left by a run that did not finish; --resume goes on with it, now it is replaced",
              training.state_file.string());
  }
  const TrainingReport report = train(*network, data, recipe, training);
  save_network(options.output, *network, options.overwrite);
  fs::remove(training.state_file);

  Dataset held_out = to_tensors(load_images(recipe.data_set, Split::validation));
  if (!recipe.corruption.empty()) {
    held_out = corrupted(held_out, parse_corruption(recipe.corruption), recipe.seed);
  }
  const Evaluation validation = evaluate(log_probabilities(predict_logits(*network, held_out)),
                                         held_out.labels, held_out.class_names, {.resamples = 0});
  if (options.common.json) {
    Json json = to_json(report, validation);
    json["output"] = options.output;
    print_json(json);
  } else if (!options.common.quiet) {
    print(
        fmt::format("{}: {} epochs of {} examples in {:.1f} s, loss {:.4f}, validation accuracy"
                    " {:.2f} %\n",
                    options.output, report.epochs.size(), report.examples, report.seconds,
                    report.epochs.back().loss, 100 * validation.accuracy));
  }
}

}  // namespace

void register_train(CLI::App& root) {
  CLI::App* command = root.add_subcommand("train", "Train a network by a recipe.");
  command->footer(
      example("amalgam train recipe.yml -o model.safetensors\n"
              "amalgam train recipe.yml --init base.safetensors --set optimizer.learning_rate=0.01"
              " -o tuned.safetensors\n\n"
              "A recipe:\n"
              "  network: {architecture: cnn, channels: [16, 32], hidden: [64]}\n"
              "  data: {set: fashion-mnist, examples: 20000}\n"
              "  epochs: 5\n"
              "  batch: 128\n"
              "  optimizer: {name: sgd, learning_rate: 0.05, momentum: 0.9, weight_decay: 0.0005}\n"
              "  schedule: {name: cosine, warmup: 50}\n"
              "  augment: {flip: true, shift: 2}\n"
              "  seed: 1"));
  auto options = std::make_shared<TrainOptions>();
  command->add_option("recipe", options->recipe, "Recipe (YAML)")->required()->type_name("FILE");
  command->add_option("-o,--output", options->output, "The .safetensors file to write")
      ->required()
      ->type_name("FILE");
  command->add_option("--data", options->data_set, "Data set, instead of the recipe's data.set")
      ->type_name("SET");
  command
      ->add_option("--init", options->init,
                   "Checkpoint to start from, instead of the recipe's init or network")
      ->type_name("FILE");
  command
      ->add_option("--set", options->overrides,
                   "Replace a value of the recipe, for example optimizer.learning_rate=0.01")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->add_flag("--overwrite", options->overwrite, "Replace an existing output");
  command->add_flag("--resume", options->resume,
                    "Go on with a run that was interrupted, with the same result");
  add_learning_options(*command, options->common);
  options->seed = command->get_option("--seed");
  options->seed->description("Instead of the recipe's seed");
  command->callback([options] { run(*options); });
}

}  // namespace amalgam::cli
