#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

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

/// Turns the image about its centre by `degrees`, counter-clockwise, filling with 0: exactly for
/// multiples of 90 degrees of square images, else with bilinear interpolation.
void rotate_image(std::span<float> image, const ImageSize& size, double degrees);
/// Blurs with a Gaussian of deviation `deviation` pixels, cut off at three deviations and
/// normalised over what lies in the image.
void blur_image(std::span<float> image, const ImageSize& size, double deviation);

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

}  // namespace amalgam
