#include "amalgam/weights/learned/router.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/data/shuffle.hpp"

namespace amalgam::learned {
namespace {

constexpr double kSlope = 0.01;

torch::Tensor random_normal(const torch::IntArrayRef& shape, double deviation, std::uint64_t seed,
                            const std::string& what) {
  torch::Tensor tensor = torch::empty(shape, torch::kFloat);
  RandomStream random(seed, what);
  auto* values = tensor.data_ptr<float>();
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    values[i] = static_cast<float>(deviation * random.normal());
  }
  return tensor;
}

void initialise(Router& router, std::uint64_t seed) {
  const torch::NoGradGuard no_grad;
  for (auto& parameter : router.named_parameters()) {
    torch::Tensor& tensor = parameter.value();
    if (tensor.dim() == 2) {
      const double deviation = std::sqrt(2.0 / static_cast<double>(tensor.size(1)));
      tensor.copy_(
          random_normal(tensor.sizes(), deviation, seed, "initialise router " + parameter.key()));
    } else {
      tensor.fill_(parameter.key().starts_with("norms") && parameter.key().ends_with("weight"));
    }
  }
}

torch::Tensor dropped(const torch::Tensor& x, double share, std::uint64_t seed,
                      const std::string& what) {
  if (share == 0) return x;
  torch::Tensor mask = torch::empty(x.sizes(), torch::kFloat);
  RandomStream random(seed, what);
  const auto scale = static_cast<float>(1 / (1 - share));
  auto* values = mask.data_ptr<float>();
  for (std::int64_t i = 0; i < mask.numel(); ++i) {
    values[i] = random.uniform() < share ? 0.0F : scale;
  }
  return x * mask;
}

void check(const std::vector<torch::Tensor>& features, const RouterOptions& options) {
  if (features.empty()) throw InputError("a router needs at least one task");
  for (std::size_t task = 0; task < features.size(); ++task) {
    const torch::Tensor& rows = features[task];
    if (rows.dim() != 2 || rows.size(1) != features.front().size(1)) {
      throw InputError("router: features of task {} have another shape than those of task 1",
                       task + 1);
    }
    if (rows.size(0) < 2) {
      throw InputError("router: {} examples of task {}; expected at least 2", rows.size(0),
                       task + 1);
    }
    if (!torch::isfinite(rows).all().item<bool>()) {
      throw InputError("router: features of task {} are not finite", task + 1);
    }
  }
  if (!(options.dropout >= 0 && options.dropout < 1)) {
    throw InputError("router: dropout is {}; expected a share in [0, 1)", options.dropout);
  }
  if (!(options.validation >= 0 && options.validation < 1)) {
    throw InputError("router: validation is {}; expected a share in [0, 1)", options.validation);
  }
  if (options.epochs == 0 || options.batch == 0 || !(options.learning_rate > 0)) {
    throw InputError(
        "router: expected at least one epoch, a batch of 1 and a learning rate above 0");
  }
}

struct Examples {
  torch::Tensor features;
  torch::Tensor tasks;
};

// The first or the last part of every task.
Examples part_of(const std::vector<torch::Tensor>& features, double share, bool last) {
  std::vector<torch::Tensor> rows;
  std::vector<torch::Tensor> tasks;
  for (std::size_t task = 0; task < features.size(); ++task) {
    const std::int64_t count = features[task].size(0);
    const auto held_out = std::clamp<std::int64_t>(
        static_cast<std::int64_t>(std::floor(share * static_cast<double>(count))), 1, count - 1);
    const std::int64_t wanted = last ? held_out : count - held_out;
    rows.push_back(features[task].narrow(0, last ? count - held_out : 0, wanted));
    tasks.push_back(torch::full({wanted}, static_cast<std::int64_t>(task), torch::kLong));
  }
  return {torch::cat(rows).to(torch::kFloat), torch::cat(tasks)};
}

class RouterTraining {
 public:
  RouterTraining(const std::vector<torch::Tensor>& features, const RouterOptions& options)
      : options_(options),
        seen_(part_of(features, options.validation, false)),
        held_out_(part_of(features, options.validation, true)) {
    const std::int64_t width = features.front().size(1);
    router_ = std::make_shared<Router>(width, options.hidden > 0 ? options.hidden : 2 * width,
                                       static_cast<std::int64_t>(features.size()));
    initialise(*router_, options.seed);
    optimizer_ = std::make_unique<torch::optim::AdamW>(
        router_->parameters(), torch::optim::AdamWOptions(options.learning_rate).weight_decay(0));
    const auto count = static_cast<std::uint64_t>(seen_.tasks.size(0));
    per_epoch_ = (count + options.batch - 1) / options.batch;
  }

  TrainedRouter run() {
    TrainedRouter best;
    best.accuracy = -1;
    for (std::uint64_t epoch = 0; epoch < options_.epochs; ++epoch) {
      run_epoch(epoch);
      const double accuracy = held_out_accuracy();
      if (accuracy > best.accuracy) {
        best = {copy(), accuracy, epoch};
      }
      if (options_.on_epoch) options_.on_epoch(epoch);
    }
    return best;
  }

