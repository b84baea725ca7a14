#include "amalgam/weights/learned/copies.hpp"

#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/learning/batch_norm.hpp"

namespace amalgam::learned {

TrainCopy plain_training(const learning::Dataset& data) {
  return [&data](learning::Network& network, const CopyTask& task) {
    learning::TrainingOptions options;
    options.progress = Progress::Mode::never;
    options.mask = task.mask;
    learning::train(network, data, task.recipe, options);
  };
}

std::uint64_t copy_seed(std::uint64_t seed, std::uint64_t phase, std::uint64_t copy) {
  return seed + copy + 1000 * phase;
}

void refresh_batch_norm(learning::Network& network, const learning::Dataset& data, double share) {
  if (!learning::has_batch_norm(network)) return;
  const auto all = static_cast<double>(data.count());
  const double wanted = std::clamp(std::ceil(share * all), std::min(2.0, all), all);
  learning::reset_batch_norm(network, data.range(0, static_cast<std::uint64_t>(wanted)));
}

std::vector<NamedTensors> train_copies(const learning::Network& start,
                                       const std::vector<CopyTask>& tasks, const TrainCopy& train) {
  const auto finite = [](const auto& one) {
    return torch::isfinite(one.second).all().template item<bool>();
  };
  std::vector<NamedTensors> states;
  states.reserve(tasks.size());
  for (const CopyTask& task : tasks) {
    check_interrupt();
    states.emplace_back();
    const auto network = learning::network_with(start, learning::state_of(start));
    try {
      train(*network, task);
    } catch (const learning::Diverged& error) {
      log::warn("phase {}: copy {} is left out: {}", task.phase + 1, task.copy + 1, error.what());
      continue;
    }
    NamedTensors state = learning::copied_state(*network);
    if (std::ranges::all_of(state, finite)) {
      states.back() = std::move(state);
    } else {
      log::warn("phase {}: copy {} is left out: its weights are not finite", task.phase + 1,
                task.copy + 1);
    }
  }
  if (std::ranges::all_of(states, &NamedTensors::empty)) {
    throw Error("phase {}: every copy diverged; lower the learning rate",
                tasks.empty() ? 1 : tasks.front().phase + 1);
  }
  return states;
}

}  // namespace amalgam::learned
