#include "amalgam/learning/fisher.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/learning/layer_gradients.hpp"

namespace amalgam::learning {
namespace {

class FisherSum {
 public:
  explicit FisherSum(const Network& network) {
    for (const auto& one : network.named_parameters()) {
      sums_[one.key()] = torch::zeros_like(one.value(), torch::kDouble);
    }
  }

  /// Adds sum_n weights[n] (d log p_class[n] / d theta)^2.
  void add(const LayerTrace& trace, const torch::Tensor& log_probs, const torch::Tensor& classes,
           const torch::Tensor& weights) {
    const torch::Tensor chosen = log_probs.gather(1, classes.unsqueeze(1)).sum();
    const std::vector<torch::Tensor> deltas = trace.output_gradients(chosen);
    for (std::size_t i = 0; i < deltas.size(); ++i) {
      const LayerRecord& record = trace.layers()[i];
      const SquaredGradients squares = squared_gradients(record, deltas[i], weights);
      at(record.name + ".weight") += squares.weight;
      at(record.name + ".bias") += squares.bias;
      covered_ += i >= covered_ ? 1 : 0;
    }
  }

  NamedTensors mean(const Network& network, double examples) const {
    if (2 * covered_ != sums_.size()) {
      throw Error(
          "the Fisher diagonal covers {} of {} parameters: some are in no linear layer or"
          " convolution",
          2 * covered_, sums_.size());
    }
    NamedTensors result;
    for (const auto& one : network.named_parameters()) {
      result.emplace_back(one.key(), sums_.at(one.key()) / examples);
    }
    return result;
  }

 private:
  torch::Tensor& at(const std::string& name) {
    const auto found = sums_.find(name);
    if (found == sums_.end()) throw Error("no parameter '{}'", name);
    return found->second;
  }

  std::map<std::string, torch::Tensor> sums_;
  std::size_t covered_ = 0;
};

// One class per example by the inverse of the cumulative distribution.
torch::Tensor sample_classes(const torch::Tensor& probabilities, std::int64_t first,
                             std::uint64_t sample, std::uint64_t seed) {
  const torch::Tensor rows = probabilities.to(torch::kDouble);
  const auto values = rows.accessor<double, 2>();
  torch::Tensor classes = torch::empty({rows.size(0)}, torch::kLong);
  auto chosen = classes.accessor<std::int64_t, 1>();
  for (std::int64_t n = 0; n < rows.size(0); ++n) {
    RandomStream random(seed, fmt::format("fisher class {} {}", first + n, sample));
    double left = random.uniform();
    std::int64_t k = 0;
    while (k + 1 < rows.size(1) && left >= values[n][k]) left -= values[n][k++];
    chosen[n] = k;
  }
  return classes;
}

}  // namespace

NamedTensors fisher_diagonal(Network& network, const Dataset& data, const FisherOptions& options) {
  check_fits(network, data);
  if (data.count() == 0) throw InputError("{}: no examples for the Fisher diagonal", data.source);
  const bool was_training = network.is_training();
  network.eval();
  const auto type = network.parameters().front().scalar_type();
  FisherSum sum(network);
  for (std::int64_t first = 0; first < data.count(); first += options.batch) {
    const std::int64_t count = std::min(options.batch, data.count() - first);
    const LayerTrace trace(network, data.inputs.narrow(0, first, count).to(type));
    const torch::Tensor log_probs = torch::log_softmax(trace.logits(), 1);
    const torch::Tensor probabilities = log_probs.detach().exp();
    const torch::Tensor ones = torch::ones({count}, probabilities.options());
    switch (options.kind) {
      case FisherKind::exact:
        for (std::int64_t k = 0; k < log_probs.size(1); ++k) {
          sum.add(trace, log_probs, torch::full({count}, k, torch::kLong),
                  probabilities.select(1, k));
        }
        break;
      case FisherKind::sampled:
        for (std::uint64_t sample = 0; sample < options.samples; ++sample) {
          sum.add(trace, log_probs, sample_classes(probabilities, first, sample, options.seed),
                  ones / static_cast<double>(options.samples));
        }
        break;
      case FisherKind::empirical:
        sum.add(trace, log_probs, data.labels.narrow(0, first, count), ones);
        break;
    }
    if (options.after_batch) options.after_batch(static_cast<std::uint64_t>(count));
  }
  network.train(was_training);
  return sum.mean(network, static_cast<double>(data.count()));
}

}  // namespace amalgam::learning
