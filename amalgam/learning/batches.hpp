#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "amalgam/learning/dataset.hpp"
#include "amalgam/learning/recipe.hpp"

namespace amalgam::learning {

/// What one training step sees. With mixup the inputs are share * x + (1 - share) * x' of pairs of
/// examples, and the loss is weighted likewise (Zhang et al. 2018).
struct Batch {
  torch::Tensor inputs;         ///< float [count, channels, rows, columns]
  torch::Tensor labels;         ///< int64 [count], of x
  torch::Tensor second_labels;  ///< int64 [count], of x'; undefined without mixup
  double share = 1;
};

/// The batches of every epoch, shuffled, augmented and mixed. Each is a function of the recipe's
/// seed, the epoch and its place in it alone: not of threads, and not of what was asked before.
class Batches {
 public:
  /// Both outlive this object.
  Batches(const Dataset& data, const TrainingRecipe& recipe);

  /// Batches in an epoch; the last one may be smaller.
  std::uint64_t per_epoch() const { return per_epoch_; }
  Batch get(std::uint64_t epoch, std::uint64_t index);

 private:
  void augment(torch::Tensor& inputs, std::uint64_t epoch, std::size_t first) const;

  const Dataset& data_;
  const TrainingRecipe& recipe_;
  std::uint64_t per_epoch_ = 0;
  std::uint64_t order_epoch_ = ~std::uint64_t{0};  // the epoch that order_ is of
  std::vector<std::size_t> order_;
};

}  // namespace amalgam::learning
