#include "amalgam/weights/learned/network_states.hpp"

#include <fmt/format.h>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/network_file.hpp"

namespace amalgam::learned {
namespace {

std::vector<double> numbers(const torch::Tensor& row) {
  const torch::Tensor values = row.to(torch::kDouble).contiguous();
  const double* const first = values.data_ptr<double>();
  return {first, first + values.numel()};
}

}  // namespace

NetworkStates::NetworkStates(const TensorSource& model) : network_(learning::load_network(model)) {
  const auto modules = network_->named_modules();
  for (std::size_t layer = 0;; ++layer) {
    const auto* norm = modules.find(fmt::format("model.layers.{}.input_layernorm", layer));
    if (norm == nullptr) break;
    layers_.emplace(norm->get(), layer);
  }
  if (layers_.empty()) {
    throw InputError(
        "{}: no decoder with layers 'model.layers.N', whose hidden states gates are "
        "made of",
        model.label());
  }
}

std::vector<std::vector<double>> NetworkStates::last_states(
    const std::vector<std::size_t>& tokens) const {
  const torch::NoGradGuard no_gradients;
  const auto count = static_cast<std::int64_t>(tokens.size());
  torch::Tensor input = torch::empty({1, count}, torch::kLong);
  for (std::int64_t i = 0; i < count; ++i) {
    input[0][i] = static_cast<std::int64_t>(tokens[static_cast<std::size_t>(i)]);
  }
  std::vector<std::vector<double>> states(layers_.size());
  network_->forward(input, [&](const learning::Layer& layer, const torch::Tensor& entering,
                               const torch::Tensor& /*output*/) {
    const auto found = layers_.find(&layer);
    if (found != layers_.end()) states[found->second] = numbers(entering[0][count - 1]);
  });
  return states;
}

}  // namespace amalgam::learned