 private:
  void run_epoch(std::uint64_t epoch) {
    const auto order = shuffled_indices(static_cast<std::size_t>(seen_.tasks.size(0)),
                                        options_.seed, fmt::format("router order {}", epoch));
    for (std::uint64_t index = 0; index < per_epoch_; ++index) {
      const std::size_t first = index * options_.batch;
      const std::size_t count = std::min<std::size_t>(options_.batch, order.size() - first);
      if (count < 2) continue;  // of one example BatchNorm has no variance
      torch::Tensor chosen = torch::empty({static_cast<std::int64_t>(count)}, torch::kLong);
      std::copy_n(order.begin() + static_cast<std::ptrdiff_t>(first), count,
                  chosen.data_ptr<std::int64_t>());
      step(chosen, epoch * per_epoch_ + index);
    }
  }

  void step(const torch::Tensor& chosen, std::uint64_t step) {
    const double done =
        static_cast<double>(step) / static_cast<double>(options_.epochs * per_epoch_);
    for (auto& group : optimizer_->param_groups()) {
      group.options().set_lr(options_.learning_rate * (1 - done));
    }
    optimizer_->zero_grad();
    const torch::Tensor scores = router_->training_forward(seen_.features.index_select(0, chosen),
                                                           options_.dropout, options_.seed, step);
    torch::nn::functional::cross_entropy(scores, seen_.tasks.index_select(0, chosen)).backward();
    optimizer_->step();
  }

  double held_out_accuracy() {
    const torch::NoGradGuard no_grad;
    return router_->forward(held_out_.features)
        .argmax(1)
        .eq(held_out_.tasks)
        .to(torch::kDouble)
        .mean()
        .item<double>();
  }

  std::shared_ptr<Router> copy() const {
    auto made = std::make_shared<Router>(router_->features(), router_->hidden(), router_->tasks());
    const torch::NoGradGuard no_grad;
    const auto from = router_->named_parameters();
    for (auto& one : made->named_parameters()) one.value().copy_(from[one.key()]);
    const auto buffers = router_->named_buffers();
    for (auto& one : made->named_buffers()) one.value().copy_(buffers[one.key()]);
    made->eval();
    return made;
  }

  const RouterOptions& options_;
  Examples seen_;
  Examples held_out_;
  std::shared_ptr<Router> router_;
  std::unique_ptr<torch::optim::AdamW> optimizer_;
  std::uint64_t per_epoch_ = 0;
};

}  // namespace

Router::Router(std::int64_t features, std::int64_t hidden, std::int64_t tasks) {
  auto linears = std::make_shared<torch::nn::Module>("linears");
  auto norms = std::make_shared<torch::nn::Module>("norms");
  const std::array widths{features, hidden, hidden, tasks};
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    const std::string name = std::to_string(i);
    linears_.emplace_back(torch::nn::LinearOptions(widths[i], widths[i + 1]));
    linears->register_module(name, linears_.back());
    if (i + 2 == widths.size()) break;
    norms_.emplace_back(torch::nn::BatchNorm1dOptions(widths[i + 1]));
    norms->register_module(name, norms_.back());
  }
  register_module("linears", linears);
  register_module("norms", norms);
}

torch::Tensor Router::forward(const torch::Tensor& features) {
  eval();
  torch::Tensor x = features;
  for (std::size_t i = 0; i < norms_.size(); ++i) {
    x = torch::leaky_relu(norms_[i]->forward(linears_[i]->forward(x)), kSlope);
  }
  return linears_.back()->forward(x);
}

torch::Tensor Router::training_forward(const torch::Tensor& features, double dropout,
                                       std::uint64_t seed, std::uint64_t step) {
  train();
  torch::Tensor x = features;
  for (std::size_t i = 0; i < norms_.size(); ++i) {
    x = torch::leaky_relu(norms_[i]->forward(linears_[i]->forward(x)), kSlope);
    x = dropped(x, dropout, seed, fmt::format("router dropout {} {}", step, i));
  }
  return linears_.back()->forward(x);
}

TrainedRouter train_router(const std::vector<torch::Tensor>& features,
                           const RouterOptions& options) {
  check(features, options);
  return RouterTraining(features, options).run();
}

torch::Tensor route(const torch::Tensor& scores, const Routing& routing) {
  if (!(routing.temperature > 0)) {
    throw InputError("routing: temperature is {}; expected a number above 0", routing.temperature);
  }
  if (!(routing.threshold >= 0 && routing.threshold < 1)) {
    throw InputError("routing: threshold is {}; expected a share in [0, 1)", routing.threshold);
  }
  const torch::Tensor soft = torch::softmax(scores.to(torch::kDouble) / routing.temperature, 1);
  torch::Tensor shares = soft;
  if (routing.top > 0 && static_cast<std::int64_t>(routing.top) < soft.size(1)) {
    const torch::Tensor best = std::get<1>(soft.topk(static_cast<std::int64_t>(routing.top), 1));
    shares = torch::zeros_like(soft).scatter(1, best, soft.gather(1, best));
  }
  if (routing.threshold > 0) {
    const torch::Tensor kept = shares * shares.ge(routing.threshold);
    shares = torch::where(kept.sum(1, true) > 0, kept, shares);
  }
  shares = shares / shares.sum(1, true);
  return shares * std::get<0>(soft.max(1, true)).ge(routing.least);
}

}  // namespace amalgam::learned
