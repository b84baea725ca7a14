#include "amalgam/learning/fisher.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/learning/layer_gradients.hpp"

namespace amalgam::learning {
namespace {

// What of the chosen classes is differentiated, one axis less than `values`, summed over all.
torch::Tensor sum_of_chosen(const torch::Tensor& values, const torch::Tensor& classes) {
  return values.gather(-1, classes.unsqueeze(-1)).sum();
}

class FisherSum {
 public:
  FisherSum(Network& network, const Dataset& data, FisherKind kind)
      : network_(network), data_(data), kind_(kind) {
    for (const auto& one : network.named_parameters()) {
      sums_[one.value().unsafeGetTensorImpl()] = torch::zeros_like(one.value(), torch::kDouble);
    }
  }

  /// log p of every class; of `gaussian` the outputs themselves.
  torch::Tensor values_of(const torch::Tensor& logits) const {
    const torch::Tensor own = logits_of_head(network_, data_, logits);
    return kind_ == FisherKind::gaussian ? own : torch::log_softmax(own, -1);
  }

  /// Adds sum_n weights[n] (d values[n, classes[n]] / d theta)^2; `values` belong to the trace.
  void add(const LayerTrace& trace, const torch::Tensor& values, const torch::Tensor& classes,
           const torch::Tensor& weights) {
    const std::vector<torch::Tensor> deltas =
        trace.output_gradients(sum_of_chosen(values, classes));
    std::map<const void*, std::vector<LayerUse>> uses;  // by weight
    for (std::size_t i = 0; i < deltas.size(); ++i) {
      if (!deltas[i].defined()) continue;
      const LayerRecord& record = trace.layers()[i];
      uses[record.layer->weight.unsafeGetTensorImpl()].push_back({&record, deltas[i]});
    }
    for (const auto& [weight, same] : uses) {
      const LayerGradients squares = squared_gradients(same, weights);
      sums_.at(weight) += squares.weight;
      if (squares.bias.defined()) {
        sums_.at(same.front().record->layer->bias.unsafeGetTensorImpl()) += squares.bias;
      }
    }
  }

  /// The same for the parameters that are in no layer of the trace, one example at a time.
  void add_others(const LayerTrace& trace, const torch::Tensor& inputs,
                  const torch::Tensor& classes, const torch::Tensor& weights) {
    const std::vector<torch::Tensor> others = outside(trace);
    if (others.empty()) return;
    for (std::int64_t n = 0; n < inputs.size(0); ++n) {
      const torch::Tensor values = values_of(network_.forward(inputs.narrow(0, n, 1)));
      const auto gradients = torch::autograd::grad({sum_of_chosen(values, classes.narrow(0, n, 1))},
                                                   others, {}, /*retain_graph=*/false,
                                                   /*create_graph=*/false, /*allow_unused=*/true);
      for (std::size_t i = 0; i < others.size(); ++i) {
        if (!gradients[i].defined()) continue;
        sums_.at(others[i].unsafeGetTensorImpl()) += gradients[i].square() * weights[n];
      }
    }
  }

  /// The same for each class by itself, with a weight of its own: of text, where positions are
  /// apart, `classes` and `weights` are [count, positions, classes].
  void add_others_apart(const LayerTrace& trace, const torch::Tensor& inputs,
                        const torch::Tensor& classes, const torch::Tensor& weights) {
    const std::vector<torch::Tensor> others = outside(trace);
    if (others.empty()) return;
    for (std::int64_t n = 0; n < inputs.size(0); ++n) {
      const torch::Tensor values =
          values_of(network_.forward(inputs.narrow(0, n, 1))).view({classes.size(1), -1});
      const torch::Tensor chosen = values.gather(1, classes[n]);
      for (std::int64_t t = 0; t < chosen.size(0); ++t) {
        for (std::int64_t k = 0; k < chosen.size(1); ++k) {
          const auto gradients = torch::autograd::grad({chosen[t][k]}, others, {},
                                                       /*retain_graph=*/true,
                                                       /*create_graph=*/false,
                                                       /*allow_unused=*/true);
          for (std::size_t i = 0; i < others.size(); ++i) {
            if (!gradients[i].defined()) continue;
            sums_.at(others[i].unsafeGetTensorImpl()) += gradients[i].square() * weights[n][t][k];
          }
        }
      }
    }
  }

  NamedTensors mean(double examples) const {
    NamedTensors result;
    for (const auto& one : network_.named_parameters()) {
      result.emplace_back(one.key(), sums_.at(one.value().unsafeGetTensorImpl()) / examples);
    }
    return result;
  }

 private:
  std::vector<torch::Tensor> outside(const LayerTrace& trace) const {
    std::set<const void*> inside;
    for (const LayerRecord& record : trace.layers()) {
      inside.insert(record.layer->weight.unsafeGetTensorImpl());
      inside.insert(record.layer->bias.unsafeGetTensorImpl());
    }
    std::vector<torch::Tensor> others;
    for (const torch::Tensor& parameter : network_.parameters()) {
      if (!inside.contains(parameter.unsafeGetTensorImpl())) others.push_back(parameter);
    }
    return others;
  }

