#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/learning/layer_gradients.hpp"
#include "amalgam/weights/learned/pleas.hpp"
#include "amalgam/weights/learned/pleas_layers.hpp"

namespace amalgam::learned {
namespace {

using learning::Dataset;
using learning::LayerTrace;

// What both networks compute for some examples, layer by layer.
class PairTrace {
 public:
  PairTrace(Network& left, Network& right, const torch::Tensor& inputs)
      : left_(left, inputs), right_(right, inputs) {}

  LayerPair::Examples examples(const PairedLayer& layer, PleasOptions::Fit fit) const {
    const torch::Tensor left = rows_of(left_, layer.name);
    const torch::Tensor right = rows_of(right_, layer.name);
    return fit == PleasOptions::Fit::averaged ? layer.pair.averaged(left, right)
                                              : layer.pair.stacked(left, right);
  }

 private:
  static torch::Tensor rows_of(const LayerTrace& trace, const std::string& name) {
    const auto found = std::ranges::find(trace.layers(), name, &learning::LayerRecord::name);
    if (found == trace.layers().end()) throw Error("pleas: layer '{}' was not computed", name);
    return rows_with_one(*found);
  }

  LayerTrace left_;
  LayerTrace right_;
};

// Examples in random orders, one order after another.
class Shuffled {
 public:
  Shuffled(const Dataset& data, const PleasAdam& adam) : data_(data), adam_(adam) {}

  torch::Tensor next() {
    std::vector<std::size_t> chosen;
    while (chosen.size() < std::min<std::uint64_t>(adam_.batch, count())) {
      if (place_ == order_.size()) {
        order_ = random_permutation(data_.count(), adam_.seed,
                                    "order " + std::to_string(orders_++) + " of pleas");
        place_ = 0;
      }
      chosen.push_back(static_cast<std::size_t>(order_[place_++]));
    }
    return data_.select(chosen).inputs;
  }

 private:
  std::uint64_t count() const { return static_cast<std::uint64_t>(data_.count()); }

  const Dataset& data_;
  const PleasAdam& adam_;
  std::vector<std::int64_t> order_;
  std::size_t place_ = 0;
  std::uint64_t orders_ = 0;
};

class AdamFit {
 public:
  AdamFit(Network& left, Network& right, const Dataset& data, const PleasAdam& adam,
          PleasOptions::Fit fit)
      : left_(left), right_(right), data_(data), adam_(adam), fit_(fit) {}

  void operator()(std::vector<PairedLayer>& layers) const {
    std::vector<PairedLayer*> fitted;
    std::vector<torch::Tensor> before;
    std::vector<torch::Tensor> free;
    std::vector<torch::Tensor> weights;
    for (PairedLayer& layer : layers) {
      if (!layer.is_fitted) continue;
      fitted.push_back(&layer);
      before.push_back(layer.weight);
      free.push_back(layer.pair.free_weights());
      weights.push_back(layer.weight.clone());
    }
    descend(fitted, free, weights);
    for (std::size_t i = 0; i < fitted.size(); ++i) fitted[i]->weight = weights[i];
    report(fitted, before);
  }

 private:
  void descend(const std::vector<PairedLayer*>& layers, const std::vector<torch::Tensor>& free,
               std::vector<torch::Tensor>& weights) const {
    torch::optim::Adam optimizer(weights, torch::optim::AdamOptions(adam_.learning_rate));
    Shuffled shuffled(data_, adam_);
    for (std::uint64_t step = 0; step < adam_.steps; ++step) {
      check_interrupt();
      const PairTrace trace(left_, right_, shuffled.next());
      for (std::size_t i = 0; i < layers.size(); ++i) {
        const LayerPair::Examples examples = trace.examples(*layers[i], fit_);
        const torch::Tensor error = examples.inputs.mm(weights[i].t()) - examples.targets;
        if (!error.isfinite().all().item<bool>()) {
          throw Error(
              "pleas: the loss of layer '{}' is not finite at step {} of {}; lower the"
              " learning rate",
              layers[i]->name, step + 1, adam_.steps);
        }
        // Of the mean over rows and outputs of the squared error.
        weights[i].mutable_grad() =
            2.0 / static_cast<double>(error.numel()) * error.t().mm(examples.inputs) * free[i];
      }
      const double share = static_cast<double>(step) / static_cast<double>(adam_.steps);
      for (auto& group : optimizer.param_groups()) {
        group.options().set_lr(adam_.learning_rate * (1 + std::cos(std::numbers::pi * share)) / 2);
      }
      optimizer.step();
    }
    for (torch::Tensor& weight : weights) weight.mutable_grad() = torch::Tensor();
  }

  void report(const std::vector<PairedLayer*>& layers,
              const std::vector<torch::Tensor>& before) const {
    constexpr std::int64_t kBatch = 256;
    std::vector<double> rows(layers.size(), 0);
    for (std::int64_t first = 0; first < data_.count(); first += kBatch) {
      check_interrupt();
      const PairTrace trace(left_, right_,
                            data_.inputs.narrow(0, first, std::min(kBatch, data_.count() - first)));
      for (std::size_t i = 0; i < layers.size(); ++i) {
        const LayerPair::Examples examples = trace.examples(*layers[i], fit_);
        const auto squares = [&](const torch::Tensor& weight) {
          const torch::Tensor outputs = examples.inputs.mm(weight.t());
          return (outputs - examples.targets).square().sum().item<double>();
        };
        PleasLayer& sums = layers[i]->report;
        sums.energy += examples.targets.square().sum().item<double>();
        sums.residual_before += squares(before[i]);
        sums.residual += squares(layers[i]->weight);
        rows[i] += static_cast<double>(examples.targets.size(0));
      }
    }
    for (std::size_t i = 0; i < layers.size(); ++i) {
      PleasLayer& means = layers[i]->report;
      means.name = layers[i]->name;
      for (double* sum : {&means.energy, &means.residual_before, &means.residual}) *sum /= rows[i];
      means.underdetermined = rows[i] < static_cast<double>(layers[i]->weight.size(1));
    }
  }

  Network& left_;
  Network& right_;
  const Dataset& data_;
  const PleasAdam& adam_;
  PleasOptions::Fit fit_;
};

void check_adam(const PleasAdam& adam, const Dataset& data) {
  if (!(adam.learning_rate > 0) || !std::isfinite(adam.learning_rate) || adam.steps < 1 ||
      adam.batch < 1) {
    throw InputError(
        "pleas: {} steps of Adam with {} examples at a rate of {}; expected at least 1, 1 and more"
        " than 0",
        adam.steps, adam.batch, adam.learning_rate);
  }
  if (data.count() == 0) throw InputError("{}: no examples to fit layers to", data.source);
}

}  // namespace

PleasMerge pleas_by_adam(Network& left, Network& right, const PermutationSpec& spec,
                         const Matching& matching, const Dataset& data, const PleasAdam& adam,
                         const PleasOptions& options) {
  check_adam(adam, data);
  learning::check_fits(left, data);
  left.eval();
  right.eval();
  return merge_pair(left, right, spec, matching, options,
                    AdamFit(left, right, data, adam, options.fit));
}

}  // namespace amalgam::learned
