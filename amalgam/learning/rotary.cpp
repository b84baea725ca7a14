#include "amalgam/learning/rotary.hpp"

#include <cmath>
#include <numbers>

namespace amalgam::learning {
namespace {

constexpr double kHuge = 1e12;

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

RotaryOptions rotary_options(Options& options) {
  RotaryOptions rotary;
  rotary.theta = options.number("rope_theta", rotary.theta, 1, kHuge);
  if (!options.has("rope_scaling")) return rotary;
  Options scaling = options.section("rope_scaling");
  const std::string kind = scaling.choice("rope_type", "", {"default", "linear", "llama3"});
  if (kind == "default") {
    scaling.finish();
    return rotary;
  }
  if (!scaling.has("factor")) scaling.refuse("factor", "a number of at least 1");
  rotary.factor = scaling.number("factor", 1, 1, kHuge);
  rotary.scaling = RotaryOptions::Scaling::linear;
  if (kind == "llama3") {
    rotary.scaling = RotaryOptions::Scaling::llama3;
    rotary.low_frequency_factor = scaling.number("low_freq_factor", 1, 0, kHuge);
    rotary.high_frequency_factor = scaling.number("high_freq_factor", 4, 0, kHuge);
    rotary.original_context = scaling.number("original_max_position_embeddings", 8192, 1, kHuge);
    if (!(rotary.high_frequency_factor > rotary.low_frequency_factor)) {
      scaling.refuse("high_freq_factor", "more than low_freq_factor");
    }
  }
  scaling.finish();
  return rotary;
}

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
