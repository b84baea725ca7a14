#pragma once

#include <string>
#include <vector>

#include "amalgam/learning/dataset.hpp"
#include "amalgam/weights/learned/twin_network.hpp"

namespace amalgam::learned {

struct TwinOptions {
  /// The rule that makes the shared model of the experts, and its parameters as for -p.
  std::string rule = "task_arithmetic";
  std::vector<std::string> parameters = {"weight=0.3"};
  /// Instead: the shared model itself, from any other merge.
  NamedTensors shared = {};
  /// Networks with a head per task: the tensors of all heads, which the shared model gets and no
  /// module changes (heads_of_members: each expert's own). Empty: merged as everything else.
  NamedTensors heads = {};
  CompressionOptions compression;
};

/// The shared model and the experts' modules, still without a router (Lu et al. 2024, arXiv
/// 2406.15479, section 3.2): theta_s by options.rule, v_k = C(theta_k - theta_s). `network` gives
/// the kind; of one expert the shared model is the expert itself if there is no base. Buffers are
/// the shared model's. InputError if names or shapes differ, or weights are not finite.
TwinModel twin_merge(const learning::Network& network, const NamedTensors& base,
                     const std::vector<NamedTensors>& experts,
                     const std::vector<std::string>& tasks, const TwinOptions& options = {});

/// Trains the model's router on the features that the shared model has of each task's inputs
/// (labels are not looked at; of sequences the mean over their positions). InputError if there is
/// not one data set per task.
void fit_router(TwinModel& model, const std::vector<learning::Dataset>& tasks,
                const RouterOptions& options = {});

/// The share that goes to the task whose mean features are nearest, [inputs, tasks]: the router
/// that needs no training. `features` are those of each task's inputs.
torch::Tensor nearest_centroid(const std::vector<torch::Tensor>& features,
                               const torch::Tensor& inputs);

/// The features of inputs that routers look at, float [count, width].
torch::Tensor router_features(learning::Network& shared, const learning::Dataset& data);

}  // namespace amalgam::learned
