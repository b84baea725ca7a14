#include "amalgam/weights/learned/sparse_training.hpp"

#include <array>
#include <cmath>
#include <memory>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/learning/batches.hpp"
#include "amalgam/learning/schedule.hpp"
#include "amalgam/weights/learned/reparameterisation.hpp"

namespace amalgam::learned {
namespace {

using learning::Dataset;
using learning::Network;
using learning::OptimizerOptions;
using learning::TrainingRecipe;

struct MethodInfo {
  SparseMethod method;
  const char* name;
  bool needs_decay = false;
  bool needs_momentum = false;
};
constexpr std::array kMethods{
    MethodInfo{SparseMethod::compression, "compression", /*needs_decay=*/true},
    MethodInfo{SparseMethod::sparse_momentum, "sparse_momentum", true, /*needs_momentum=*/true},
    MethodInfo{SparseMethod::top_weights, "top_weights"},
    MethodInfo{SparseMethod::soft_threshold, "soft_threshold"},
    MethodInfo{SparseMethod::continuous, "continuous"},
    MethodInfo{SparseMethod::unit_threshold, "unit_threshold"},
};

void check(const Network& start, const Dataset& data, const TrainingRecipe& recipe,
           const SparseTrainingOptions& options) {
  learning::check_fits(start, data);
  (void)learning::phase_fraction(options.sparsity, 1);  // refuses a sparsity that is none
  const MethodInfo& method = kMethods.at(static_cast<std::size_t>(options.method));
  const OptimizerOptions& optimizer = recipe.optimizer;
  if (optimizer.kind != OptimizerOptions::Kind::sgd) {
    throw InputError("pruning by {} needs the optimizer sgd", method.name);
  }
  if (method.needs_decay && !(optimizer.weight_decay > 0)) {
    throw InputError("pruning by {} needs weight decay, which makes weights small", method.name);
  }
  if (method.needs_momentum && !(optimizer.momentum > 0)) {
    throw InputError("pruning by {} needs momentum", method.name);
  }
  if (!std::isfinite(options.initial.value_or(0)) || !(options.penalty.value_or(0) >= 0) ||
      !std::isfinite(options.penalty.value_or(0)) || !(options.final_beta >= 1) ||
      !std::isfinite(options.final_beta)) {
    throw InputError(
        "pruning by {}: initial {}, penalty {}, final beta {}; expected finite numbers, at least 0,"
        " and at least 1",
        method.name, options.initial.value_or(0), options.penalty.value_or(0), options.final_beta);
  }
}

// The `count` largest of all elements of some tensors together, as a mask like PruningMask's.
PruningMask largest(const NamedTensors& keys, double sparsity) {
  return learning::prune_to(keys, learning::full_mask(keys), sparsity, {});
}

learning::TrainingOptions training_with(Progress::Mode progress) {
  learning::TrainingOptions training;
  training.progress = progress;
  return training;
}

NamedTensors copies_of(const NamedTensors& tensors) {
  NamedTensors copies;
  for (const auto& [name, tensor] : tensors) copies.emplace_back(name, tensor.detach().clone());
  return copies;
}

void write(const NamedTensors& to, const NamedTensors& from) {
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < to.size(); ++i) torch::Tensor(to[i].second).copy_(from[i].second);
}

// LC: takes the decay of the largest weights out of their gradients.
void decay_the_smallest(const NamedTensors& weights, const SparseTrainingOptions& options,
                        double decay) {
  const torch::NoGradGuard no_grad;
  const PruningMask mask = largest(weights, options.sparsity);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const torch::Tensor& weight = weights[i].second;
    torch::Tensor gradient = weight.grad();
    gradient.sub_(decay * weight * mask.parts()[i].kept);
  }
}

// GSM: leaves gradients only where |w dL/dw| is largest.
void keep_strongest_gradients(const NamedTensors& weights, const SparseTrainingOptions& options) {
  const torch::NoGradGuard no_grad;
  NamedTensors keys;
  for (const auto& [name, weight] : weights) keys.emplace_back(name, weight * weight.grad());
  const PruningMask mask = largest(keys, options.sparsity);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    torch::Tensor gradient = weights[i].second.grad();
    gradient.mul_(mask.parts()[i].kept);
  }
}

// What is left when a run ends: the network's weights, and which of them the method would keep.
struct Outcome {
  NamedTensors weights;
  PruningMask mask;
};

// Runs a network with its largest weights; what moves is all of them (DNW).
class StraightThrough {
 public:
  StraightThrough(const NamedTensors& weights, const SparseTrainingOptions& options)
      : weights_(weights), options_(options) {}

  void before_forward(std::uint64_t /*step*/) {
    dense_ = copies_of(weights_);
    largest(weights_, options_.sparsity).apply(weights_);
  }
  void before_update(std::uint64_t /*step*/) { write(weights_, dense_); }

 private:
  const NamedTensors& weights_;
  const SparseTrainingOptions& options_;
  NamedTensors dense_;
};

// Runs a network with weights that are made from dense ones and numbers beside them; both learn.
class Reparameterised {
 public:
  Reparameterised(const NamedTensors& weights, const TrainingRecipe& recipe, std::uint64_t steps,
                  const SparseTrainingOptions& options)
      : weights_(weights),
        recipe_(recipe),
        steps_(steps),
        method_(make_reparameterisation(options)) {
    for (const auto& [name, weight] : weights_) {
      beside_.push_back(method_->beside(weight.detach()).requires_grad_(true));
    }
    const OptimizerOptions& sgd = recipe.optimizer;
    optimizer_ = std::make_unique<torch::optim::SGD>(
        beside_, torch::optim::SGDOptions(sgd.learning_rate)
                     .momentum(sgd.momentum)
                     .nesterov(sgd.nesterov)
                     .weight_decay(method_->decays() ? sgd.weight_decay : 0));
  }

