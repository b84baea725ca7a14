#include "amalgam/weights/learned/coefficient_descent.hpp"

#include <fmt/format.h>

#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/data/shuffle.hpp"

namespace amalgam::learned {
namespace {

using learning::Dataset;

// Examples of one task without end, in a new random order every time around.
class TaskStream {
 public:
  TaskStream(const Dataset& data, std::uint64_t seed, std::size_t task)
      : data_(&data), seed_(seed), task_(task) {}

  torch::Tensor next(std::uint64_t count) {
    torch::Tensor chosen = torch::empty({static_cast<std::int64_t>(count)}, torch::kLong);
    auto* indices = chosen.data_ptr<std::int64_t>();
    for (std::uint64_t i = 0; i < count; ++i) {
      if (at_ == order_.size()) {
        order_ = shuffled_indices(static_cast<std::size_t>(data_->count()), seed_,
                                  fmt::format("coefficients of task {} round {}", task_, round_++));
        at_ = 0;
      }
      indices[i] = static_cast<std::int64_t>(order_[at_++]);
    }
    return chosen;
  }
  const Dataset& data() const { return *data_; }

 private:
  const Dataset* data_;
  std::uint64_t seed_;
  std::size_t task_;
  std::size_t round_ = 0;
  std::size_t at_ = 0;
  std::vector<std::size_t> order_;
};

}  // namespace

torch::Tensor mean_entropy(const torch::Tensor& logits) {
  const torch::Tensor log_probabilities = torch::log_softmax(logits, -1);
  return -(log_probabilities.exp() * log_probabilities).sum(-1).mean();
}

torch::Tensor coefficient_loss(learning::Network& network, const Dataset& data,
                               const torch::Tensor& chosen, CoefficientLoss loss) {
  const torch::Tensor logits =
      learning::logits_of_head(network, data, network.forward(data.inputs.index_select(0, chosen)));
  if (loss == CoefficientLoss::entropy) return mean_entropy(logits);
  if (loss == CoefficientLoss::squared_error) {
    return torch::nn::functional::mse_loss(logits.flatten(), data.targets.index_select(0, chosen));
  }
  // Of text every token is an example.
  return torch::nn::functional::cross_entropy(logits.flatten(0, -2),
                                              data.labels.index_select(0, chosen).flatten());
}

void check_tasks(const learning::Network& network, const std::vector<Dataset>& tasks,
                 CoefficientLoss loss, const char* method) {
  if (tasks.empty()) throw InputError("{}: no tasks to learn from", method);
  for (const Dataset& task : tasks) {
    if (task.count() == 0) throw InputError("{}: {}: a task without examples", method, task.source);
    learning::check_fits(network, task);
    if (loss == CoefficientLoss::squared_error) {
      if (task.predicts_numbers()) continue;
      throw InputError("{}: {}: no numbers to predict, which a squared error is of", method,
                       task.source);
    }
    learning::check_classes(task, std::string(method) + " by entropy or cross-entropy");
    if (network.description().head(task.head, task.source).classes < 2) {
      throw InputError("{}: {}: predictions of a network with one class say nothing", method,
                       task.source);
    }
  }
}

Descent descend(MergedPoint& point, const torch::Tensor& initial, const std::vector<Dataset>& tasks,
                const DescentOptions& options) {
  torch::Tensor raw = initial.to(torch::kDouble).clone().requires_grad_(true);
  torch::optim::Adam optimizer({raw}, torch::optim::AdamOptions(options.learning_rate));
  const auto merged = [&] {
    const torch::Tensor value = raw.detach();
    return options.clamp ? value.clamp(0, 1) : value;
  };
  std::vector<TaskStream> streams;
  streams.reserve(tasks.size());
  for (std::size_t t = 0; t < tasks.size(); ++t) streams.emplace_back(tasks[t], options.seed, t);

  Descent result{.coefficients = raw.detach().clone(), .losses = {}};
  bool is_finite = true;
  for (std::uint64_t step = 1; step <= options.steps && is_finite; ++step) {
    point.move_to(merged());
    torch::Tensor loss = torch::zeros({});
    for (TaskStream& stream : streams) {
      loss = loss + coefficient_loss(point.network(), stream.data(), stream.next(options.batch),
                                     options.loss);
    }
    const double value = loss.item<double>();
    is_finite = std::isfinite(value);
    if (!is_finite) {
      log::warn("learning coefficients: the loss of step {} is {}; those before it count", step,
                value);
      break;
    }
    result.losses.push_back(value);
    result.coefficients = raw.detach().clone();
    loss.backward();
    torch::Tensor gradient = point.gradient();
    if (options.clamp) {
      const torch::Tensor now = raw.detach();
      gradient = gradient * now.ge(0).logical_and(now.le(1)).to(torch::kDouble);
    }
    raw.mutable_grad() = gradient;
    optimizer.step();
    if (options.project) {
      const torch::NoGradGuard no_grad;
      torch::Tensor value_now = raw.detach();
      options.project(value_now);
    }
    if (options.on_step) options.on_step(step);
  }
  if (is_finite) result.coefficients = raw.detach().clone();
  point.move_to(options.clamp ? result.coefficients.clamp(0, 1) : result.coefficients);
  return result;
}

}  // namespace amalgam::learned
