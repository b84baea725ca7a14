#include "amalgam/learning/layer_gradients.hpp"

#include <unordered_map>

#include "amalgam/core/error.hpp"

namespace amalgam::learning {
namespace {

SquaredGradients squared_gradients(const Linear&, const torch::Tensor& input,
                                   const torch::Tensor& delta, const torch::Tensor& weights) {
  if (input.dim() != 2) throw Error("per-example gradients of a linear layer used several times");
  // The gradient of one example is the outer product of delta and input, so is its square.
  const torch::Tensor squares = delta.square() * weights.unsqueeze(1);
  return {squares.t().matmul(input.square()), squares.sum(0)};
}

SquaredGradients squared_gradients(const Convolution& layer, const torch::Tensor& input,
                                   const torch::Tensor& delta, const torch::Tensor& weights) {
  const auto kernel = layer.weight.size(-1);
  // [batch, inputs * kernel * kernel, positions]
  const torch::Tensor patches =
      torch::im2col(input, {kernel, kernel}, {1, 1}, {layer.padding(), layer.padding()}, {1, 1});
  const torch::Tensor flat = delta.flatten(2);  // [batch, outputs, positions]
  const torch::Tensor per_example = torch::bmm(flat, patches.transpose(1, 2));
  const torch::Tensor weight = per_example.square_().mul_(weights.view({-1, 1, 1})).sum(0);
  const torch::Tensor bias = (flat.sum(2).square() * weights.unsqueeze(1)).sum(0);
  return {weight.view(layer.weight.sizes()), bias};
}

}  // namespace

LayerTrace::LayerTrace(Network& network, const torch::Tensor& inputs) {
  std::unordered_map<const torch::nn::Module*, std::string> names;
  for (const auto& one : network.named_modules("", false)) names[one.value().get()] = one.key();
  logits_ = network.forward(inputs, [&](const torch::nn::Module& layer, const torch::Tensor& input,
                                        const torch::Tensor& output) {
    layers_.push_back({&layer, names.at(&layer), input.detach(), output});
  });
}

std::vector<torch::Tensor> LayerTrace::output_gradients(const torch::Tensor& scalar) const {
  std::vector<torch::Tensor> outputs;
  outputs.reserve(layers_.size());
  for (const LayerRecord& record : layers_) outputs.push_back(record.output);
  return torch::autograd::grad({scalar}, outputs, {}, /*retain_graph=*/true);
}

SquaredGradients squared_gradients(const LayerRecord& record, const torch::Tensor& output_gradient,
                                   const torch::Tensor& weights) {
  const torch::NoGradGuard no_grad;
  if (const auto* linear = dynamic_cast<const Linear*>(record.layer)) {
    return squared_gradients(*linear, record.input, output_gradient, weights);
  }
  if (const auto* convolution = dynamic_cast<const Convolution*>(record.layer)) {
    return squared_gradients(*convolution, record.input, output_gradient, weights);
  }
  throw Error("layer '{}': no per-example gradients for its kind", record.name);
}

}  // namespace amalgam::learning
