#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "amalgam/learning/dataset.hpp"
#include "amalgam/weights/learned/coefficients.hpp"

namespace amalgam::learned {

struct LearnedSoupOptions {
  Granularity granularity = Granularity::tensor;
  double learning_rate = 0.05;  ///< of AdamW, weight decay 0
  std::uint64_t epochs = 5;     ///< over the held-out examples
  std::uint64_t batch = 256;
  std::uint64_t seed = 0;                           ///< of the order of the examples
  std::function<void(std::uint64_t step)> on_step;  ///< for progress and interruption
};

struct LearnedSoup {
  /// alpha [rows, members], double: each row is a point of the simplex.
  torch::Tensor shares;
  std::vector<std::string> row_names;  ///< tensors, or one empty name
  double inverse_temperature = 1;      ///< beta, of the loss alone: the weights do not have it
  std::vector<double> losses;          ///< of every step
  NamedTensors state;                  ///< sum_i alpha_i theta_i
};

/// Learned soup (Wortsman et al. 2022, section 2 and appendix I): minimises the cross-entropy of
/// beta f(x; sum_i alpha_i theta_i) on held-out examples over alpha = softmax(a) and the inverse
/// temperature beta, by AdamW, from the uniform soup and beta = 1. InputError for members that do
/// not fit and examples that are missing; Error naming the step if the loss is not finite.
LearnedSoup learn_soup(const learning::Network& network, const std::vector<NamedTensors>& members,
                       const learning::Dataset& held_out, const LearnedSoupOptions& options = {});

}  // namespace amalgam::learned
