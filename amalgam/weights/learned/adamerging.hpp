#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "amalgam/learning/dataset.hpp"
#include "amalgam/weights/learned/coefficient_descent.hpp"

namespace amalgam::learned {

struct AdaMergingOptions {
  Granularity granularity = Granularity::whole;  ///< task-wise, or layer-wise (one per tensor)
  CoefficientLoss loss = CoefficientLoss::entropy;
  double initial = 0.3;         ///< every coefficient at the start
  bool clamp = true;            ///< to [0, 1] in the merge; the learned value itself is not clamped
  bool project = false;         ///< clamp the learned values themselves after every step
  double learning_rate = 1e-3;  ///< of Adam, betas 0.9 and 0.999
  std::uint64_t steps = 500;
  std::uint64_t batch = 16;                         ///< examples per task and step
  std::uint64_t seed = 0;                           ///< of the order of the examples
  std::function<void(std::uint64_t step)> on_step;  ///< for progress and interruption
};

struct AdaMerging {
  torch::Tensor coefficients;          ///< as merged, double [rows, experts]
  std::vector<std::string> row_names;  ///< tensors, or one empty name
  std::vector<double> losses;          ///< of every step, summed over tasks
  std::vector<double> entropy_before;  ///< mean over each task's inputs at the start, in nats
  std::vector<double> entropy_after;
  /// Share of the inputs that the most predicted class of each task has, before and after: all
  /// inputs in one class have no entropy either.
  std::vector<double> largest_class_before;
  std::vector<double> largest_class_after;
  std::uint64_t dead = 0;  ///< coefficients outside [0, 1] at the end, which have no gradient
  NamedTensors state;      ///< the merged weights
};

/// AdaMerging (Yang et al. 2024, arXiv 2310.02575): theta = base + sum_k c_k (expert_k - base),
/// with c learned by Adam so that the predictions on unlabelled inputs of every task become
/// confident (eq. 4 and 5). `task_vectors` are expert_k - base, or what TIES makes of them for the
/// "++" variants (see elect_task_vectors). Labels of `tasks` are looked at for cross_entropy only.
/// InputError for tasks without inputs, tensors that do not fit and networks with one class; where
/// the loss is not finite, learning stops with a warning and the best coefficients so far count.
AdaMerging adamerge(const learning::Network& network, const NamedTensors& base,
                    const std::vector<NamedTensors>& task_vectors,
                    const std::vector<learning::Dataset>& tasks,
                    const AdaMergingOptions& options = {});

/// The task vectors as AdaMerging++ wants them: each trimmed to the round_half_even(density n)
/// largest magnitudes of the whole vector (at least one; ties by lowest index in the order of the
/// tensors), then zero where its sign is not that of the sum of the trimmed ones (a sum of zero
/// elects the majority sign of all sums, plus if there is none). No averaging. InputError for a
/// density outside (0, 1].
std::vector<NamedTensors> elect_task_vectors(const std::vector<NamedTensors>& task_vectors,
                                             double density = 0.2);

}  // namespace amalgam::learned
