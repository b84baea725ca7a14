#include "cli/learning/pruned_training.hpp"

#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/output.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/learning/mask_file.hpp"
#include "amalgam/learning/network_file.hpp"
#include "amalgam/learning/trainer.hpp"
#include "cli/learning/evaluation_output.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

namespace fs = std::filesystem;
using learned::CopyTask;
using learned::NamedTensors;
using learned::PruneRecipe;
using learning::Network;
using Method = PruneRecipe::Method;

constexpr const char* kCopyKey = "amalgam.copy";

fs::path beside(const fs::path& output, const std::string& before, const std::string& after) {
  return output.parent_path() / (before + output.stem().string() + after);
}

double accuracy_of(Network& network, const learning::Dataset& data) {
  return learning::evaluate(
             learning::log_probabilities(learning::predict_logits(network, data)).flatten(0, -2),
             data.labels.flatten(), data.class_names, {.resamples = 0})
      .accuracy;
}

// Trains copies and keeps the finished ones in files, from which a later run takes them.
class KeptCopies {
 public:
  KeptCopies(const PrunedTraining& training, fs::path folder)
      : training_(training), folder_(std::move(folder)) {
    if (!training.resume && fs::exists(folder_)) {
      log::warn(
          "{}: left by a run that did not finish; --resume goes on with it, now it is replaced",
          folder_.string());
      fs::remove_all(folder_);
    }
    fs::create_directories(folder_);
  }

  void operator()(Network& network, const CopyTask& task) const {
    const std::string name = task.mask == nullptr
                                 ? "dense"
                                 : fmt::format("phase-{}-copy-{}", task.phase + 1, task.copy + 1);
    const fs::path done = folder_ / (name + ".safetensors");
    if (training_.resume && fs::exists(done)) return load(network, task, done);
    log::info("{}: {} {}", name, task.recipe.epochs, task.recipe.epochs == 1 ? "epoch" : "epochs");
    learning::TrainingOptions options;
    options.progress = training_.common.progress_mode();
    options.mask = task.mask;
    options.state_file = folder_ / (name + ".state.safetensors");
    options.resume = training_.resume;
    learning::train(network, training_.data.train, task.recipe, options);
    learning::save_tensors(done, learning::state_of(network), {{kCopyKey, identity(task)}}, true);
    fs::remove(options.state_file);
  }

  // The result is in its place: copies that stay are no failure.
  void forget() const {
    std::error_code error;
    fs::remove_all(folder_, error);
    if (error) log::warn("{}: cannot delete: {}", folder_.string(), error.message());
  }

 private:
  // Everything that the copy depends on, but for its start, which is what earlier copies gave.
  static std::string identity(const CopyTask& task) {
    const nlohmann::json json{
        {"recipe", task.recipe.document},
        {"seed", task.recipe.seed},
        {"epochs", task.recipe.epochs},
        {"learning_rate", task.recipe.optimizer.learning_rate},
        {"weight_decay", task.recipe.optimizer.weight_decay},
        {"mask",
         task.mask == nullptr ? std::string("none") : fmt::format("{:016x}", task.mask->hash())}};
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }

  static void load(Network& network, const CopyTask& task, const fs::path& file) {
    const auto source = open_checkpoint(file.string());
    const auto found = source->metadata().find(kCopyKey);
    if (found == source->metadata().end() || found->second != identity(task)) {
      throw InputError(
          "{}: a copy of another run; delete its folder, or use the recipe it was made"
          " with",
          file.string());
    }
    const auto kept = learning::load_network(*source, network.description());
    const NamedTensors values = learning::state_of(*kept);
    const torch::NoGradGuard no_grad;
    for (auto& [name, tensor] : learning::state_of(network)) {
      for (const auto& [its_name, value] : values) {
        if (its_name == name) torch::Tensor(tensor).copy_(value);
      }
    }
    network.eval();
  }

  const PrunedTraining& training_;
  fs::path folder_;
};

Json spread_json(const learned::Spread& spread) {
  return {{"least", spread.least}, {"mean", spread.mean}, {"most", spread.most}};
}

Json score_json(double score) { return std::isnan(score) ? Json() : Json(score); }

Json phase_json(const learned::SparsePhase& phase) {
  Json json{{"sparsity", phase.sparsity},
            {"pruned", phase.pruned},
            {"norm_drop", phase.step.norm_drop},
            {"learning_rate", phase.learning_rate},
            {"parent_accuracy", score_json(phase.parent_score)},
            {"copy_accuracies", Json::array()},
            {"ingredients", phase.ingredients},
            {"accuracy", score_json(phase.soup_score)},
            {"distance", spread_json(phase.distance)},
            {"angle", spread_json(phase.angle)},
            {"to_average", phase.to_average}};
  for (const double score : phase.scores) json["copy_accuracies"].push_back(score_json(score));
  return json;
}

void print_phases(const std::vector<learned::SparsePhase>& phases) {
  using Align = Table::Align;
  Table table({{"phase"},
               {"sparsity %", Align::right},
               {"pruned parent %", Align::right},
               {"copies %", Align::right},
               {"in the soup", Align::right},
               {"soup %", Align::right}});
  for (std::size_t i = 0; i < phases.size(); ++i) {
    const learned::SparsePhase& phase = phases[i];
    std::string copies;
    for (const double score : phase.scores) {
      copies += (copies.empty() ? "" : " ") + (std::isnan(score) ? "diverged" : percent(score));
    }
    table.add_row({std::to_string(i + 1), percent(phase.sparsity), percent(phase.parent_score),
                   copies, fmt::format("{} of {}", phase.ingredients.size(), phase.scores.size()),
                   percent(phase.soup_score)});
  }
  print(table.text());
}

