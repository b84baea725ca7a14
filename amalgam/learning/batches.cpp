#include "amalgam/learning/batches.hpp"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "amalgam/core/random.hpp"
#include "amalgam/data/shuffle.hpp"

namespace amalgam::learning {
namespace {

// Marsaglia and Tsang 2000; for a < 1 by the power transform of a + 1.
double draw_gamma(double a, RandomStream& random) {
  if (a < 1) return draw_gamma(a + 1, random) * std::pow(1.0 - random.uniform(), 1.0 / a);
  const double d = a - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  while (true) {
    const double normal = random.normal();
    const double cube = std::pow(1.0 + c * normal, 3);
    if (cube <= 0) continue;
    const double u = 1.0 - random.uniform();
    if (std::log(u) < 0.5 * normal * normal + d - d * cube + d * std::log(cube)) return d * cube;
  }
}

double draw_beta(double a, RandomStream& random) {
  const double x = draw_gamma(a, random);
  const double y = draw_gamma(a, random);
  return x + y > 0 ? x / (x + y) : 0.5;  // both underflow for tiny a
}

}  // namespace

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
  if (recipe_.augment.any()) augment(batch.inputs, epoch, first);
  if (recipe_.mixup > 0) {
    RandomStream random(recipe_.seed, fmt::format("mixup {} {}", epoch, index));
    batch.share = draw_beta(recipe_.mixup, random);
    // The batch is in random order already, so its reverse pairs examples at random.
    batch.second_labels = batch.labels.flip(0);
    batch.inputs = batch.inputs * batch.share + batch.inputs.flip(0) * (1.0 - batch.share);
  }
  return batch;
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
