#include "amalgam/weights/learned/linear_probe.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>
#include <string>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/learning/layers.hpp"
#include "amalgam/weights/learned/permutation.hpp"

namespace amalgam::learned {
namespace {

using learning::Dataset;
using learning::Network;

void check(const Network& network, const Dataset& data, const LinearProbe& probe) {
  if (probe.epochs < 1 || probe.batch < 1 || !(probe.learning_rate > 0) ||
      !std::isfinite(probe.learning_rate)) {
    throw InputError(
        "linear probe: {} epochs in batches of {} at a rate of {}; expected at least 1, 1 and more "
        "than 0",
        probe.epochs, probe.batch, probe.learning_rate);
  }
  if (data.is_text()) throw InputError("{}: a linear probe is not for texts", data.source);
  if (data.count() == 0) throw InputError("{}: no examples for a linear probe", data.source);
  learning::check_fits(network, data);
}

// The last Linear of a network, or that of one of its heads.
const learning::Linear& output_layer(Network& network, const std::string& head) {
  const learning::Linear* last = nullptr;
  for (const auto& module : network.named_modules("", /*include_self=*/false)) {
    const auto* linear = module.value()->as<learning::Linear>();
    if (linear == nullptr) continue;
    if (head.empty() || module.key() == "heads." + head) last = linear;
  }
  if (last == nullptr) throw Error("the network has no head '{}'", head);
  return *last;
}

torch::Tensor features_of(Network& network, const Dataset& data) {
  constexpr std::int64_t kBatch = 256;
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> parts;
  for (std::int64_t first = 0; first < data.count(); first += kBatch) {
    check_interrupt();
    parts.push_back(
        network.features(data.inputs.narrow(0, first, std::min(kBatch, data.count() - first))));
  }
  return torch::cat(parts);
}

}  // namespace

double fit_linear_probe(Network& network, const Dataset& data, const LinearProbe& probe) {
  check(network, data, probe);
  network.eval();
  const torch::Tensor features = features_of(network, data);
  const learning::Linear& output = output_layer(network, data.head);
  torch::Tensor weight = torch::zeros_like(output.weight).requires_grad_(true);
  torch::Tensor bias = torch::zeros_like(output.bias).requires_grad_(true);
  torch::optim::Adam optimizer({weight, bias}, torch::optim::AdamOptions(probe.learning_rate));

  const auto batch = static_cast<std::int64_t>(probe.batch);
  const std::int64_t per_epoch = (data.count() + batch - 1) / batch;
  const auto steps = static_cast<double>(per_epoch) * static_cast<double>(probe.epochs);
  double step = 0;
  double loss_sum = 0;
  for (std::uint64_t epoch = 0; epoch < probe.epochs; ++epoch) {
    const torch::Tensor order =
        unit_index(random_permutation(data.count(), probe.seed,
                                      "order " + std::to_string(epoch) + " of a linear probe"),
                   1);
    loss_sum = 0;
    for (std::int64_t first = 0; first < data.count(); first += batch) {
      check_interrupt();
      const torch::Tensor chosen = order.narrow(0, first, std::min(batch, data.count() - first));
      const torch::Tensor logits = torch::addmm(bias, features.index_select(0, chosen), weight.t());
      const torch::Tensor loss =
          torch::nn::functional::cross_entropy(logits, data.labels.index_select(0, chosen));
      optimizer.zero_grad();
      loss.backward();
      const double share = (1 + std::cos(std::numbers::pi * step++ / steps)) / 2;
      for (auto& group : optimizer.param_groups()) {
        group.options().set_lr(probe.learning_rate * (.1 + .9 * share));
      }
      optimizer.step();
      loss_sum += loss.item<double>() * static_cast<double>(chosen.size(0));
    }
  }
  const torch::NoGradGuard no_grad;
  torch::Tensor(output.weight).copy_(weight);
  torch::Tensor(output.bias).copy_(bias);
  return loss_sum / static_cast<double>(data.count());
}

}  // namespace amalgam::learned
