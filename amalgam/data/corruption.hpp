#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "amalgam/data/image_transforms.hpp"

namespace amalgam {

/// One fixed change of an image; see parse_corruption.
struct CorruptionStep {
  enum class Kind {
    shift,
    noise,
    impulse,
    rotate,
    blur,
    motion,
    pixelate,
    jpeg,
    spatter,
    contrast,
    invert,
    transpose,
    swap,
    keep,
    pool
  };
  Kind kind = Kind::shift;
  double amount = 0;  ///< pixels, deviation, degrees, factor; `keep`: 0 left, 1 right
};

/// Fixed changes of images, carried out in this order: how a model is asked whether it is robust,
/// and how tasks that differ in their inputs are made of one data set.
using Corruption = std::vector<CorruptionStep>;

/// Reads steps between commas:
///   shift=N      moved down and right by N pixels (negative: up and left), filled with 0
///   noise=D      normal noise of deviation D, clamped to [0, 1]
///   impulse=P    every value with probability P replaced by 0 or 1, either equally likely
///   rotate=A     turned by A degrees counter-clockwise, filled with 0; see rotate_image
///   blur=D       Gaussian blur of deviation D pixels
///   motion=L     the mean of L pixels side by side (L whole), of those that lie in the image
///   pixelate=K   every K x K pixels get their mean; blocks at the edges are what is left
///   jpeg=Q       compressed as JPEG of quality Q (1 to 100, whole) and back; see compress_as_jpeg
///   spatter=P    the share P of the pixels under splashes of mud: where normal noise, blurred with
///   a
///                deviation of a 16th of the shorter side, is highest; their rims are blurred by
///                half a pixel, their colour is (63, 42, 20) / 255, of images without colour its
///                luminance
///   contrast=F   x -> mean + F (x - mean), clamped to [0, 1]; the mean is the image's own
///   invert       x -> 1 - x
///   transpose    rows and columns exchanged (square images)
///   swap         left and right halves exchanged (the middle column of odd widths stays)
///   keep=SIDE    the other half (left or right) set to 0, the middle column of odd widths with it
///   pool=K       the mean of every K x K pixels; what is left over at the edges is dropped
/// InputError for anything else.
Corruption parse_corruption(std::string_view text);

/// The size of images after the steps. InputError if they do not fit images of this size.
ImageSize corrupted_size(ImageSize size, const Corruption& corruption);

/// Image number `index` of `size` changed; noise, impulses and spatter are a function of (seed,
/// index).
/// `out` has the values that corrupted_size says.
void corrupt_image(std::span<const float> image, const ImageSize& size,
                   const Corruption& corruption, std::uint64_t seed, std::size_t index,
                   std::span<float> out);

}  // namespace amalgam
