#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "amalgam/learning/torch.hpp"

namespace amalgam::learned {

/// Tells from features of an input which task it belongs to (Lu et al. 2024, arXiv 2406.15479,
/// section 3.3): twice Linear, BatchNorm, LeakyReLU(0.01) and dropout, then Linear. Its state has
/// the names `linears.<i>.*` and `norms.<i>.*`.
class Router : public torch::nn::Module {
 public:
  Router(std::int64_t features, std::int64_t hidden, std::int64_t tasks);

  /// Scores [batch, tasks] of features [batch, features], in evaluation mode.
  torch::Tensor forward(const torch::Tensor& features);
  /// The same in training mode, with a random share `dropout` of the hidden units at 0 and the
  /// others scaled up; which ones is a function of (seed, step).
  torch::Tensor training_forward(const torch::Tensor& features, double dropout, std::uint64_t seed,
                                 std::uint64_t step);

  std::int64_t features() const { return linears_.front()->options.in_features(); }
  std::int64_t hidden() const { return linears_.front()->options.out_features(); }
  std::int64_t tasks() const { return linears_.back()->options.out_features(); }

 private:
  std::vector<torch::nn::Linear> linears_;
  std::vector<torch::nn::BatchNorm1d> norms_;
};

struct RouterOptions {
  std::int64_t hidden = 0;  ///< width of the hidden layers; 0: twice the features
  std::uint64_t epochs = 50;
  std::uint64_t batch = 1024;
  double learning_rate = 5e-4;  ///< of AdamW without weight decay, falling linearly to 0
  double dropout = 0.5;
  /// The last share of every task's examples, by which the best epoch is chosen; at least one
  /// example of each.
  double validation = 0.2;
  std::uint64_t seed = 0;
  std::function<void(std::uint64_t epoch)> on_epoch;  ///< for progress and interruption
};

struct TrainedRouter {
  std::shared_ptr<Router> router;  ///< of the best epoch, in evaluation mode
  double accuracy = 0;             ///< of that epoch on the validation examples
  std::uint64_t epoch = 0;
};

/// Trains a router on the features of every task's examples, float [examples, features] each.
/// Standardising them is left to its first BatchNorm; batches of a single example are skipped.
/// InputError for fewer than two examples of a task, features of different widths or that are not
/// finite, and options out of range.
TrainedRouter train_router(const std::vector<torch::Tensor>& features,
                           const RouterOptions& options = {});

/// How scores become shares.
struct Routing {
  double temperature = 1;  ///< scores are divided by it
  std::size_t top = 0;     ///< only the best so many tasks, 0: all
  double threshold = 0;    ///< shares below it become 0, unless all are
  double least = 0;        ///< inputs whose largest share is below it get no expert at all
};

/// Shares [batch, tasks], double: softmax(scores / temperature), then the best `top` and those of
/// at least `threshold` rescaled to sum 1; zero where the largest soft share is below `least`.
/// InputError for a routing out of range.
torch::Tensor route(const torch::Tensor& scores, const Routing& routing = {});

}  // namespace amalgam::learned
