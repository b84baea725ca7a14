#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/output.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/learning/load_dataset.hpp"
#include "amalgam/learning/network_file.hpp"
#include "amalgam/learning/recipe.hpp"
#include "amalgam/learning/trainer.hpp"
#include "cli/learning/commands.hpp"
#include "cli/learning/data_options.hpp"
#include "cli/learning/number_output.hpp"
#include "cli/learning/pruned_training.hpp"
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
  CLI::Option* threads = nullptr;  // whether it was given
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

// Of the held-out examples at the end.
struct HeldOut {
  Json json;
  std::string text;
};

Json to_json(const TrainingReport& report, const HeldOut& validation, bool numbers) {
  Json json = Json::object();
  json["steps"] = report.steps;
  json["examples"] = report.examples;
  json["first_epoch"] = report.first_epoch;
  json["seconds"] = report.seconds;
  json["epochs"] = Json::array();
  for (const EpochRecord& epoch : report.epochs) {
    Json one{{"loss", epoch.loss}, {"learning_rate", epoch.learning_rate}};
    if (epoch.validation) {
      one["validation_loss"] = epoch.validation->loss;
      one[numbers ? "validation_r2" : "validation_accuracy"] = epoch.validation->accuracy;
    }
    json["epochs"].push_back(one);
  }
  if (report.best_epoch) json["best_epoch"] = *report.best_epoch;
  json["validation"] = validation.json;
  return json;
}

// The network that a recipe's data are for, if it starts from one.
std::optional<NetworkDescription> starting_network(const TrainingRecipe& recipe) {
  if (recipe.init.empty()) return std::nullopt;
  return description_of(*open_checkpoint(recipe.init));
}

void warn_about_classes(const Dataset& data, const DataRecipe& recipe) {
  const std::vector<std::string> missing = classes_without_examples(data, recipe);
  if (missing.empty()) return;
  log::warn("{}: no training example of {}: the network cannot learn {}", data.source,
            missing.size() == 1
                ? "class '" + missing.front() + "'"
                : fmt::format("{} classes: {}", missing.size(), join(missing, ", ")),
            missing.size() == 1 ? "it" : "them");
}

// A disk without room for the result is better known before the work than after it.
void check_room(const fs::path& output, const Network& network) {
  constexpr std::uint64_t kHeader = 1U << 16U;
  std::uint64_t bytes = kHeader;
  for (const auto& [name, tensor] : state_of(network)) bytes += tensor.nbytes();
  check_free_space(output, bytes);
}

fs::path last_good_path(const fs::path& output) {
  return output.parent_path() / (output.stem().string() + ".last-good.safetensors");
}

// Trains, and if that diverges leaves the last good weights where the user can find them.
TrainingReport train_or_keep(Network& network, const Dataset& data, const TrainingRecipe& recipe,
                             const TrainingOptions& training, const fs::path& output) {
  try {
    return train(network, data, recipe, training);
  } catch (const Diverged& error) {
    if (error.whole_epochs() == 0) {
      throw Error("{}; no epoch was finished, so there are no better weights to keep",
                  error.what());
    }
    const fs::path kept = last_good_path(output);
    save_network(kept, network, true);
    fs::remove(training.state_file);
    throw Error("{}; the weights after epoch {} are in {}, from which --init goes on", error.what(),
                error.whole_epochs(), kept.string());
  }
}

void save_result(const TrainOptions& options, const Network& network, const fs::path& state) {
  try {
    save_network(options.output, network, options.overwrite);
  } catch (const InputError&) {
    throw;
  } catch (const Error& error) {
    if (!fs::exists(state)) throw;
    throw Error("{}; the run up to its last epoch is in {}: make room and go on with --resume",
                error.what(), state.string());
  }
  fs::remove(state);
}

