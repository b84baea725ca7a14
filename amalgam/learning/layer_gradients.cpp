#include "amalgam/learning/layer_gradients.hpp"

#include <algorithm>
#include <unordered_map>

#include "amalgam/core/error.hpp"

namespace amalgam::learning {
namespace {

constexpr std::int64_t kMostElements = 1 << 24;  // of gradients that are there at once

// x and delta are [batch, ..., width]: the sum over what is between, [batch, width].
torch::Tensor sum_of_positions(const torch::Tensor& x) {
  return x.dim() > 2 ? x.flatten(1, -2).sum(1) : x;
}

LayerGradients of_linear(const Linear& layer, const torch::Tensor& input,
                         const torch::Tensor& delta) {
  const torch::Tensor rows = input.dim() > 2 ? input.flatten(1, -2) : input.unsqueeze(1);
  const torch::Tensor deltas = delta.dim() > 2 ? delta.flatten(1, -2) : delta.unsqueeze(1);
  LayerGradients gradients{torch::bmm(deltas.transpose(1, 2), rows), {}};
  if (layer.bias.defined()) gradients.bias = deltas.sum(1);
  return gradients;
}

LayerGradients of_convolution(const Convolution& layer, const torch::Tensor& input,
                              const torch::Tensor& delta) {
  const torch::Tensor flat = delta.flatten(2);  // [batch, outputs, positions]
  std::vector<std::int64_t> shape = layer.weight.sizes().vec();
  shape.insert(shape.begin(), input.size(0));
  LayerGradients gradients{torch::bmm(flat, layer.patches(input).transpose(1, 2)).view(shape), {}};
  if (layer.bias.defined()) gradients.bias = flat.sum(2);
  return gradients;
}

LayerGradients of_batch_norm(const BatchNorm& layer, const torch::Tensor& input,
                             const torch::Tensor& delta) {
  if (layer.is_training()) throw Error("gradients per example of a BatchNorm in training mode");
  return {(delta * layer.normalised(input)).flatten(2).sum(2), delta.flatten(2).sum(2)};
}

LayerGradients of_embedding(const Embedding& layer, const torch::Tensor& input,
                            const torch::Tensor& delta) {
  const std::int64_t batch = input.size(0);
  const std::int64_t count = layer.weight.size(0);
  const std::int64_t width = layer.weight.size(1);
  const torch::Tensor tokens = input.flatten(1);
  const torch::Tensor rows = tokens + torch::arange(batch, torch::kLong).unsqueeze(1) * count;
  const torch::Tensor sums = torch::zeros({batch * count, width}, delta.options());
  return {sums.index_add(0, rows.flatten(), delta.reshape({-1, width})).view({batch, count, width}),
          {}};
}

LayerGradients gradients_of(const LayerRecord& record, const torch::Tensor& input,
                            const torch::Tensor& delta) {
  if (const auto* linear = dynamic_cast<const Linear*>(record.layer)) {
    return of_linear(*linear, input, delta);
  }
  if (const auto* convolution = dynamic_cast<const Convolution*>(record.layer)) {
    return of_convolution(*convolution, input, delta);
  }
  if (const auto* norm = dynamic_cast<const BatchNorm*>(record.layer)) {
    return of_batch_norm(*norm, input, delta);
  }
  if (const auto* norm = dynamic_cast<const LayerNorm*>(record.layer)) {
    return {sum_of_positions(delta * norm->normalised(input)), sum_of_positions(delta)};
  }
  if (const auto* norm = dynamic_cast<const RmsNorm*>(record.layer)) {
    return {sum_of_positions(delta * norm->normalised(input)), {}};
  }
  if (const auto* embedding = dynamic_cast<const Embedding*>(record.layer)) {
    return of_embedding(*embedding, input, delta);
  }
  if (dynamic_cast<const LearnedConstant*>(record.layer) != nullptr) {
    return {delta.unsqueeze(1), {}};
  }
  throw Error("layer '{}': no per-example gradients for its kind", record.name);
}

void add(torch::Tensor& sum, const torch::Tensor& part) {
  if (part.defined()) sum = sum.defined() ? sum + part : part;
}

// sum_n shares[n] gradients[n]^2; undefined for what is not there.
torch::Tensor weighted_squares(const torch::Tensor& gradients, const torch::Tensor& shares) {
  if (!gradients.defined()) return {};
  std::vector<std::int64_t> shape(static_cast<std::size_t>(gradients.dim()), 1);
  shape[0] = -1;
  return (gradients.square() * shares.view(shape)).sum(0);
}

// The names of layers, by themselves or by the parameter that they use.
class LayerNames {
 public:
  explicit LayerNames(const Network& network) {
    for (const auto& one : network.named_modules("", false)) layers_[one.value().get()] = one.key();
    for (const auto& one : network.named_parameters()) {
      parameters_[one.value().unsafeGetTensorImpl()] = one.key();
    }
  }

