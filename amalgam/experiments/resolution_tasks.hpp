#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "amalgam/core/row_matrix.hpp"
#include "amalgam/experiments/workshop.hpp"

/// Tasks of classification whose inputs can be had at lower resolutions, for the experiment lr0fm.
namespace amalgam::experiments {

struct ResolutionTask {
  std::string name;
  std::size_t classes = 0;
  std::size_t side = 0;  // of images, in pixels; 0: a table
  RowMatrix train;
  RowMatrix test;
  std::vector<std::size_t> train_labels;
  std::vector<std::size_t> test_labels;
};

/// Digits of 8 x 8 pixels, 2000 images of Fashion-MNIST at 16 x 16, and a table of 30 features
/// scaled to [0, 1] over the training rows; parted at random by the seed.
ResolutionTask digits_task(std::uint64_t seed);
ResolutionTask fashion_task(Workshop& workshop, std::uint64_t seed);
ResolutionTask breast_cancer_task(std::uint64_t seed);

/// The test rows at a lower resolution: images lose `factor` of each side, features in [0, 1] are
/// rounded to 16 / factor values.
RowMatrix degraded(const ResolutionTask& task, std::size_t factor);

}  // namespace amalgam::experiments
