#include "amalgam/learning/layers.hpp"

namespace amalgam::learning {

Linear::Linear(std::int64_t inputs, std::int64_t outputs)
    : weight(register_parameter("weight", torch::empty({outputs, inputs}))),
      bias(register_parameter("bias", torch::empty({outputs}))) {}

torch::Tensor Linear::forward(const torch::Tensor& input, const LayerObserver& observer) const {
  torch::Tensor output = torch::linear(input, weight, bias);
  if (observer) observer(*this, input, output);
  return output;
}

Convolution::Convolution(std::int64_t inputs, std::int64_t outputs, std::int64_t kernel)
    : weight(register_parameter("weight", torch::empty({outputs, inputs, kernel, kernel}))),
      bias(register_parameter("bias", torch::empty({outputs}))) {}

torch::Tensor Convolution::forward(const torch::Tensor& input,
                                   const LayerObserver& observer) const {
  torch::Tensor output = torch::conv2d(input, weight, bias, 1, padding());
  if (observer) observer(*this, input, output);
  return output;
}

}  // namespace amalgam::learning
