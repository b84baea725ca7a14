#pragma once

#include <cstdint>
#include <vector>

#include "amalgam/data/colour_patches.hpp"
#include "amalgam/learning/dataset.hpp"

namespace amalgam::experiments {

/// The images at half their size and beside them the colours of their patches, all as columns of a
/// table, float [count, pixels / 4 + 3 patches, 1, 1]; `shift` per patch.
learning::Dataset with_patches(const learning::Dataset& images, const ColourPatches& patches,
                               const std::vector<double>& shift, std::uint64_t seed);

/// The same examples, a share of whose labels has become any class at random.
learning::Dataset with_label_noise(const learning::Dataset& data, double share, std::uint64_t seed);

}  // namespace amalgam::experiments
