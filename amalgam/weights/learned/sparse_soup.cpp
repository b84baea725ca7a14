#include "amalgam/weights/learned/sparse_soup.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/learning/batches.hpp"
#include "amalgam/weights/learned/greedy_soup.hpp"

namespace amalgam::learned {
namespace {

using learning::Network;
using learning::TrainingRecipe;

constexpr std::size_t kMostCopies = 999;  // seeds of phases are 1,000 apart

void check_options(const SparseSoupOptions& options) {
  if (options.copies.empty() || options.copies.size() > kMostCopies) {
    throw InputError("sparse soup: {} copies; expected 1 to {}", options.copies.size(),
                     kMostCopies);
  }
  if (options.greedy && !options.score) {
    throw InputError("sparse soup: a greedy soup needs a score on held-out data");
  }
  if (!(options.batch_norm_share > 0 && options.batch_norm_share <= 1)) {
    throw InputError(
        "sparse soup: statistics of {} of the examples; expected more than 0, at most 1",
        options.batch_norm_share);
  }
  for (const CopyVariation& copy : options.copies) {
    if (copy.weight_decay && !(*copy.weight_decay >= 0)) {
      throw InputError("sparse soup: the weight decay of a copy is {}; expected at least 0",
                       *copy.weight_decay);
    }
  }
}

NamedTensors average(const std::vector<NamedTensors>& copies,
                     std::span<const std::size_t> ingredients, const PruningMask& mask) {
  SparseSum sum(mask);
  for (const std::size_t one : ingredients) sum.absorb(copies[one], mask);
  return sum.finish();
}

torch::Tensor all_values(const NamedTensors& state) {
  std::vector<torch::Tensor> parts;
  parts.reserve(state.size());
  for (const auto& one : state) parts.push_back(one.second.to(torch::kDouble).flatten());
  return torch::cat(parts);
}

Spread spread_of(const std::vector<double>& values) {
  if (values.empty()) return {};
  const auto [least, most] = std::ranges::minmax(values);
  double sum = 0;
  for (const double value : values) sum += value;
  return {least, sum / static_cast<double>(values.size()), most};
}

void measure_spread(const std::vector<NamedTensors>& copies, const NamedTensors& soup,
                    SparsePhase& phase) {
  std::vector<torch::Tensor> points;
  points.reserve(phase.ingredients.size());
  for (const std::size_t one : phase.ingredients) points.push_back(all_values(copies[one]));
  const torch::Tensor centre = all_values(soup);
  std::vector<double> distances;
  std::vector<double> angles;
  for (std::size_t i = 0; i < points.size(); ++i) {
    phase.to_average += (points[i] - centre).norm().item<double>();
    for (std::size_t j = i + 1; j < points.size(); ++j) {
      // 2 atan2(|a - b|, |a + b|) of unit vectors: precise where they nearly agree.
      const torch::Tensor a = points[i] / points[i].norm();
      const torch::Tensor b = points[j] / points[j].norm();
      distances.push_back((points[i] - points[j]).norm().item<double>());
      angles.push_back(2 *
                       std::atan2((a - b).norm().item<double>(), (a + b).norm().item<double>()) *
                       180 / std::numbers::pi);
    }
  }
  phase.to_average /= static_cast<double>(points.size());
  phase.distance = spread_of(distances);
  phase.angle = spread_of(angles);
}

// Which copies the plain average is of.
std::vector<std::size_t> without_failures(const std::vector<NamedTensors>& copies,
                                          const SparsePhase& phase, std::uint64_t number) {
  std::vector<std::size_t> finite;
  std::vector<std::size_t> good;
  for (std::size_t i = 0; i < copies.size(); ++i) {
    if (copies[i].empty()) continue;
    finite.push_back(i);
    // True of NaN: there is no score.
    if (!(phase.scores[i] < phase.parent_score)) good.push_back(i);
  }
  if (good.size() == finite.size()) return finite;
  if (good.empty()) {
    log::warn("phase {}: no copy scores as well as the pruned network before training", number);
    return finite;
  }
  log::warn("phase {}: {} of {} copies score below the pruned network and are left out", number,
            finite.size() - good.size(), copies.size());
  return good;
}

class Soup {
 public:
  Soup(const Network& dense, const learning::Dataset& data, const TrainingRecipe& recipe,
       const SparseSoupOptions& options, std::uint64_t steps_per_epoch)
      : data_(data),
        network_(learning::network_with(dense, learning::state_of(dense))),
        recipe_(recipe),
        options_(options),
        steps_per_epoch_(steps_per_epoch),
        mask_(learning::full_mask(learning::prunable_weights(*network_))) {}