struct Result {
  NamedTensors state;
  learned::PruningMask mask;
  Json details = Json::object();
  std::vector<learned::SparsePhase> phases;
};

Result make_soup(const PrunedTraining& training, const learning::Dataset& held_out,
                 const KeptCopies& copies) {
  learned::SparseSoupOptions options = training.prune.soup;
  options.score = [&](Network& network) { return accuracy_of(network, held_out); };
  options.train = std::cref(copies);
  learned::SparseSoup soup;
  if (training.prune.method == Method::budgeted) {
    soup = learned::budgeted_pruning(training.start, training.data.train, training.recipe,
                                     training.prune.dense_epochs, options);
  } else {
    const auto dense = learning::network_with(training.start, learning::state_of(training.start));
    if (training.recipe.network) {
      copies(*dense, {.phase = 0, .copy = 0, .mask = nullptr, .recipe = training.recipe});
    }
    soup = learned::sparse_soup(*dense, training.data.train, training.recipe, options);
  }
  Result result{std::move(soup.state), std::move(soup.mask), Json::object(),
                std::move(soup.phases)};
  result.details["phases"] = Json::array();
  for (const auto& phase : result.phases) result.details["phases"].push_back(phase_json(phase));
  return result;
}

learned::PrunedTraining pruned_in_training(const PrunedTraining& training,
                                           const KeptCopies& copies) {
  const PruneRecipe& prune = training.prune;
  if (prune.method == Method::sparse) {
    learned::SparseTrainingOptions options = prune.sparse;
    options.progress = training.common.progress_mode();
    return learned::sparse_training(training.start, training.data.train, training.recipe, options);
  }
  learned::GradualPruningOptions options = prune.gradual;
  options.progress = training.common.progress_mode();
  options.train = std::cref(copies);
  return prune.method == Method::gradual
             ? learned::gradual_pruning(training.start, training.data.train, training.recipe,
                                        options)
             : learned::dynamic_pruning(training.start, training.data.train, training.recipe,
                                        options);
}

Result prune_in_training(const PrunedTraining& training, const KeptCopies& copies) {
  learned::PrunedTraining pruned = pruned_in_training(training, copies);
  Result result{std::move(pruned.state), std::move(pruned.mask), Json::object(), {}};
  result.details["sparsities"] = pruned.sparsities;
  return result;
}

// Both files or none.
void save_both(const PrunedTraining& training, const fs::path& mask_file, const Result& result,
               bool replaces_mask) {
  const auto network = learning::network_with(training.start, result.state);
  const bool had_mask = fs::exists(mask_file);
  learning::save_mask(mask_file, result.mask, replaces_mask);
  try {
    learning::save_network(training.output, *network, training.overwrite);
  } catch (const std::exception&) {
    std::error_code ignored;
    if (!had_mask) fs::remove(mask_file, ignored);
    throw;
  }
}

// Whether copies are trained one by one, so that finished ones can be kept.
bool runs_in_pieces(const PruneRecipe& prune) {
  return prune.method == Method::soup || prune.method == Method::budgeted ||
         (prune.method == Method::gradual && prune.gradual.copies > 1);
}

}  // namespace

void train_pruned(const PrunedTraining& training) {
  const fs::path mask_file = beside(training.output, "", ".mask.safetensors");
  // A mask without its network is what a crash between the two left.
  const bool replaces_mask =
      training.overwrite || (training.resume && !fs::exists(training.output));
  if (fs::exists(mask_file) && !replaces_mask) {
    throw InputError("{}: exists already; use --overwrite to replace it", mask_file.string());
  }
  if (training.resume && !runs_in_pieces(training.prune)) {
    throw InputError(
        "--resume: methods that prune in training with one copy, and dynamic pruning, run in one"
        " piece; start again without it");
  }
  const learning::Dataset held_out =
      training.data.validation
          ? *training.data.validation
          : learning::load_held_out(training.recipe, training.start.description());
  const KeptCopies copies(training, beside(training.output, ".", ".resume"));
  const bool is_soup =
      training.prune.method == Method::soup || training.prune.method == Method::budgeted;
  Result result =
      is_soup ? make_soup(training, held_out, copies) : prune_in_training(training, copies);
  save_both(training, mask_file, result, replaces_mask);
  copies.forget();

  const auto network = learning::network_with(training.start, result.state);
  const double accuracy = accuracy_of(*network, held_out);
  if (training.common.json) {
    Json json{{"output", training.output.string()},
              {"mask", mask_file.string()},
              {"sparsity", result.mask.sparsity()},
              {"weights", result.mask.weights()},
              {"kept", result.mask.kept()},
              {"validation", {{"examples", held_out.count()}, {"accuracy", accuracy}}}};
    json.update(result.details);
    json["layers"] = Json::array();
    for (const auto& part : result.mask.parts()) {
      json["layers"].push_back({{"name", part.name},
                                {"weights", part.kept.numel()},
                                {"kept", part.kept.sum().item<std::int64_t>()}});
    }
    return print_json(json);
  }
  if (training.common.quiet) return;
  if (!result.phases.empty()) print_phases(result.phases);
  print(fmt::format("{}: {} of {} weights, validation accuracy {} %; mask in {}\n",
                    training.output.string(), result.mask.kept(), result.mask.weights(),
                    percent(accuracy), mask_file.string()));
}

}  // namespace amalgam::cli
