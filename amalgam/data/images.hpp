#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "amalgam/data/split.hpp"

namespace amalgam {

/// Images of one size, each with the number of its class.
struct LabelledImages {
  std::string source;  ///< what errors call them
  std::size_t channels = 1;
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::vector<std::uint8_t> pixels;  ///< [count, channels, rows, columns], 0 black to 255 white
  std::vector<std::uint8_t> labels;  ///< [count], each below class_names.size()
  std::vector<std::string> class_names;

  std::size_t count() const { return labels.size(); }
  std::size_t image_size() const { return channels * rows * columns; }
};

/// The images at `indices`, in that order.
LabelledImages select_images(const LabelledImages& images, std::span<const std::size_t> indices);

/// Images and labels from two IDX files of shapes [count, rows, columns] (or [count, channels,
/// rows, columns]) and [count]. Classes are 0 to the largest label unless `class_names` names them.
/// InputError for damaged files, counts that differ, no images, or a label without a name.
LabelledImages load_idx_images(const std::filesystem::path& images,
                               const std::filesystem::path& labels,
                               std::vector<std::string> class_names = {});

/// Loads a split of `set`: "fashion-mnist", which Debian's package dataset-fashion-mnist installs
/// (another place is given by the environment variable AMALGAM_FASHION_MNIST, a folder that holds
/// the four files or a folder `fashion-mnist` with them), or the path of a folder with four files
/// named as MNIST's (`train-images-idx3-ubyte`, with or without `.gz`, ...). InputError says which
/// file is missing and how to get it, or that images have no split `all`.
LabelledImages load_images(const std::string& set, Split split);

}  // namespace amalgam
