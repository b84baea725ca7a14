#pragma once

#include <span>

#include "amalgam/data/image_transforms.hpp"

namespace amalgam {

/// Whether this build has JPEG (libjpeg).
bool has_jpeg();

/// InputError unless images of this size can be compressed: by this build, and of 1 or 3 channels
/// and at most 65,500 rows and columns.
void check_jpeg_size(const ImageSize& size);

/// Replaces an image by what is left of it after JPEG compression with `quality` (1 to 100) and
/// back: values in [0, 1], rounded to 8 bits before and after. One channel is grey, three are red,
/// green and blue, whose colour is kept at half the resolution as usual. InputError as
/// check_jpeg_size.
void compress_as_jpeg(std::span<float> image, const ImageSize& size, int quality);

}  // namespace amalgam
