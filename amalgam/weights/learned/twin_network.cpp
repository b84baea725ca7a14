#include "amalgam/weights/learned/twin_network.hpp"

#include <algorithm>
#include <utility>

#include "amalgam/core/error.hpp"

namespace amalgam::learned {
namespace {

using learning::BatchNorm;
using learning::Convolution;
using learning::Embedding;
using learning::Layer;
using learning::LayerNorm;
using learning::LayerObserver;
using learning::LearnedConstant;
using learning::Linear;
using learning::NetworkDescription;
using learning::RmsNorm;

// The shared network subtracts means itself.
NetworkDescription without_scaling(NetworkDescription description) {
  std::ranges::fill(description.input_mean, 0.0);
  std::ranges::fill(description.input_deviation, 1.0);
  return description;
}

const void* identity(const torch::Tensor& parameter) { return parameter.unsafeGetTensorImpl(); }

// [batch, n] so that it meets x [batch, ..., n].
torch::Tensor before_last(const torch::Tensor& values, const torch::Tensor& x) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(x.dim()), 1);
  shape.front() = values.size(0);
  shape.back() = values.size(1);
  return values.view(shape);
}

// [batch, channels] so that it meets x [batch, channels, ...].
torch::Tensor per_channel(const torch::Tensor& values, const torch::Tensor& x) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(x.dim()), 1);
  shape[0] = values.size(0);
  shape[1] = values.size(1);
  return values.view(shape);
}

void check_modules(const TwinModel& model) {
  const NamedTensors state = learning::state_of(*model.shared);
  if (model.tasks.size() != model.modules.size() || model.tasks.empty()) {
    throw InputError("{} tasks and {} modules; expected as many, at least one", model.tasks.size(),
                     model.modules.size());
  }
  for (std::size_t k = 0; k < model.modules.size(); ++k) {
    for (const ExclusiveTensor& tensor : model.modules[k]) {
      const auto found = std::ranges::find(state, tensor.name, &NamedTensors::value_type::first);
      if (found == state.end() || found->second.sizes() != torch::IntArrayRef(tensor.shape)) {
        throw InputError("module of task '{}': tensor '{}' {} the shared model", model.tasks[k],
                         tensor.name,
                         found == state.end() ? "is not in" : "has another shape than in");
      }
    }
  }
  if (!model.heads.empty() && model.heads.size() != model.tasks.size()) {
    throw InputError("{} heads for {} tasks; expected one for each, or none", model.heads.size(),
                     model.tasks.size());
  }
  for (const std::string& head : model.heads) {
    (void)model.shared->description().head(head, "the shared model");
  }
  if (model.router != nullptr &&
      model.router->tasks() != static_cast<std::int64_t>(model.tasks.size())) {
    throw InputError("the router tells {} tasks apart, but there are {} modules",
                     model.router->tasks(), model.tasks.size());
  }
}

}  // namespace

TwinNetwork::TwinNetwork(TwinModel model)
    : Network(without_scaling(model.shared->description())), model_(std::move(model)) {
  check_modules(model_);
  register_module("shared", model_.shared);
  model_.shared->eval();
  for (const auto& parameter : model_.shared->named_parameters()) {
    Change change = change_of(parameter.key());
    if (!change.empty()) changes_.emplace_back(identity(parameter.value()), std::move(change));
  }
  eval();
}

TwinNetwork::Change TwinNetwork::change_of(const std::string& name) const {
  Change change;
  std::vector<torch::Tensor> downs;
  std::vector<torch::Tensor> ups;
  std::vector<torch::Tensor> tasks;
  for (std::size_t k = 0; k < model_.modules.size(); ++k) {
    const auto found = std::ranges::find(model_.modules[k], name, &ExclusiveTensor::name);
    if (found == model_.modules[k].end()) continue;
    const auto task = static_cast<std::int64_t>(k);
    if (!found->factored()) {
      change.whole.emplace_back(task, found->whole);
      continue;
    }
    downs.push_back(found->singular.unsqueeze(1) * found->right);
    ups.push_back(found->left);
    tasks.push_back(torch::full({found->singular.size(0)}, task, torch::kLong));
  }
  if (downs.empty()) return change;
  change.down = torch::cat(downs);
  change.up = torch::cat(ups, 1);
  change.task_of_factor = torch::cat(tasks);
  return change;
}

