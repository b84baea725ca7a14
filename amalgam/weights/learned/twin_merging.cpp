#include "amalgam/weights/learned/twin_merging.hpp"

#include <algorithm>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/weights/learned/coefficients.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"
#include "amalgam/weights/learned/task_heads.hpp"

namespace amalgam::learned {
namespace {

NamedTensors parameters_of(const learning::Network& network) {
  NamedTensors parameters;
  for (const auto& one : network.named_parameters()) {
    parameters.emplace_back(one.key(), one.value().detach());
  }
  return parameters;
}

std::shared_ptr<learning::Network> shared_model(const learning::Network& network,
                                                const NamedTensors& base,
                                                const std::vector<NamedTensors>& experts,
                                                const TwinOptions& options) {
  if (!options.shared.empty()) return learning::network_with(network, options.shared);
  if (experts.size() == 1 && base.empty()) return learning::network_with(network, experts.front());
  MemoryMerge merge{.method = options.rule, .parameters = options.parameters, .files = {}};
  if (!base.empty()) merge.base = as_source(base, "base");
  for (const NamedTensors& expert : experts) merge.members.push_back(as_source(expert, "expert"));
  return learning::load_network(*merge_in_memory(merge), network.description());
}

}  // namespace

TwinModel twin_merge(const learning::Network& network, const NamedTensors& base,
                     const std::vector<NamedTensors>& experts,
                     const std::vector<std::string>& tasks, const TwinOptions& options) {
  if (experts.empty()) throw InputError("twin merging needs at least one expert");
  if (tasks.size() != experts.size()) {
    throw InputError("{} names of tasks for {} experts", tasks.size(), experts.size());
  }
  TwinModel model;
  model.shared = shared_model(network, base, experts, options);
  if (!options.heads.empty()) {
    model.shared = learning::network_with(
        network, with_tensors(learning::state_of(*model.shared), options.heads));
  }
  model.tasks = tasks;
  const NamedTensors shared = parameters_of(*model.shared);
  for (const NamedTensors& expert : experts) {
    check_interrupt();
    const auto whole = learning::network_with(network, expert);
    NamedTensors difference = subtract(parameters_of(*whole), shared);
    if (!options.heads.empty()) difference = without_heads(network.description(), difference);
    model.modules.push_back(compress(difference, options.compression));
  }
  return model;
}

torch::Tensor router_features(learning::Network& shared, const learning::Dataset& data) {
  constexpr std::int64_t kBatch = 256;
  learning::check_fits(shared, data);
  const torch::NoGradGuard no_grad;
  shared.eval();
  std::vector<torch::Tensor> parts;
  for (std::int64_t first = 0; first < data.count(); first += kBatch) {
    check_interrupt();
    torch::Tensor features =
        shared.features(data.inputs.narrow(0, first, std::min(kBatch, data.count() - first)));
    if (features.dim() == 3) features = features.mean(1);
    parts.push_back(features.to(torch::kFloat));
  }
  if (parts.empty()) throw InputError("{}: no examples to train a router on", data.source);
  return torch::cat(parts);
}

void fit_router(TwinModel& model, const std::vector<learning::Dataset>& tasks,
                const RouterOptions& options) {
  if (tasks.size() != model.tasks.size()) {
    throw InputError("{} data sets for the router of {} tasks; expected one of each task",
                     tasks.size(), model.tasks.size());
  }
  std::vector<torch::Tensor> features;
  features.reserve(tasks.size());
  for (const learning::Dataset& task : tasks) {
    features.push_back(router_features(*model.shared, task));
  }
  TrainedRouter trained = train_router(features, options);
  model.router = std::move(trained.router);
  model.router_accuracy = trained.accuracy;
}

torch::Tensor nearest_centroid(const std::vector<torch::Tensor>& features,
                               const torch::Tensor& inputs) {
  std::vector<torch::Tensor> centres;
  centres.reserve(features.size());
  for (const torch::Tensor& rows : features) centres.push_back(rows.to(torch::kDouble).mean(0));
  const torch::Tensor distances = torch::cdist(inputs.to(torch::kDouble), torch::stack(centres));
  return torch::one_hot(distances.argmin(1), static_cast<std::int64_t>(features.size()))
      .to(torch::kDouble);
}

}  // namespace amalgam::learned
