#include "amalgam/learning/weight_average.hpp"

#include <algorithm>

#include "amalgam/core/error.hpp"

namespace amalgam::learning {

WeightAverage::WeightAverage(const Network& network, const AverageOptions& options)
    : options_(options) {
  if (options_.kind == AverageOptions::Kind::none) return;
  for (const auto& one : network.named_parameters()) {
    weights_.emplace_back(one.key(), one.value());
    average_.emplace_back(one.key(), one.value().detach().clone());
  }
}

void WeightAverage::after_step() {
  if (options_.kind != AverageOptions::Kind::ema) return;
  const torch::NoGradGuard no_grad;
  ++count_;
  for (std::size_t i = 0; i < average_.size(); ++i) {
    average_[i].second.lerp_(weights_[i].second, 1.0 - options_.decay);
  }
}

void WeightAverage::after_epoch(std::uint64_t epoch) {
  if (options_.kind != AverageOptions::Kind::swa || epoch < options_.first_epoch) return;
  const torch::NoGradGuard no_grad;
  ++count_;
  for (std::size_t i = 0; i < average_.size(); ++i) {
    average_[i].second.lerp_(weights_[i].second, 1.0 / static_cast<double>(count_));
  }
}

void WeightAverage::apply() {
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < average_.size(); ++i) weights_[i].second.copy_(average_[i].second);
}

void WeightAverage::restore(const NamedTensors& memory, std::uint64_t count,
                            const std::string& where) {
  const torch::NoGradGuard no_grad;
  count_ = count;
  for (auto& [name, tensor] : average_) {
    const auto found = std::find_if(memory.begin(), memory.end(),
                                    [&](const auto& one) { return one.first == name; });
    if (found == memory.end()) throw InputError("{}: the average of '{}' is missing", where, name);
    tensor.copy_(found->second);
  }
}

}  // namespace amalgam::learning