void TwinNetwork::add(const Layer& layer, const torch::Tensor& input, const torch::Tensor& output,
                      const torch::Tensor& shares) const {
  const auto change_to = [&](const torch::Tensor& parameter) -> const Change* {
    if (!parameter.defined()) return nullptr;
    const auto found =
        std::ranges::find(changes_, identity(parameter), &std::pair<const void*, Change>::first);
    return found == changes_.end() ? nullptr : &found->second;
  };
  // sum_k shares[., k] v_k of a small tensor, [batch, entries].
  const auto mixed = [&](const Change& change) {
    torch::Tensor sum;
    for (const auto& [task, whole] : change.whole) {
      const torch::Tensor part = shares.select(1, task).unsqueeze(1) * whole.flatten();
      sum = sum.defined() ? sum + part : part;
    }
    return sum;
  };
  // sum_k shares[., k] f(v_k), for f linear in the weight; `rows` are what the right factors see.
  const auto by_parts = [&](const Change& change, const auto& apply, const auto& apply_factors) {
    for (const auto& [task, whole] : change.whole) {
      const torch::Tensor part = apply(whole);
      std::vector<std::int64_t> shape(static_cast<std::size_t>(part.dim()), 1);
      shape.front() = shares.size(0);
      output.add_(part * shares.select(1, task).view(shape));
    }
    if (change.down.defined()) {
      output.add_(apply_factors(change, shares.index_select(1, change.task_of_factor)));
    }
  };

  const Change* weight = change_to(layer.weight);
  const Change* bias = change_to(layer.bias);
  if (weight != nullptr && dynamic_cast<const Linear*>(&layer) != nullptr) {
    by_parts(
        *weight, [&](const torch::Tensor& whole) { return torch::linear(input, whole); },
        [&](const Change& change, const torch::Tensor& scale) {
          const torch::Tensor inner = torch::linear(input, change.down);
          return torch::linear(inner * before_last(scale, inner), change.up);
        });
  } else if (const auto* convolution = dynamic_cast<const Convolution*>(&layer);
             weight != nullptr && convolution != nullptr) {
    const torch::Tensor patches = convolution->patches(input);  // [batch, columns, positions]
    by_parts(
        *weight,
        [&](const torch::Tensor& whole) {
          return torch::matmul(whole.flatten(1), patches).view(output.sizes());
        },
        [&](const Change& change, const torch::Tensor& scale) {
          const torch::Tensor inner = torch::matmul(change.down, patches);
          return torch::matmul(change.up, inner * scale.unsqueeze(2)).view(output.sizes());
        });
  } else if (weight != nullptr && dynamic_cast<const Embedding*>(&layer) != nullptr) {
    by_parts(
        *weight, [&](const torch::Tensor& whole) { return torch::embedding(whole, input); },
        [&](const Change& change, const torch::Tensor& scale) {
          const torch::Tensor inner = torch::embedding(change.up, input);
          return torch::matmul(inner * before_last(scale, inner), change.down);
        });
  } else if (weight != nullptr && dynamic_cast<const LearnedConstant*>(&layer) != nullptr) {
    output.copy_(output + mixed(*weight).view(output.sizes()));
  } else if (weight != nullptr) {
    if (const auto* batch_norm = dynamic_cast<const BatchNorm*>(&layer)) {
      const torch::Tensor x = batch_norm->normalised(input);
      output.add_(x * per_channel(mixed(*weight), x));
    } else if (const auto* layer_norm = dynamic_cast<const LayerNorm*>(&layer)) {
      const torch::Tensor x = layer_norm->normalised(input);
      output.add_(x * before_last(mixed(*weight), x));
    } else if (const auto* rms_norm = dynamic_cast<const RmsNorm*>(&layer)) {
      const torch::Tensor x = rms_norm->normalised(input);
      output.add_(x * before_last(mixed(*weight), x));
    } else {
      throw Error("a layer of a kind whose weights cannot differ by input");
    }
  }
  if (bias == nullptr) return;
  const bool by_channel = dynamic_cast<const Convolution*>(&layer) != nullptr ||
                          dynamic_cast<const BatchNorm*>(&layer) != nullptr;
  const torch::Tensor change = mixed(*bias);
  output.add_(by_channel ? per_channel(change, output) : before_last(change, output));
}

torch::Tensor TwinNetwork::shares(const torch::Tensor& inputs) {
  if (model_.router == nullptr) {
    throw InputError("this model has no router; say how much of each task's module to use");
  }
  const torch::NoGradGuard no_grad;
  torch::Tensor features = model_.shared->features(inputs).to(torch::kFloat);
  if (features.dim() == 3) features = features.mean(1);
  return route(model_.router->forward(features), model_.routing);
}

torch::Tensor TwinNetwork::forward_with(const torch::Tensor& inputs, const torch::Tensor& shares) {
  const torch::NoGradGuard no_grad;
  if (shares.dim() != 2 || shares.size(0) != inputs.size(0) ||
      shares.size(1) != static_cast<std::int64_t>(model_.tasks.size())) {
    throw InputError("shares have another shape than [inputs, tasks]");
  }
  const torch::Tensor each = shares.to(torch::kFloat);
  return model_.shared->forward(
      inputs, [&](const Layer& layer, const torch::Tensor& input, const torch::Tensor& output) {
        add(layer, input, output, each);
      });
}

torch::Tensor TwinNetwork::compute(const torch::Tensor& inputs, const LayerObserver& observer) {
  if (observer) throw InputError("layers of a model that merges per input cannot be observed");
  if (!fixed_) return forward_with(inputs, shares(inputs));
  return forward_with(inputs, fixed_->to(torch::kDouble).unsqueeze(0).expand({inputs.size(0), -1}));
}

NamedTensors TwinNetwork::materialised(const torch::Tensor& shares) const {
  const torch::NoGradGuard no_grad;
  NamedTensors state = learning::copied_state(*model_.shared);
  const torch::Tensor each = shares.to(torch::kDouble).contiguous();
  for (std::size_t k = 0; k < model_.modules.size(); ++k) {
    const double share = each.data_ptr<double>()[k];
    for (const ExclusiveTensor& tensor : model_.modules[k]) {
      const auto found = std::ranges::find(state, tensor.name, &NamedTensors::value_type::first);
      found->second.add_(tensor.expanded(), share);
    }
  }
  return state;
}

}  // namespace amalgam::learned
