#include "amalgam/learning/optimizer.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "amalgam/core/error.hpp"

namespace amalgam::learning {
namespace {

using torch::optim::AdamOptions;
using torch::optim::AdamParamState;
using torch::optim::AdamWOptions;
using torch::optim::AdamWParamState;
using torch::optim::SGDOptions;
using torch::optim::SGDParamState;

std::unique_ptr<torch::optim::Optimizer> make_optimizer(const std::vector<torch::Tensor>& tensors,
                                                        const OptimizerOptions& options) {
  const auto adam_options = [&](auto adam) {
    return adam.betas({options.beta1, options.beta2}).weight_decay(options.weight_decay);
  };
  switch (options.kind) {
    case OptimizerOptions::Kind::sgd:
      return std::make_unique<torch::optim::SGD>(tensors, SGDOptions(options.learning_rate)
                                                              .momentum(options.momentum)
                                                              .weight_decay(options.weight_decay)
                                                              .nesterov(options.nesterov));
    case OptimizerOptions::Kind::adam:
      return std::make_unique<torch::optim::Adam>(tensors,
                                                  adam_options(AdamOptions(options.learning_rate)));
    case OptimizerOptions::Kind::adamw:
      return std::make_unique<torch::optim::AdamW>(
          tensors, adam_options(AdamWOptions(options.learning_rate)));
  }
  throw Error("unknown optimiser");
}

// What libtorch remembers of a parameter, by names of our own.
using Memory = std::vector<std::pair<const char*, torch::Tensor>>;

Memory to_memory(const SGDParamState& state) { return {{"momentum", state.momentum_buffer()}}; }
void from_memory(SGDParamState& state, const Memory& memory) {
  state.momentum_buffer(memory[0].second);
}

template <class AdamState>
Memory to_memory(const AdamState& state) {
  return {{"mean", state.exp_avg()},
          {"square", state.exp_avg_sq()},
          {"steps", torch::tensor(static_cast<double>(state.step()), torch::kDouble)}};
}
template <class AdamState>
void from_memory(AdamState& state, const Memory& memory) {
  state.exp_avg(memory[0].second);
  state.exp_avg_sq(memory[1].second);
  state.step(static_cast<std::int64_t>(memory[2].second.template item<double>()));
}

std::vector<const char*> memory_names(OptimizerOptions::Kind kind) {
  if (kind == OptimizerOptions::Kind::sgd) return {"momentum"};
  return {"mean", "square", "steps"};
}

template <class State>
std::unique_ptr<torch::optim::OptimizerParamState> restored(const Memory& memory) {
  auto state = std::make_unique<State>();
  from_memory(*state, memory);
  return state;
}

}  // namespace

Optimizer::Optimizer(const Network& network, const OptimizerOptions& options) : options_(options) {
  std::vector<torch::Tensor> tensors;
  for (const auto& one : network.named_parameters()) {
    parameters_.emplace_back(one.key(), one.value());
    tensors.push_back(one.value());
  }
  optimizer_ = make_optimizer(tensors, options);
}

void Optimizer::step(double factor, const PruningMask* mask) {
  if (mask != nullptr) {
    NamedTensors gradients;
    for (const auto& [name, tensor] : parameters_) {
      if (tensor.grad().defined()) gradients.emplace_back(name, tensor.grad());
    }
    mask->apply(gradients);
  }
  if (options_.clip_norm > 0) {
    std::vector<torch::Tensor> tensors;
    for (const auto& one : parameters_) tensors.push_back(one.second);
    torch::nn::utils::clip_grad_norm_(tensors, options_.clip_norm);
  }
  for (auto& group : optimizer_->param_groups()) {
    group.options().set_lr(factor * options_.learning_rate);
  }
  optimizer_->step();
  if (mask != nullptr) clear_outside(*mask);
}

NamedTensors Optimizer::memory() const {
  NamedTensors all;
  for (const auto& [name, tensor] : parameters_) {
    const auto found = optimizer_->state().find(c10::guts::to_string(tensor.unsafeGetTensorImpl()));
    if (found == optimizer_->state().end()) continue;
    Memory memory;
    switch (options_.kind) {
      case OptimizerOptions::Kind::sgd:
        memory = to_memory(static_cast<const SGDParamState&>(*found->second));
        break;
      case OptimizerOptions::Kind::adam:
        memory = to_memory(static_cast<const AdamParamState&>(*found->second));
        break;
      case OptimizerOptions::Kind::adamw:
        memory = to_memory(static_cast<const AdamWParamState&>(*found->second));
        break;
    }
    for (const auto& [what, value] : memory) {
      if (value.defined()) all.emplace_back(name + "/" + what, value);
    }
  }
  return all;
}

void Optimizer::clear_outside(const PruningMask& mask) {
  mask.apply(parameters_);
  NamedTensors remembered;
  for (const auto& [key, tensor] : memory()) {
    // "<parameter>/<what>"; the number of steps is one number.
    if (tensor.dim() > 0) remembered.emplace_back(key.substr(0, key.rfind('/')), tensor);
  }
  mask.apply(remembered);
}

void Optimizer::restore(const NamedTensors& memory, const std::string& where) {
  // Without momentum SGD remembers nothing.
  if (options_.kind == OptimizerOptions::Kind::sgd && !(options_.momentum > 0)) return;
  for (const auto& [name, tensor] : parameters_) {
    Memory mine;
    for (const char* what : memory_names(options_.kind)) {
      const std::string key = name + "/" + what;
      const auto found = std::find_if(memory.begin(), memory.end(),
                                      [&](const auto& one) { return one.first == key; });
      if (found == memory.end()) throw InputError("{}: '{}' is missing", where, key);
      mine.emplace_back(what, found->second);
    }
    auto& place = optimizer_->state()[c10::guts::to_string(tensor.unsafeGetTensorImpl())];
    switch (options_.kind) {
      case OptimizerOptions::Kind::sgd:
        place = restored<SGDParamState>(mine);
        break;
      case OptimizerOptions::Kind::adam:
        place = restored<AdamParamState>(mine);
        break;
      case OptimizerOptions::Kind::adamw:
        place = restored<AdamWParamState>(mine);
        break;
    }
  }
}

}  // namespace amalgam::learning
