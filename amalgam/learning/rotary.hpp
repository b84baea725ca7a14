#pragma once

#include <cstdint>
#include <vector>

#include "amalgam/description/architecture_options.hpp"
#include "amalgam/learning/torch.hpp"

namespace amalgam::learning {

/// The angle per position of each pair of entries: theta^(-2 i / width) for i < width / 2, scaled.
std::vector<double> rotary_frequencies(const RotaryOptions& options, std::int64_t width);

/// The rotation of queries and keys by their positions: entry i is paired with entry i + width / 2.
class Rotary {
 public:
  Rotary(const RotaryOptions& options, std::int64_t width);
  /// x [batch, heads, length, width] at positions 0 to length - 1.
  torch::Tensor rotate(const torch::Tensor& x);

 private:
  void prepare(std::int64_t length, torch::ScalarType type);

  std::vector<double> frequencies_;
  torch::Tensor cosine_;  // [longest so far, width]
  torch::Tensor sine_;
};

}  // namespace amalgam::learning