  SparseSoup run(const TrainCopy& train) {
    const double fraction = learning::phase_fraction(options_.sparsity, options_.phases);
    SparseSoup result;
    for (std::uint64_t number = 0; number < options_.phases; ++number) {
      SparsePhase phase = prune(fraction);
      const std::vector<CopyTask> tasks = tasks_of(number, phase);
      result.copies = train_copies(*network_, tasks, train);
      merge(result.copies, number, phase);
      result.phases.push_back(std::move(phase));
    }
    result.state = learning::copied_state(*network_);
    result.mask = mask_;
    return result;
  }

 private:
  std::shared_ptr<Network> network_of(const NamedTensors& state) const {
    auto network = learning::network_with(*network_, state);
    refresh_batch_norm(*network, data_, options_.batch_norm_share);
    return network;
  }

  double score(const NamedTensors& state) const {
    return options_.score ? options_.score(*network_of(state))
                          : std::numeric_limits<double>::quiet_NaN();
  }

  SparsePhase prune(double fraction) {
    const NamedTensors weights = learning::prunable_weights(*network_);
    NamedTensors parameters;
    for (const auto& one : network_->named_parameters()) {
      parameters.emplace_back(one.key(), one.value());
    }
    const std::uint64_t before = mask_.kept();
    mask_ = learning::prune(weights, mask_, fraction, options_.pruning);
    SparsePhase phase;
    phase.sparsity = mask_.sparsity();
    phase.pruned = before - mask_.kept();
    phase.mask_hash = mask_.hash();
    phase.step = {learning::norm_drop(parameters, mask_), fraction};
    mask_.apply(parameters);
    phase.parent_score = score(learning::state_of(*network_));
    return phase;
  }

  std::vector<CopyTask> tasks_of(std::uint64_t number, SparsePhase& phase) const {
    const auto recipe_of = [&](const CopyVariation& copy) {
      learning::Retraining retraining = options_.retraining;
      retraining.epochs = copy.epochs.value_or(retraining.epochs);
      if (copy.learning_rate) retraining.learning_rate = copy.learning_rate;
      TrainingRecipe recipe =
          learning::retraining_recipe(recipe_, retraining, steps_per_epoch_, phase.step);
      recipe.optimizer.weight_decay = copy.weight_decay.value_or(recipe.optimizer.weight_decay);
      return recipe;
    };
    phase.learning_rate = recipe_of({}).optimizer.learning_rate;
    std::vector<CopyTask> tasks;
    tasks.reserve(options_.copies.size());
    for (std::size_t j = 0; j < options_.copies.size(); ++j) {
      tasks.push_back({number, j, &mask_, recipe_of(options_.copies[j])});
      tasks.back().recipe.seed = copy_seed(options_.seed, number, j);
    }
    return tasks;
  }

  void merge(const std::vector<NamedTensors>& copies, std::uint64_t number, SparsePhase& phase) {
    phase.scores.reserve(copies.size());
    for (const NamedTensors& copy : copies) {
      phase.scores.push_back(copy.empty() ? std::numeric_limits<double>::quiet_NaN() : score(copy));
    }
    if (options_.greedy) {
      const GreedySoup soup = greedy_soup(copies.size(), [&](std::span<const std::size_t> chosen) {
        if (chosen.size() == 1) return phase.scores[chosen.front()];
        return score(average(copies, chosen, mask_));
      });
      phase.ingredients = soup.ingredients;
    } else {
      phase.ingredients = without_failures(copies, phase, number + 1);
    }
    const NamedTensors soup = average(copies, phase.ingredients, mask_);
    measure_spread(copies, soup, phase);
    network_ = network_of(soup);
    phase.soup_score = score(soup);
  }

  const learning::Dataset& data_;
  std::shared_ptr<Network> network_;  // the soup so far
  const TrainingRecipe& recipe_;
  const SparseSoupOptions& options_;
  std::uint64_t steps_per_epoch_;
  PruningMask mask_;
};

}  // namespace

SparseSoup sparse_soup(const Network& dense, const learning::Dataset& data,
                       const TrainingRecipe& recipe, const SparseSoupOptions& options) {
  check_options(options);
  learning::check_fits(dense, data);
  const std::uint64_t steps_per_epoch = learning::Batches(data, recipe).per_epoch();
  return Soup(dense, data, recipe, options, steps_per_epoch)
      .run(options.train ? options.train : plain_training(data));
}

}  // namespace amalgam::learned
