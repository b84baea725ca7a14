#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "amalgam/core/random.hpp"

namespace amalgam {

/// The size of an image whose values are channel by channel, row by row.
struct ImageSize {
  std::size_t channels = 1;
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t values() const { return channels * rows * columns; }
};

/// Mirrors left and right.
void flip_image(std::span<float> image, const ImageSize& size);
/// Moves the image down by `rows` and right by `columns` (either may be negative), filling with 0.
void shift_image(std::span<float> image, const ImageSize& size, int rows, int columns);
/// Adds normal noise of standard deviation `deviation` to every value and clamps to [0, 1].
void add_noise(std::span<float> image, double deviation, RandomStream& random);

/// Random changes of training images.
struct Augmentation {
  bool flip = false;   ///< mirrored with probability 1/2
  unsigned shift = 0;  ///< moved by up to this many pixels along each axis, uniformly
  double noise = 0;    ///< standard deviation of added noise, values being in [0, 1]
  bool any() const { return flip || shift > 0 || noise > 0; }
};

/// Applies what `random` decides to one image.
void augment_image(std::span<float> image, const ImageSize& size, const Augmentation& augmentation,
                   RandomStream& random);

/// A fixed change of test images: how a model is asked whether it is robust.
struct Corruption {
  int shift_rows = 0;
  int shift_columns = 0;
  double noise = 0;
  bool any() const { return shift_rows != 0 || shift_columns != 0 || noise > 0; }
};

/// Reads "shift=1,noise=0.25" (a shift moves down and right). InputError for anything else.
Corruption parse_corruption(std::string_view text);

/// Applies it to image number `index`; noise is a function of (seed, index).
void corrupt_image(std::span<float> image, const ImageSize& size, const Corruption& corruption,
                   std::uint64_t seed, std::size_t index);

}  // namespace amalgam