// Of a text only the first tokens: the probabilities of all of them may not fit into memory.
HeldOut held_out_figures(Network& network, const Dataset& all) {
  constexpr std::int64_t kMostTokens = 100'000;
  const std::int64_t most =
      all.is_text() ? std::max<std::int64_t>(kMostTokens / all.inputs.size(1), 1) : all.count();
  const Dataset data = all.range(0, static_cast<std::uint64_t>(std::min(most, all.count())));
  const torch::Tensor logits = predict_logits(network, data);
  if (data.predicts_numbers()) {
    const NumberFigures figures = judge_numbers(logits, data);
    return {number_figures_json(figures), "validation R2 " + learning::r2_text(figures.r2)};
  }
  const Evaluation figures = evaluate(log_probabilities(logits).flatten(0, -2),
                                      data.labels.flatten(), data.class_names, {.resamples = 0});
  return {{{"examples", figures.examples},
           {"accuracy", figures.accuracy},
           {"nll", figures.nll},
           {"ece", figures.ece}},
          fmt::format("validation accuracy {:.2f} %", 100 * figures.accuracy)};
}

// Threads that share out the work of a small network cost more than they take, and much more where
// the processors have other work.
std::size_t threads_for(const Network& network, const TrainOptions& options) {
  constexpr std::int64_t kSmall = 1'000'000;
  if (options.threads->count() > 0) return options.common.threads;
  std::int64_t parameters = 0;
  for (const auto& parameter : network.parameters()) parameters += parameter.numel();
  return parameters < kSmall ? 1 : options.common.threads;
}

void run(const TrainOptions& options) {
  check_safetensors_output(options.output, {options.recipe, options.init});
  if (fs::exists(options.output) && !options.overwrite) {
    throw InputError("{}: exists already; use --overwrite to replace it", options.output);
  }
  const TrainingRecipe recipe = read_recipe(options.recipe, all_overrides(options));
  set_threads(options.common.threads);

  const std::optional<NetworkDescription> start = starting_network(recipe);
  const TrainingData data = load_training_data(recipe, start ? &*start : nullptr);
  warn_about_classes(data.train, recipe.data);
  const auto network = initial_network(recipe, data.train);
  check_room(options.output, *network);
  set_threads(threads_for(*network, options));
  if (const auto prune = learned::prune_recipe(recipe, options.recipe)) {
    check_classes(data.train, "training with 'prune'");
    return train_pruned({.recipe = recipe,
                         .prune = *prune,
                         .data = data,
                         .start = *network,
                         .output = options.output,
                         .overwrite = options.overwrite,
                         .resume = options.resume,
                         .common = options.common});
  }

  // Read before the work, so that a file that cannot be read is known before it too.
  const Dataset held_out =
      data.validation ? *data.validation : load_held_out(recipe, network->description());
  TrainingOptions training;
  training.progress = options.common.progress_mode();
  training.validation = data.validation ? &*data.validation : nullptr;
  training.state_file = state_path(options.output);
  training.resume = options.resume;
  if (!options.resume && fs::exists(training.state_file)) {
    log::warn("{}: left by a run that did not finish; --resume goes on with it, now it is replaced",
              training.state_file.string());
  }
  const std::clock_t start_time = std::clock();
  const TrainingReport report =
      train_or_keep(*network, data.train, recipe, training, options.output);
  const double processor_seconds =
      static_cast<double>(std::clock() - start_time) / static_cast<double>(CLOCKS_PER_SEC);
  save_result(options, *network, training.state_file);

  const HeldOut validation = held_out_figures(*network, held_out);
  if (options.common.json) {
    Json json = to_json(report, validation, held_out.predicts_numbers());
    json["output"] = options.output;
    json["processor_seconds"] = processor_seconds;
    print_json(json);
  } else if (!options.common.quiet) {
    const std::size_t shown = report.best_epoch.value_or(report.epochs.size() - 1);
    print(fmt::format("{}: {} epochs of {} examples in {:.1f} s, loss {:.4f}, {}{}\n",
                      options.output, report.epochs.size(), report.examples, report.seconds,
                      report.epochs[shown].loss, validation.text,
                      report.best_epoch ? fmt::format(" (epoch {})", shown + 1) : ""));
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
  options->threads = command->get_option("--threads");
  options->threads->description(
      "Threads to use (default: 1 for networks of less than a million parameters, else all"
      " processors); the last bits may depend on it");
  command->callback([options] { run(*options); });
}

}  // namespace amalgam::cli
