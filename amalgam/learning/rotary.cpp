#include "amalgam/learning/rotary.hpp"

#include <cmath>
#include <numbers>

namespace amalgam::learning {
namespace {

double scaled(double frequency, const RotaryOptions& options) {
  if (options.scaling == RotaryOptions::Scaling::none) return frequency;
  const double low = frequency / options.factor;
  if (options.scaling == RotaryOptions::Scaling::linear) return low;
  // How often the angle goes round within the context that the model was trained for first.
  const double turns = options.original_context * frequency / (2 * std::numbers::pi);
  if (turns < options.low_frequency_factor) return low;
  if (turns > options.high_frequency_factor) return frequency;
  const double share = (turns - options.low_frequency_factor) /
                       (options.high_frequency_factor - options.low_frequency_factor);
  return (1 - share) * low + share * frequency;
}

}  // namespace

std::vector<double> rotary_frequencies(const RotaryOptions& options, std::int64_t width) {
  std::vector<double> frequencies;
  for (std::int64_t i = 0; i < width; i += 2) {
    const double exponent = static_cast<double>(i) / static_cast<double>(width);
    frequencies.push_back(scaled(std::pow(options.theta, -exponent), options));
  }
  return frequencies;
}

Rotary::Rotary(const RotaryOptions& options, std::int64_t width)
    : frequencies_(rotary_frequencies(options, width)) {}

void Rotary::prepare(std::int64_t length, torch::ScalarType type) {
  if (cosine_.defined() && cosine_.size(0) >= length && cosine_.scalar_type() == type) return;
  const torch::Tensor angles = torch::outer(torch::arange(length, torch::kDouble),
                                            torch::tensor(frequencies_, torch::kDouble));
  const torch::Tensor both = torch::cat({angles, angles}, 1);
  cosine_ = both.cos().to(type);
  sine_ = both.sin().to(type);
}

torch::Tensor Rotary::rotate(const torch::Tensor& x) {
  const std::int64_t length = x.size(-2);
  prepare(length, x.scalar_type());
  const std::vector<torch::Tensor> halves = x.chunk(2, -1);
  const torch::Tensor turned = torch::cat({-halves[1], halves[0]}, -1);
  return x * cosine_.narrow(0, 0, length) + turned * sine_.narrow(0, 0, length);
}

}  // namespace amalgam::learning
