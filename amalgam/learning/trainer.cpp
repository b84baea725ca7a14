#include "amalgam/learning/trainer.hpp"

#include <ATen/Parallel.h>
#include <cblas-openblas.h>
#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/description/encoding.hpp"
#include "amalgam/learning/batch_norm.hpp"
#include "amalgam/learning/batches.hpp"
#include "amalgam/learning/network_file.hpp"
#include "amalgam/learning/number_evaluation.hpp"
#include "amalgam/learning/schedule.hpp"
#include "amalgam/learning/validation.hpp"

namespace amalgam::learning {
namespace {

// The data for the head that the recipe has for soft labels (the tensors are shared).
std::optional<Dataset> of_soft_head(const Dataset& data, const TrainingRecipe& recipe) {
  if (!recipe.data.soft || recipe.data.soft->head.empty()) return std::nullopt;
  Dataset side = data;
  side.head = recipe.data.soft->head;
  return side;
}

class Trainer {
 public:
  Trainer(Network& network, const Dataset& data, const TrainingRecipe& recipe,
          const TrainingOptions& options)
      : network_(network),
        data_(data),
        soft_side_(of_soft_head(data, recipe)),
        recipe_(recipe),
        options_(options),
        batches_(data, recipe),
        optimizer_(network, recipe.optimizer),
        average_(network, recipe.average),
        stopper_(recipe.early_stop),
        steps_(recipe.epochs * batches_.per_epoch()) {}

  TrainingReport run(std::uint64_t examples) {
    resume();
    TrainingReport report;
    report.first_epoch = done_.epochs.size();
    Progress progress("training", (recipe_.epochs - report.first_epoch) * batches_.per_epoch(),
                      Progress::Unit::items, options_.progress);
    network_.train();
    for (std::uint64_t epoch = report.first_epoch; epoch < recipe_.epochs && !stopper_.stops(done_);
         ++epoch) {
      last_good_ = copied_state(network_);
      done_.epochs.push_back(run_epoch(epoch, progress));
      average_.after_epoch(epoch);
      if (options_.validation != nullptr) judge(epoch);
      const bool last = epoch + 1 == recipe_.epochs || stopper_.stops(done_);
      if (!options_.state_file.empty() && !last) {
        save_training_state(options_.state_file, network_, optimizer_, average_, done_, recipe_);
      }
      if (options_.after_epoch) options_.after_epoch(epoch);
    }
    finish();
    progress.finish();
    report.epochs = done_.epochs;
    report.best_epoch = done_.best_epoch;
    report.steps = done_.epochs.size() * batches_.per_epoch();
    report.examples = examples;
    report.seconds = progress.seconds();
    return report;
  }

 private:
  void resume() {
    if (!options_.resume || !std::filesystem::exists(options_.state_file)) return;
    done_ = load_training_state(options_.state_file, network_, optimizer_, average_, recipe_);
    if (options_.mask != nullptr && options_.mask->largest_outside(state_of(network_)) > 0) {
      throw InputError("{}: the state of a run with another pruning mask",
                       options_.state_file.string());
    }
  }

  // The validation examples see the weights that the network would have if the run ended now.
  void judge(std::uint64_t epoch) {
    const bool averaged = average_.count() > 0;
    const NamedTensors weights = averaged ? copied_state(network_) : NamedTensors();
    if (averaged) apply_average();
    const ValidationFigures figures = validate(network_, *options_.validation);
    if (!std::isfinite(figures.loss)) {
      throw diverged(fmt::format("the loss on the validation examples is {}", figures.loss),
                     (epoch + 1) * batches_.per_epoch() - 1, epoch);
    }
    done_.epochs.back().validation = figures;
    stopper_.note(epoch, figures, network_, done_);
    if (averaged) restore(weights);
  }

  void finish() {
    if (done_.best_epoch) {
      restore(done_.best_weights);
    } else {
      apply_average();
    }
    if (options_.mask != nullptr) options_.mask->apply(state_of(network_));
    network_.eval();
  }

  void apply_average() {
    average_.apply();
    // Statistics are not averaged: what they are of changes with the weights.
    if (average_.count() > 0 && has_batch_norm(network_)) reset_batch_norm(network_, data_);
  }

  void restore(const NamedTensors& weights) {
    const torch::NoGradGuard no_grad;
    const NamedTensors state = state_of(network_);
    for (std::size_t i = 0; i < state.size(); ++i) {
      torch::Tensor target = state[i].second;
      target.copy_(weights[i].second);
    }
  }

