#include "amalgam/weights/learned/adamerging.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/learning/evaluation.hpp"

namespace amalgam::learned {
namespace {

using learning::Dataset;

void measure(learning::Network& network, const std::vector<Dataset>& tasks,
             std::vector<double>& entropies, std::vector<double>& largest) {
  for (const Dataset& task : tasks) {
    const torch::Tensor logits = learning::predict_logits(network, task).flatten(0, -2);
    entropies.push_back(mean_entropy(logits.to(torch::kDouble)).item<double>());
    largest.push_back(
        static_cast<double>(torch::bincount(logits.argmax(1)).max().item<std::int64_t>()) /
        static_cast<double>(logits.size(0)));
  }
}

void warn_of_collapse(const AdaMerging& result) {
  for (std::size_t t = 0; t < result.largest_class_after.size(); ++t) {
    if (result.largest_class_after[t] > 2 * result.largest_class_before[t]) {
      log::warn(
          "adamerging: {:.0f} % of the inputs of task {} are now predicted as one class ({:.0f} % "
          "before): the entropy may have collapsed",
          100 * result.largest_class_after[t], t + 1, 100 * result.largest_class_before[t]);
    }
  }
}

// The round_half_even(density n) largest magnitudes of a vector, the lowest index first among
// equals; the others are zero.
torch::Tensor trimmed(const torch::Tensor& vector, double density) {
  const auto n = static_cast<double>(vector.numel());
  const auto kept = std::clamp<std::int64_t>(static_cast<std::int64_t>(std::nearbyint(density * n)),
                                             1, vector.numel());
  const torch::Tensor order =
      std::get<1>(torch::sort(vector.abs(), /*stable=*/true, 0, /*descending=*/true));
  const torch::Tensor chosen = order.narrow(0, 0, kept);
  torch::Tensor result = torch::zeros_like(vector);
  result.index_copy_(0, chosen, vector.index_select(0, chosen));
  return result;
}

void clamp_to_one(torch::Tensor& coefficients) { coefficients.clamp_(0, 1); }

torch::Tensor flattened(const NamedTensors& tensors) {
  std::vector<torch::Tensor> parts;
  parts.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) parts.push_back(tensor.flatten().to(torch::kDouble));
  return torch::cat(parts);
}

NamedTensors unflattened(const torch::Tensor& flat, const NamedTensors& like) {
  NamedTensors tensors;
  tensors.reserve(like.size());
  std::int64_t at = 0;
  for (const auto& [name, tensor] : like) {
    tensors.emplace_back(
        name, flat.narrow(0, at, tensor.numel()).view(tensor.sizes()).to(tensor.scalar_type()));
    at += tensor.numel();
  }
  return tensors;
}

}  // namespace

AdaMerging adamerge(const learning::Network& network, const NamedTensors& base,
                    const std::vector<NamedTensors>& task_vectors,
                    const std::vector<Dataset>& tasks, const AdaMergingOptions& options) {
  check_tasks(network, tasks, options.loss, "adamerging");
  MergedPoint point(network, &base, task_vectors, options.granularity);
  const torch::Tensor initial =
      torch::full({point.rows(), point.directions()}, options.initial, torch::kDouble);
  AdaMerging result;
  result.row_names = point.row_names();
  point.move_to(options.clamp ? initial.clamp(0, 1) : initial);
  measure(point.network(), tasks, result.entropy_before, result.largest_class_before);
  Descent descent = descend(point, initial, tasks,
                            {.loss = options.loss,
                             .learning_rate = options.learning_rate,
                             .steps = options.steps,
                             .batch = options.batch,
                             .seed = options.seed,
                             .clamp = options.clamp,
                             .project = options.project ? clamp_to_one : nullptr,
                             .on_step = options.on_step});
  result.losses = std::move(descent.losses);
  const torch::Tensor& learned = descent.coefficients;
  result.coefficients = options.clamp ? learned.clamp(0, 1) : learned;
  result.dead = static_cast<std::uint64_t>(
      learned.lt(0).logical_or(learned.gt(1)).sum().item<std::int64_t>());
  measure(point.network(), tasks, result.entropy_after, result.largest_class_after);
  warn_of_collapse(result);
  result.state = point.state();
  return result;
}

std::vector<NamedTensors> elect_task_vectors(const std::vector<NamedTensors>& task_vectors,
                                             double density) {
  const bool is_share = density > 0 && density <= 1;
  if (!is_share) {
    throw InputError("adamerging: the density is {}; expected more than 0 and at most 1", density);
  }
  std::vector<torch::Tensor> kept;
  kept.reserve(task_vectors.size());
  for (const NamedTensors& vector : task_vectors)
    kept.push_back(trimmed(flattened(vector), density));
  torch::Tensor total = torch::zeros_like(kept.front());
  for (const torch::Tensor& vector : kept) total += vector;
  torch::Tensor sign = total.sign();
  const double majority = sign.sum().item<double>() < 0 ? -1 : 1;
  sign = torch::where(sign == 0, torch::full_like(sign, majority), sign);
  std::vector<NamedTensors> elected;
  elected.reserve(task_vectors.size());
  for (std::size_t k = 0; k < kept.size(); ++k) {
    const torch::Tensor agrees = (kept[k].sign() == sign).to(torch::kDouble);
    elected.push_back(unflattened(kept[k] * agrees, task_vectors[k]));
  }
  return elected;
}

}  // namespace amalgam::learned