  std::string name_of(const Layer& layer) const {
    if (const auto found = layers_.find(&layer); found != layers_.end()) return found->second;
    constexpr std::string_view kWeight = ".weight";
    std::string name = parameters_.at(layer.weight.unsafeGetTensorImpl());
    if (name.ends_with(kWeight)) name.resize(name.size() - kWeight.size());
    return name;
  }

 private:
  std::unordered_map<const torch::nn::Module*, std::string> layers_;
  std::unordered_map<const void*, std::string> parameters_;
};

}  // namespace

LayerTrace::LayerTrace(Network& network, const torch::Tensor& inputs, TracedLayers traced) {
  const LayerNames names(network);
  logits_ = network.forward(
      inputs, [&](const Layer& layer, const torch::Tensor& input, const torch::Tensor& output) {
        if (traced == TracedLayers::all || is_linear_or_convolution(layer)) {
          layers_.push_back({&layer, names.name_of(layer), input.detach(), output});
        }
      });
}

std::vector<torch::Tensor> LayerTrace::output_gradients(const torch::Tensor& scalar) const {
  std::vector<torch::Tensor> outputs;
  outputs.reserve(layers_.size());
  for (const LayerRecord& record : layers_) outputs.push_back(record.output);
  return torch::autograd::grad({scalar}, outputs, {}, /*retain_graph=*/true,
                               /*create_graph=*/false, /*allow_unused=*/true);
}

LayerGradients squared_gradients(const std::vector<LayerUse>& uses, const torch::Tensor& weights) {
  const torch::NoGradGuard no_grad;
  const LayerRecord& first_use = *uses.front().record;
  if (uses.size() == 1 && first_use.input.dim() == 2 &&
      dynamic_cast<const Linear*>(first_use.layer) != nullptr) {
    // The gradient of one example is the outer product of delta and input, so is its square.
    const torch::Tensor squares = uses.front().output_gradient.square() * weights.unsqueeze(1);
    return {squares.t().matmul(first_use.input.square()),
            first_use.layer->bias.defined() ? squares.sum(0) : torch::Tensor()};
  }
  LayerGradients sums;
  const std::int64_t step =
      std::max<std::int64_t>(1, kMostElements / first_use.layer->weight.numel());
  for (std::int64_t first = 0; first < weights.size(0); first += step) {
    const std::int64_t count = std::min(step, weights.size(0) - first);
    LayerGradients gradients;  // [count, <shape of the parameter>]
    for (const LayerUse& use : uses) {
      const LayerGradients one =
          gradients_of(*use.record, use.record->input.narrow(0, first, count),
                       use.output_gradient.narrow(0, first, count));
      add(gradients.weight, one.weight);
      add(gradients.bias, one.bias);
    }
    const torch::Tensor shares = weights.narrow(0, first, count);
    add(sums.weight, weighted_squares(gradients.weight, shares));
    add(sums.bias, weighted_squares(gradients.bias, shares));
  }
  return sums;
}

}  // namespace amalgam::learning
