#include "amalgam/learning/trainer.hpp"

#include <ATen/Parallel.h>
#include <cblas-openblas.h>
#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/learning/batches.hpp"
#include "amalgam/learning/network_file.hpp"
#include "amalgam/learning/schedule.hpp"

namespace amalgam::learning {
namespace {

class Trainer {
 public:
  Trainer(Network& network, const Dataset& data, const TrainingRecipe& recipe,
          const TrainingOptions& options)
      : network_(network),
        recipe_(recipe),
        options_(options),
        batches_(data, recipe),
        optimizer_(network, recipe.optimizer),
        average_(network, recipe.average),
        steps_(recipe.epochs * batches_.per_epoch()) {}

  TrainingReport run(std::uint64_t examples) {
    if (options_.resume && std::filesystem::exists(options_.state_file)) {
      done_ = load_training_state(options_.state_file, network_, optimizer_, average_, recipe_);
      if (options_.mask != nullptr && options_.mask->largest_outside(state_of(network_)) > 0) {
        throw InputError("{}: the state of a run with another pruning mask",
                         options_.state_file.string());
      }
    }
    TrainingReport report;
    report.first_epoch = done_.epochs.size();
    Progress progress("training", (recipe_.epochs - report.first_epoch) * batches_.per_epoch(),
                      Progress::Unit::items, options_.progress);
    network_.train();
    for (std::uint64_t epoch = report.first_epoch; epoch < recipe_.epochs; ++epoch) {
      done_.epochs.push_back(run_epoch(epoch, progress));
      average_.after_epoch(epoch);
      if (!options_.state_file.empty() && epoch + 1 < recipe_.epochs) {
        save_training_state(options_.state_file, network_, optimizer_, average_, done_, recipe_);
      }
      if (options_.after_epoch) options_.after_epoch(epoch);
    }
    average_.apply();
    if (options_.mask != nullptr) options_.mask->apply(state_of(network_));
    network_.eval();
    progress.finish();
    report.epochs = done_.epochs;
    report.steps = steps_;
    report.examples = examples;
    report.seconds = progress.seconds();
    return report;
  }

 private:
  EpochRecord run_epoch(std::uint64_t epoch, Progress& progress) {
    double loss_sum = 0;
    double examples = 0;
    double factor = 0;
    for (std::uint64_t index = 0; index < batches_.per_epoch(); ++index) {
      check_interrupt();
      const std::uint64_t step = epoch * batches_.per_epoch() + index;
      const Batch batch = batches_.get(epoch, index);
      if (options_.before_forward) options_.before_forward(step);
      const torch::Tensor loss =
          training_loss(network_.forward(batch.inputs), batch, recipe_.label_smoothing);
      const auto value = loss.item<double>();
      if (!std::isfinite(value)) throw diverged(step, epoch, value);
      optimizer_.zero_gradients();
      loss.backward();
      if (options_.before_update) options_.before_update(step);
      factor = schedule_factor(recipe_.schedule, step, steps_);
      optimizer_.step(factor, options_.mask);
      average_.after_step();

      const auto count = static_cast<double>(batch.labels.size(0));
      loss_sum += value * count;
      examples += count;
      progress.advance(1);
      progress.describe(
          fmt::format("epoch {}/{}  loss {:.4f}", epoch + 1, recipe_.epochs, loss_sum / examples));
    }
    return {loss_sum / examples, factor * recipe_.optimizer.learning_rate};
  }

  Diverged diverged(std::uint64_t step, std::uint64_t epoch, double loss) const {
    const bool kept = !options_.state_file.empty() && epoch > 0;
    return Diverged(
        "the loss is {} at step {} of {} (epoch {}); lower optimizer.learning_rate, or set"
        " optimizer.clip_norm{}",
        loss, step + 1, steps_, epoch + 1,
        kept ? "; the last good weights are in " + options_.state_file.string() : "");
  }

  Network& network_;
  const TrainingRecipe& recipe_;
  const TrainingOptions& options_;
  Batches batches_;
  Optimizer optimizer_;
  WeightAverage average_;
  std::uint64_t steps_ = 0;
  TrainingProgress done_;
};

}  // namespace

std::shared_ptr<Network> initial_network(const TrainingRecipe& recipe, const Dataset& data) {
  if (!recipe.init.empty()) {
    auto network = load_network(*open_checkpoint(recipe.init));
    check_fits(*network, data);
    return network;
  }
  nlohmann::json json = *recipe.network;
  if (!json.is_object()) {
    throw InputError("the recipe's 'network' is {}; expected keys with values", json.dump());
  }
  for (const char* key : {"input", "classes"}) {
    if (json.contains(key)) {
      throw InputError("the recipe's network.{} is not yours to set: it comes from the data", key);
    }
  }
  bool standardise = true;
  if (const auto asked = json.find("standardise"); asked != json.end()) {
    if (!asked->is_boolean()) {
      throw InputError("the recipe's network.standardise is {}; expected true or false",
                       asked->dump());
    }
    standardise = asked->get<bool>();
    json.erase(asked);
  }
  const auto channels = static_cast<std::size_t>(data.inputs.size(1));
  const ChannelStatistics statistics = standardise
                                           ? channel_statistics(data)
                                           : ChannelStatistics{std::vector<double>(channels, 0.0),
                                                               std::vector<double>(channels, 1.0)};
  json["input"] = {{"shape", std::vector<std::int64_t>(data.inputs.sizes().begin() + 1,
                                                       data.inputs.sizes().end())},
                   {"mean", statistics.mean},
                   {"deviation", statistics.deviation}};
  json["classes"] = data.class_names;
  const std::string where = "the recipe's network";
  auto network = make_network(parse_network_description(json, where), where);
  initialise(*network, recipe.seed);
  return network;
}

torch::Tensor training_loss(const torch::Tensor& logits, const Batch& batch,
                            double label_smoothing) {
  const auto options =
      torch::nn::functional::CrossEntropyFuncOptions().label_smoothing(label_smoothing);
  const auto loss = [&](const torch::Tensor& labels) {
    return torch::nn::functional::cross_entropy(logits, labels, options);
  };
  if (!batch.second_labels.defined()) return loss(batch.labels);
  return loss(batch.labels) * batch.share + loss(batch.second_labels) * (1.0 - batch.share);
}

TrainingReport train(Network& network, const Dataset& data, const TrainingRecipe& recipe,
                     const TrainingOptions& options) {
  check_fits(network, data);
  if (options.mask != nullptr) options.mask->apply(state_of(network));
  return Trainer(network, data, recipe, options).run(static_cast<std::uint64_t>(data.count()));
}

void set_threads(std::size_t threads) {
  at::set_num_threads(static_cast<int>(threads));
  // Debian's libtorch multiplies matrices with OpenBLAS, which has threads of its own.
  openblas_set_num_threads(static_cast<int>(threads));
}

}  // namespace amalgam::learning
