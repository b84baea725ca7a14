#include "amalgam/experiments/colour_patch_data.hpp"

#include <span>

#include "amalgam/core/random.hpp"

namespace amalgam::experiments {

using learning::Dataset;

Dataset with_patches(const Dataset& images, const ColourPatches& patches,
                     const std::vector<double>& shift, std::uint64_t seed) {
  Dataset data = learning::corrupted(images, parse_corruption("pool=2"), 0);
  const torch::Tensor pixels = data.inputs.flatten(1);
  const auto width = static_cast<std::int64_t>(3 * patches.patches());
  torch::Tensor colours = torch::empty({data.count(), width});
  const auto labels = data.labels.accessor<std::int64_t, 1>();
  for (std::int64_t n = 0; n < data.count(); ++n) {
    patches.draw(static_cast<std::size_t>(labels[n]), shift, seed, static_cast<std::uint64_t>(n),
                 {colours.data_ptr<float>() + n * width, static_cast<std::size_t>(width)});
  }
  data.inputs = torch::cat({pixels, colours}, 1).unsqueeze(2).unsqueeze(3).contiguous();
  return data;
}

Dataset with_label_noise(const Dataset& data, double share, std::uint64_t seed) {
  Dataset noisy = data;
  noisy.labels = data.labels.clone();
  RandomStream random(seed, "label noise");
  auto labels = noisy.labels.accessor<std::int64_t, 1>();
  for (std::int64_t n = 0; n < noisy.count(); ++n) {
    const bool replaced = random.uniform() < share;
    const auto drawn = static_cast<std::int64_t>(random.below(data.class_names.size()));
    if (replaced) labels[n] = drawn;
  }
  return noisy;
}

}  // namespace amalgam::experiments
