#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "amalgam/learning/options.hpp"
#include "amalgam/learning/torch.hpp"

namespace amalgam::learning {

/// Rotary position embeddings (Su et al. 2021) as Hugging Face's Llama has them: which angles.
struct RotaryOptions {
  double theta = 10'000;
  enum class Scaling {
    none,
    linear,  ///< all frequencies divided by `factor`
    llama3,  ///< the low ones only, with a smooth transition
  } scaling = Scaling::none;
  double factor = 1;
  double low_frequency_factor = 1;   ///< llama3
  double high_frequency_factor = 4;  ///< llama3
  double original_context = 8192;    ///< llama3
};

/// Reads `rope_theta` and `rope_scaling` (an object with `rope_type` and its parameters as in
/// Hugging Face's config.json). InputError for a kind of scaling that is not known, by its name.
RotaryOptions rotary_options(Options& options);

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
