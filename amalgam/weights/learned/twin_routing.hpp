#pragma once

#include <optional>
#include <vector>

#include "amalgam/learning/dataset.hpp"
#include "amalgam/weights/learned/twin_network.hpp"

namespace amalgam::learned {

/// What a router did with the inputs of a data set.
struct RoutingReport {
  /// -sum_k w_k log w_k in nats, the mean over the inputs: 0 if each goes to one expert, log(tasks)
  /// if all share it. Inputs that get no expert are not counted.
  double entropy = 0;
  std::vector<double> shares;  ///< mean of w_k, by task
  double without_expert = 0;   ///< share of the inputs that get the shared model alone
  /// With a head per task and data for one of them: for each input, whether the task of its largest
  /// share is of that head, bool [inputs].
  std::optional<torch::Tensor> chooses_head;
};

/// The entropy of each row of `shares` [inputs, tasks] in nats, double [inputs].
torch::Tensor share_entropy(const torch::Tensor& shares);

/// Routes the inputs of `data`. InputError without a router, or if the data do not fit or are
/// empty.
RoutingReport routing_report(TwinNetwork& network, const learning::Dataset& data);

}  // namespace amalgam::learned