  EpochRecord run_epoch(std::uint64_t epoch, Progress& progress) {
    double loss_sum = 0;
    double examples = 0;
    double factor = 0;
    for (std::uint64_t index = 0; index < batches_.per_epoch(); ++index) {
      check_interrupt();
      const std::uint64_t step = epoch * batches_.per_epoch() + index;
      const Batch batch = batches_.get(epoch, index);
      if (options_.before_forward) options_.before_forward(step);
      const torch::Tensor loss = loss_of(network_.forward(batch.inputs), batch);
      const auto value = loss.item<double>();
      if (!std::isfinite(value)) throw diverged(fmt::format("the loss is {}", value), step, epoch);
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
      progress.describe(fmt::format("epoch {}/{}  loss {:.4f}{}", epoch + 1, recipe_.epochs,
                                    loss_sum / examples, validation_text()));
    }
    check_weights(epoch);
    return {loss_sum / examples, factor * recipe_.optimizer.learning_rate};
  }

  // Of two heads, if the recipe has one for soft labels: labels by the data's, soft labels by it.
  torch::Tensor loss_of(const torch::Tensor& logits, const Batch& batch) const {
    const torch::Tensor own = logits_of_head(network_, data_, logits);
    if (!soft_side_) return training_loss(own, batch, recipe_.label_smoothing);
    Batch labelled = batch;
    labelled.soft_labels = torch::Tensor();
    return training_loss(own, labelled, recipe_.label_smoothing) +
           training_loss(logits_of_head(network_, *soft_side_, logits), batch,
                         recipe_.label_smoothing);
  }

  // What the last whole epoch's validation figures look like beside the progress bar.
  std::string validation_text() const {
    if (done_.epochs.empty() || !done_.epochs.back().validation) return "";
    const ValidationFigures& figures = *done_.epochs.back().validation;
    if (data_.predicts_numbers()) {
      return fmt::format("  validation {:.4f}, R2 {}", figures.loss, r2_text(figures.accuracy));
    }
    return fmt::format("  validation {:.4f}, {:.2f} %", figures.loss, 100 * figures.accuracy);
  }

  // The last step of an epoch may have spoilt weights that no loss has seen yet.
  void check_weights(std::uint64_t epoch) {
    for (const auto& [name, tensor] : state_of(network_)) {
      if (tensor.isfinite().all().item<bool>()) continue;
      throw diverged(fmt::format("'{}' has weights that are not finite", name),
                     (epoch + 1) * batches_.per_epoch() - 1, epoch);
    }
  }

  // Gives the network the last good weights.
  Diverged diverged(const std::string& what, std::uint64_t step, std::uint64_t epoch) {
    restore(last_good_);
    network_.eval();
    return {fmt::format("{} at step {} of {} (epoch {}); lower optimizer.learning_rate, or set"
                        " optimizer.clip_norm",
                        what, step + 1, steps_, epoch + 1),
            epoch};
  }

