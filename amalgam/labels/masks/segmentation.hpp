#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "amalgam/labels/masks/mask.hpp"

/// Several masks of the same image to one.
namespace amalgam::labels {

/// The pixels that more than half of the masks have. InputError naming `where` if there is no mask
/// or they differ in size.
Mask majority_mask(std::span<const Mask> masks, std::string_view where);

struct SegmentationOptions {
  std::size_t iterations = 50;
  double tolerance = 1e-5;  ///< ends when no worker's probability of being right changes by more
};

struct Segmentation {
  Mask mask;                          ///< pixels more probable inside than outside
  std::vector<double> probabilities;  ///< [rows, columns] of being inside
  std::vector<double> skills;         ///< [masks] probability of being right on a pixel
  std::size_t iterations = 0;
};

/// EM for the probability that each mask is right on a pixel and the share of pixels inside, over
/// the pixels that at least one mask has (Jung-Lin Lee et al. 2018; crowd-kit's SegmentationEM).
/// The others are outside. InputError as majority_mask.
Segmentation segmentation_em(std::span<const Mask> masks, std::string_view where,
                             const SegmentationOptions& options = {});

}  // namespace amalgam::labels