  void before_forward(std::uint64_t step) {
    const torch::NoGradGuard no_grad;
    method_->advance(step, steps_);
    dense_ = copies_of(weights_);
    write(weights_, effective(dense_));
  }

  void before_update(std::uint64_t step) {
    const torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      torch::Tensor gradient = weights_[i].second.grad();
      const WeightGradients gradients = method_->gradients(dense_[i].second, beside_[i], gradient);
      gradient.copy_(gradients.dense);
      beside_[i].mutable_grad() = gradients.beside;
    }
    write(weights_, dense_);
    for (auto& group : optimizer_->param_groups()) {
      group.options().set_lr(recipe_.optimizer.learning_rate *
                             learning::schedule_factor(recipe_.schedule, step, steps_));
    }
    optimizer_->step();
  }

  Outcome outcome() {
    const torch::NoGradGuard no_grad;
    method_->advance(steps_, steps_);
    Outcome result;
    result.weights = effective(weights_);
    std::vector<PruningMask::Part> parts;
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      parts.push_back({weights_[i].first, method_->kept(weights_[i].second, beside_[i])});
    }
    result.mask = PruningMask(std::move(parts));
    return result;
  }

 private:
  NamedTensors effective(const NamedTensors& dense) {
    NamedTensors made;
    for (std::size_t i = 0; i < dense.size(); ++i) {
      torch::Tensor beside = beside_[i].detach();
      made.emplace_back(dense[i].first, method_->effective(dense[i].second.detach(), beside));
    }
    return made;
  }

  const NamedTensors& weights_;
  const TrainingRecipe& recipe_;
  std::uint64_t steps_;
  std::unique_ptr<Reparameterisation> method_;
  std::vector<torch::Tensor> beside_;
  std::unique_ptr<torch::optim::SGD> optimizer_;
  NamedTensors dense_;
};

template <class Method>
void train_with(Network& network, const Dataset& data, const TrainingRecipe& recipe,
                const SparseTrainingOptions& options, Method& method) {
  learning::TrainingOptions training = training_with(options.progress);
  training.before_forward = [&](std::uint64_t step) { method.before_forward(step); };
  training.before_update = [&](std::uint64_t step) { method.before_update(step); };
  learning::train(network, data, recipe, training);
}

// By gradients that are changed before each step.
Outcome train_by_gradients(Network& network, const Dataset& data, const TrainingRecipe& recipe,
                           const SparseTrainingOptions& options, const NamedTensors& weights) {
  learning::TrainingOptions training = training_with(options.progress);
  training.before_update = [&](std::uint64_t) {
    if (options.method == SparseMethod::compression) {
      decay_the_smallest(weights, options, recipe.optimizer.weight_decay);
    } else {
      keep_strongest_gradients(weights, options);
    }
  };
  learning::train(network, data, recipe, training);
  return {copies_of(weights), learning::full_mask(weights)};
}

Outcome train_sparsely(Network& network, const Dataset& data, const TrainingRecipe& recipe,
                       const SparseTrainingOptions& options) {
  const NamedTensors weights = learning::prunable_weights(network);
  switch (options.method) {
    case SparseMethod::compression:
    case SparseMethod::sparse_momentum:
      return train_by_gradients(network, data, recipe, options, weights);
    case SparseMethod::top_weights: {
      StraightThrough method(weights, options);
      train_with(network, data, recipe, options, method);
      return {copies_of(weights), learning::full_mask(weights)};
    }
    default: {
      const std::uint64_t steps = recipe.epochs * learning::Batches(data, recipe).per_epoch();
      Reparameterised method(weights, recipe, steps, options);
      train_with(network, data, recipe, options, method);
      return method.outcome();
    }
  }
}

}  // namespace

std::vector<std::string> sparse_method_names() {
  std::vector<std::string> names;
  names.reserve(kMethods.size());
  for (const MethodInfo& method : kMethods) names.emplace_back(method.name);
  return names;
}

PrunedTraining sparse_training(const Network& start, const Dataset& data,
                               const TrainingRecipe& recipe, const SparseTrainingOptions& options) {
  check(start, data, recipe, options);
  const auto network = learning::network_with(start, learning::state_of(start));
  const Outcome outcome = train_sparsely(*network, data, recipe, options);
  const NamedTensors weights = learning::prunable_weights(*network);
  write(weights, outcome.weights);
  PrunedTraining result;
  result.sparsities.push_back(outcome.mask.sparsity());
  result.mask = learning::prune_to(weights, outcome.mask, options.sparsity, options.pruning);
  result.sparsities.push_back(result.mask.sparsity());
  if (result.sparsities[0] > options.sparsity) {
    log::warn("pruning by {}: {:.4f} of the weights are 0, more than the {} that were asked for",
              kMethods.at(static_cast<std::size_t>(options.method)).name, result.sparsities[0],
              options.sparsity);
  }
  result.mask.apply(weights);
  refresh_batch_norm(*network, data, options.batch_norm_share);
  result.state = learning::copied_state(*network);
  return result;
}

}  // namespace amalgam::learned