  Network& network_;
  const Dataset& data_;
  const std::optional<Dataset> soft_side_;  // the same for the head that learns soft labels
  const TrainingRecipe& recipe_;
  const TrainingOptions& options_;
  Batches batches_;
  Optimizer optimizer_;
  WeightAverage average_;
  EarlyStopper stopper_;
  std::uint64_t steps_ = 0;
  TrainingProgress done_;
  NamedTensors last_good_;  // after the last whole epoch
};

// Which channels are flags (categories, missing numbers): 0 or 1 by themselves.
std::vector<bool> flag_channels(const Dataset& data) {
  const auto channels = static_cast<std::size_t>(data.inputs.size(1));
  std::vector<bool> flags;
  if (!data.encoding.is_null()) {
    const TableLayout layout = parse_table_layout(data.encoding, data.class_names, data.source);
    for (const TableColumn& column : layout.columns) {
      flags.push_back(!column.is_number());
      flags.insert(flags.end(), column.width() - 1, true);
    }
  }
  flags.resize(channels, false);
  return flags;
}

// What a new network's description says of its input.
nlohmann::json input_of(const Dataset& data, bool standardise) {
  nlohmann::json input = nlohmann::json::object();
  input["shape"] =
      std::vector<std::int64_t>(data.inputs.sizes().begin() + 1, data.inputs.sizes().end());
  if (!data.encoding.is_null()) input["encoding"] = data.encoding;
  if (data.is_text()) return input;
  const auto channels = static_cast<std::size_t>(data.inputs.size(1));
  ChannelStatistics statistics{std::vector<double>(channels, 0.0),
                               std::vector<double>(channels, 1.0)};
  if (standardise) {
    const ChannelStatistics found = channel_statistics(data);
    const std::vector<bool> flags = flag_channels(data);
    for (std::size_t channel = 0; channel < channels; ++channel) {
      if (flags[channel]) continue;
      statistics.mean[channel] = found.mean[channel];
      statistics.deviation[channel] = found.deviation[channel];
    }
  }
  input["mean"] = statistics.mean;
  input["deviation"] = statistics.deviation;
  return input;
}

// The data's classes are those of a new network, or of the heads of it that are trained.
void add_classes(nlohmann::json& network, const Dataset& data, const std::string& soft_head) {
  if (!network.contains("heads")) {
    network["classes"] = data.class_names;
    return;
  }
  for (nlohmann::json& head : network["heads"]) {
    if (!head.is_object() || head.contains("classes")) continue;
    const nlohmann::json name = head.value("name", nlohmann::json());
    if (name == data.head || (!soft_head.empty() && name == soft_head)) {
      head["classes"] = data.class_names;
    }
  }
}

void check_trainable(const Network& network, const Dataset& data, const TrainingRecipe& recipe,
                     const TrainingOptions& options) {
  if (data.count() == 0) throw InputError("{}: no examples to train on", data.source);
  check_fits(network, data);
  if (const auto side = of_soft_head(data, recipe)) {
    if (side->head == data.head || data.head.empty() || !data.soft_labels.defined()) {
      throw InputError(
          "{}: data.soft.head '{}' learns soft labels beside data.head, which learns the most"
          " probable class; expected two heads of the network, and soft labels",
          data.source, side->head);
    }
    check_fits(network, *side);
  }
  check_mixing(recipe, data);
  if (recipe.label_smoothing > 0) check_classes(data, "label_smoothing");
  const auto count = static_cast<std::uint64_t>(data.count());
  check_schedule(recipe.schedule, recipe.epochs * ((count + recipe.batch - 1) / recipe.batch));
  if (options.validation != nullptr) {
    check_fits(network, *options.validation);
    if (options.validation->count() > 0) return;
    throw InputError("{}: no examples to validate on", options.validation->source);
  }
  if (recipe.early_stop) throw InputError("early stopping needs validation examples");
}

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
  json["input"] = input_of(data, standardise);
  add_classes(json, data, recipe.data.soft ? recipe.data.soft->head : "");
  const std::string where = "the recipe's network";
  auto network = make_network(parse_network_description(json, where), where);
  initialise(*network, recipe.seed);
  return network;
}

torch::Tensor training_loss(const torch::Tensor& logits, const Batch& batch,
                            double label_smoothing) {
  if (batch.targets.defined()) {
    return torch::nn::functional::mse_loss(logits.flatten(), batch.targets);
  }
  const auto options =
      torch::nn::functional::CrossEntropyFuncOptions().label_smoothing(label_smoothing);
  if (batch.soft_labels.defined())
    return torch::nn::functional::cross_entropy(logits, batch.soft_labels, options);
  const auto loss = [&](const torch::Tensor& labels) {
    return torch::nn::functional::cross_entropy(logits.flatten(0, -2), labels.flatten(), options);
  };
  if (!batch.second_labels.defined()) return loss(batch.labels);
  return loss(batch.labels) * batch.share + loss(batch.second_labels) * (1.0 - batch.share);
}

TrainingReport train(Network& network, const Dataset& data, const TrainingRecipe& recipe,
                     const TrainingOptions& options) {
  check_trainable(network, data, recipe, options);
  if (options.mask != nullptr) options.mask->apply(state_of(network));
  return Trainer(network, data, recipe, options).run(static_cast<std::uint64_t>(data.count()));
}

void set_threads(std::size_t threads) {
  // Asked for a number of threads, libtorch also makes a pool that nothing here uses, and waits for
  // ever if the system makes none. What it finds in the environment at first it takes without.
  setenv("OMP_NUM_THREADS", std::to_string(threads).c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
  if (at::get_num_threads() != static_cast<int>(threads)) {
    at::set_num_threads(static_cast<int>(threads));
  }
  // Debian's libtorch multiplies matrices with OpenBLAS, which has threads of its own.
  openblas_set_num_threads(static_cast<int>(threads));
}

}  // namespace amalgam::learning
