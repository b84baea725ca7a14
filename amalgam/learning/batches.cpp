#include "amalgam/learning/batches.hpp"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "amalgam/core/distributions.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/data/shuffle.hpp"
#include "amalgam/learning/soft_targets.hpp"

namespace amalgam::learning {
namespace {

// With the batch's reverse, `share` being the part of its own order.
void mix_targets(Batch& batch) {
  batch.second_labels = batch.labels.flip(0);
  if (batch.targets.defined()) {
    batch.targets = batch.targets * batch.share + batch.targets.flip(0) * (1.0 - batch.share);
  }
  if (!batch.soft_labels.defined()) return;
  batch.soft_labels =
      batch.soft_labels * batch.share + batch.soft_labels.flip(0) * (1.0 - batch.share);
}

// What a batch of examples with soft labels is trained on.
void set_soft_targets(Batch& batch, const torch::Tensor& soft, const torch::Tensor& places,
                      const TrainingRecipe& recipe, std::uint64_t epoch) {
  using Use = SoftTargets::Use;
  const SoftTargets how = recipe.data.soft.value_or(SoftTargets{});
  if (how.use == Use::sampled) {
    batch.labels = sampled_labels(soft, places, recipe.seed, epoch);
  } else if (how.use == Use::most_probable || !how.head.empty()) {
    batch.labels = soft.argmax(1);
  }
  if (how.use == Use::probabilities) batch.soft_labels = soft;
}

}  // namespace

CutBox cut_box(std::int64_t rows, std::int64_t columns, double share, std::int64_t centre_row,
               std::int64_t centre_column) {
  const double side = std::sqrt(std::clamp(1.0 - share, 0.0, 1.0));
  const auto height = static_cast<std::int64_t>(std::llround(side * static_cast<double>(rows)));
  const auto width = static_cast<std::int64_t>(std::llround(side * static_cast<double>(columns)));
  const std::int64_t top = centre_row - height / 2;
  const std::int64_t left = centre_column - width / 2;
  return {.top = std::clamp<std::int64_t>(top, 0, rows),
          .bottom = std::clamp<std::int64_t>(top + height, 0, rows),
          .left = std::clamp<std::int64_t>(left, 0, columns),
          .right = std::clamp<std::int64_t>(left + width, 0, columns)};
}

void check_mixing(const TrainingRecipe& recipe, const Dataset& data) {
  const auto refuse = [&](const char* what, const char* expected) {
    throw InputError("{}: the recipe's '{}' needs {}", data.source, what, expected);
  };
  if (recipe.mixup > 0 && data.is_text()) refuse("mixup", "inputs that are numbers, not tokens");
  if (data.is_images()) return;
  if (recipe.cutmix > 0) refuse("cutmix", "images of more than one pixel");
  if (recipe.augment.any()) refuse("augment", "images of more than one pixel");
}

Batches::Batches(const Dataset& data, const TrainingRecipe& recipe)
    : data_(data),
      recipe_(recipe),
      per_epoch_((static_cast<std::uint64_t>(data.count()) + recipe.batch - 1) / recipe.batch) {}

Batch Batches::get(std::uint64_t epoch, std::uint64_t index) {
  if (order_epoch_ != epoch) {
    order_ = shuffled_indices(static_cast<std::size_t>(data_.count()), recipe_.seed,
                              fmt::format("order {}", epoch));
    order_epoch_ = epoch;
  }
  const std::size_t first = index * recipe_.batch;
  const std::size_t count = std::min<std::size_t>(recipe_.batch, order_.size() - first);
  torch::Tensor places = torch::empty({static_cast<std::int64_t>(count)}, torch::kLong);
  std::copy_n(order_.begin() + static_cast<std::ptrdiff_t>(first), count,
              places.data_ptr<std::int64_t>());

  Batch batch;
  batch.inputs = data_.inputs.index_select(0, places);
  batch.labels = data_.labels.index_select(0, places);
  if (data_.targets.defined()) batch.targets = data_.targets.index_select(0, places);
  if (data_.soft_labels.defined()) {
    set_soft_targets(batch, data_.soft_labels.index_select(0, places), places, recipe_, epoch);
  }
  if (recipe_.augment.any()) augment(batch.inputs, epoch, first);
  // An example alone would be mixed with itself.
  if (count > 1 && recipe_.mixup > 0) mix(batch, epoch, index);
  if (count > 1 && recipe_.cutmix > 0) cut(batch, epoch, index);
  return batch;
}

// The batch is in random order already, so its reverse pairs examples at random.
void Batches::mix(Batch& batch, std::uint64_t epoch, std::uint64_t index) const {
  RandomStream random(recipe_.seed, fmt::format("mixup {} {}", epoch, index));
  batch.share = beta_draw(recipe_.mixup, random);
  mix_targets(batch);
  batch.inputs = batch.inputs * batch.share + batch.inputs.flip(0) * (1.0 - batch.share);
}

void Batches::cut(Batch& batch, std::uint64_t epoch, std::uint64_t index) const {
  RandomStream random(recipe_.seed, fmt::format("cutmix {} {}", epoch, index));
  const std::int64_t rows = batch.inputs.size(2);
  const std::int64_t columns = batch.inputs.size(3);
  const double share = beta_draw(recipe_.cutmix, random);
  const auto row = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(rows)));
  const auto column = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(columns)));
  const CutBox box = cut_box(rows, columns, share, row, column);
  batch.share = 1.0 - static_cast<double>(box.area()) / static_cast<double>(rows * columns);
  mix_targets(batch);
  const auto inside = [&](const torch::Tensor& images) {
    return images.slice(2, box.top, box.bottom).slice(3, box.left, box.right);
  };
  const torch::Tensor partners = inside(batch.inputs).flip(0);
  inside(batch.inputs).copy_(partners);
}

void Batches::augment(torch::Tensor& inputs, std::uint64_t epoch, std::size_t first) const {
  const ImageSize size = data_.size();
  float* pixels = inputs.data_ptr<float>();
  at::parallel_for(0, inputs.size(0), 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto place = static_cast<std::size_t>(i);
      RandomStream random(recipe_.seed, fmt::format("augment {} {}", epoch, first + place));
      augment_image({pixels + place * size.values(), size.values()}, size, recipe_.augment, random);
    }
  });
}

}  // namespace amalgam::learning
