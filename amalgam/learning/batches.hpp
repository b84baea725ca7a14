#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "amalgam/learning/dataset.hpp"
#include "amalgam/learning/recipe.hpp"

namespace amalgam::learning {

/// What one training step sees. With mixup the inputs are share * x + (1 - share) * x' of pairs of
/// examples, and the loss is weighted likewise (Zhang et al. 2018). With cutmix a box of x is
/// replaced by that of x', and share is the share of x that is left (Yun et al. 2019).
struct Batch {
  torch::Tensor inputs;         ///< float [count, channels, rows, columns]
  torch::Tensor labels;         ///< int64 [count], of x
  torch::Tensor second_labels;  ///< int64 [count], of x'; undefined if nothing is mixed
  double share = 1;
  /// Float [count, classes], mixed like the inputs: the targets, if the data have soft labels; else
  /// undefined.
  torch::Tensor soft_labels = {};
  /// Float [count], mixed like the inputs: the numbers to predict, if the data have them; else
  /// undefined.
  torch::Tensor targets = {};
};

/// A box of an image: rows [top, bottom), columns [left, right).
struct CutBox {
  std::int64_t top = 0;
  std::int64_t bottom = 0;
  std::int64_t left = 0;
  std::int64_t right = 0;

  std::int64_t area() const { return (bottom - top) * (right - left); }
};

/// The box that cutmix replaces: of an image of `rows` by `columns`, with the share 1 - `share` of
/// its area (its sides rounded to whole pixels), centred at a pixel and clipped to the image.
CutBox cut_box(std::int64_t rows, std::int64_t columns, double share, std::int64_t centre_row,
               std::int64_t centre_column);

/// InputError if the recipe asks for what these data do not have: images to augment, cut or mix.
void check_mixing(const TrainingRecipe& recipe, const Dataset& data);

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
  void mix(Batch& batch, std::uint64_t epoch, std::uint64_t index) const;
  void cut(Batch& batch, std::uint64_t epoch, std::uint64_t index) const;

  const Dataset& data_;
  const TrainingRecipe& recipe_;
  std::uint64_t per_epoch_ = 0;
  std::uint64_t order_epoch_ = ~std::uint64_t{0};  // the epoch that order_ is of
  std::vector<std::size_t> order_;
};

}  // namespace amalgam::learning
