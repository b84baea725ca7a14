#include "amalgam/learning/layers.hpp"

#include <vector>

#include "amalgam/core/error.hpp"

namespace amalgam::learning {
namespace {

constexpr double kMomentum = 0.1;
constexpr double kBatchNormEpsilon = 1e-5;

// [channels] so that it meets the channels of x.
torch::Tensor per_channel(const torch::Tensor& values, const torch::Tensor& x) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(x.dim()), 1);
  shape[1] = -1;
  return values.view(shape);
}

}  // namespace

Linear::Linear(std::int64_t inputs, std::int64_t outputs, bool has_bias) {
  weight = register_parameter("weight", torch::empty({outputs, inputs}));
  if (has_bias) bias = register_parameter("bias", torch::empty({outputs}));
}

torch::Tensor Linear::forward(const torch::Tensor& input, const LayerObserver& observer) const {
  torch::Tensor output = torch::linear(input, weight, bias);
  if (observer) observer(*this, input, output);
  return output;
}

Convolution::Convolution(std::int64_t inputs, std::int64_t outputs, const ConvolutionShape& shape,
                         bool has_bias)
    : shape_(shape) {
  weight =
      register_parameter("weight", torch::empty({outputs, inputs, shape.kernel, shape.kernel}));
  if (has_bias) bias = register_parameter("bias", torch::empty({outputs}));
}

torch::Tensor Convolution::forward(const torch::Tensor& input,
                                   const LayerObserver& observer) const {
  torch::Tensor output = torch::conv2d(input, weight, bias, shape_.stride, shape_.padding);
  if (observer) observer(*this, input, output);
  return output;
}

torch::Tensor Convolution::patches(const torch::Tensor& input) const {
  const auto [kernel, stride, padding] = shape_;
  return torch::im2col(input, {kernel, kernel}, {1, 1}, {padding, padding}, {stride, stride});
}

BatchNorm::BatchNorm(std::int64_t channels) {
  weight = register_parameter("weight", torch::empty({channels}));
  bias = register_parameter("bias", torch::empty({channels}));
  running_mean = register_buffer("running_mean", torch::empty({channels}));
  running_var = register_buffer("running_var", torch::empty({channels}));
}

torch::Tensor BatchNorm::forward(const torch::Tensor& input, const LayerObserver& observer) const {
  if (is_training() && input.numel() < 2 * input.size(1)) {
    throw InputError(
        "BatchNorm: a training batch of a single example has no variance; expected a batch size"
        " that leaves at least two examples for the last batch");
  }
  torch::Tensor output =
      torch::batch_norm(input, weight, bias, running_mean, running_var, is_training(), kMomentum,
                        kBatchNormEpsilon, /*cudnn_enabled=*/false);
  if (observer) observer(*this, input, output);
  return output;
}

torch::Tensor BatchNorm::normalised(const torch::Tensor& input) const {
  return (input - per_channel(running_mean, input)) *
         per_channel((running_var + kBatchNormEpsilon).rsqrt(), input);
}

LayerNorm::LayerNorm(std::int64_t width, double epsilon) : epsilon_(epsilon) {
  weight = register_parameter("weight", torch::empty({width}));
  bias = register_parameter("bias", torch::empty({width}));
}

torch::Tensor LayerNorm::forward(const torch::Tensor& input, const LayerObserver& observer) const {
  torch::Tensor output = torch::layer_norm(input, weight.sizes(), weight, bias, epsilon_);
  if (observer) observer(*this, input, output);
  return output;
}

torch::Tensor LayerNorm::normalised(const torch::Tensor& input) const {
  return torch::layer_norm(input, weight.sizes(), {}, {}, epsilon_);
}

RmsNorm::RmsNorm(std::int64_t width, double epsilon) : epsilon_(epsilon) {
  weight = register_parameter("weight", torch::empty({width}));
}

torch::Tensor RmsNorm::forward(const torch::Tensor& input, const LayerObserver& observer) const {
  torch::Tensor output = normalised(input) * weight;
  if (observer) observer(*this, input, output);
  return output;
}

torch::Tensor RmsNorm::normalised(const torch::Tensor& input) const {
  return input * (input.square().mean(-1, /*keepdim=*/true) + epsilon_).rsqrt();
}

Embedding::Embedding(std::int64_t count, std::int64_t width) {
  weight = register_parameter("weight", torch::empty({count, width}));
}

torch::Tensor Embedding::forward(const torch::Tensor& input, const LayerObserver& observer) const {
  torch::Tensor output = torch::embedding(weight, input);
  if (observer) observer(*this, input, output);
  return output;
}

torch::Tensor LearnedConstant::forward(const torch::Tensor& input,
                                       const LayerObserver& observer) const {
  std::vector<std::int64_t> shape = weight.sizes().vec();
  shape[0] = input.size(0);
  torch::Tensor output = weight.expand(shape);
  if (observer) {
    output = output.clone();  // an observer may change it, but not the weight
    observer(*this, input, output);
  }
  return output;
}

bool is_linear_or_convolution(const Layer& layer) {
  return dynamic_cast<const Linear*>(&layer) != nullptr ||
         dynamic_cast<const Convolution*>(&layer) != nullptr;
}

}  // namespace amalgam::learning