  Network& network_;
  const Dataset& data_;
  FisherKind kind_;
  std::map<const void*, torch::Tensor> sums_;  // by parameter
};

// One class for each row of probabilities (that of an example, or of one of its positions) by the
// inverse of the cumulative distribution, in the shape of `like`. `first`: the number of the first
// row.
torch::Tensor sample_classes(const torch::Tensor& probabilities, const torch::Tensor& like,
                             std::int64_t first, std::uint64_t sample, std::uint64_t seed) {
  const torch::Tensor rows = probabilities.flatten(0, -2).to(torch::kDouble);
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
  return classes.view(like.sizes());
}

// Over the most probable classes of every position (there is one, except of text); of equal ones
// the lowest.
void add_top(FisherSum& sum, const LayerTrace& trace, const torch::Tensor& values,
             const torch::Tensor& inputs, std::uint64_t top) {
  const torch::Tensor by_position = values.dim() == 3 ? values : values.unsqueeze(1);
  const std::int64_t kept = std::min(static_cast<std::int64_t>(top), by_position.size(2));
  const auto [sorted, order] =
      torch::sort(by_position.detach().exp(), /*stable=*/true, -1, /*descending=*/true);
  const torch::Tensor classes = order.narrow(2, 0, kept).contiguous();
  const torch::Tensor shares = sorted.narrow(2, 0, kept);
  const torch::Tensor weights = shares / shares.sum(2, /*keepdim=*/true);
  for (std::int64_t t = 0; t < classes.size(1); ++t) {
    for (std::int64_t k = 0; k < kept; ++k) {
      sum.add(trace, by_position.select(1, t), classes.select(1, t).select(1, k),
              weights.select(1, t).select(1, k));
    }
  }
  sum.add_others_apart(trace, inputs, classes, weights);
}

}  // namespace

NamedTensors fisher_diagonal(Network& network, const Dataset& data, const FisherOptions& options) {
  check_fits(network, data);
  if (data.count() == 0) throw InputError("{}: no examples for the Fisher diagonal", data.source);
  const bool visits_all = options.kind == FisherKind::exact || options.kind == FisherKind::gaussian;
  if (network.description().takes_tokens() && visits_all) {
    throw InputError(
        "the exact Fisher diagonal of a network that predicts tokens needs a pass for every"
        " position and token; use 'top', over the most probable tokens, or 'sampled', whose mean is"
        " the same");
  }
  if (options.kind == FisherKind::top && options.top == 0) {
    throw InputError("{}: the Fisher diagonal over the top 0 classes; expected at least 1",
                     data.source);
  }
  if (options.kind != FisherKind::gaussian)
    check_classes(data, "a Fisher diagonal of any kind but 'gaussian'");
  const bool was_training = network.is_training();
  network.eval();
  FisherSum sum(network, data, options.kind);
  for (std::int64_t first = 0; first < data.count(); first += options.batch) {
    const std::int64_t count = std::min(options.batch, data.count() - first);
    const torch::Tensor inputs = data.inputs.narrow(0, first, count);
    const torch::Tensor labels = data.labels.narrow(0, first, count);
    const LayerTrace trace(network, inputs, TracedLayers::all);
    const torch::Tensor values = sum.values_of(trace.logits());
    const torch::Tensor probabilities = values.detach().exp();
    const torch::Tensor ones = torch::ones({count}, probabilities.options());
    const auto add = [&](const torch::Tensor& classes, const torch::Tensor& weights) {
      sum.add(trace, values, classes, weights);
      sum.add_others(trace, inputs, classes, weights);
    };
    switch (options.kind) {
      case FisherKind::exact:
        for (std::int64_t k = 0; k < values.size(1); ++k) {
          add(torch::full({count}, k, torch::kLong), probabilities.select(1, k));
        }
        break;
      case FisherKind::sampled:
        for (std::uint64_t sample = 0; sample < options.samples; ++sample) {
          const std::int64_t first_row = first * (labels.numel() / count);
          add(sample_classes(probabilities, labels, first_row, sample, options.seed),
              ones / static_cast<double>(options.samples));
        }
        break;
      case FisherKind::top:
        add_top(sum, trace, values, inputs, options.top);
        break;
      case FisherKind::empirical:
        add(labels, ones);
        break;
      case FisherKind::gaussian:
        for (std::int64_t o = 0; o < values.size(1); ++o) {
          add(torch::full({count}, o, torch::kLong), ones);
        }
        break;
    }
    if (options.after_batch) options.after_batch(static_cast<std::uint64_t>(count));
  }
  network.train(was_training);
  return sum.mean(static_cast<double>(data.count()));
}

}  // namespace amalgam::learning
