#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace amalgam {

/// Spurious features made to order: next to an image stand patches, each of which shows the colour
/// that its palette has for the image's class, or for a random one (after MultiColorMNIST, Lin et
/// al. 2024, arXiv 2309.17230, section 3). Everything is a function of the seed.
class ColourPatches {
 public:
  /// A colour in [0, 1]^3 for every patch and class, drawn once for all. InputError for no patches
  /// or classes, or more than 100,000 of both together.
  ColourPatches(std::size_t patches, std::size_t classes, std::uint64_t seed);

  std::size_t patches() const { return patches_; }
  std::size_t classes() const { return classes_; }
  std::span<const float> colour(std::size_t patch, std::size_t label) const;
  /// The least distance of two classes' colours in one patch: small ones are weak features.
  double least_distance() const;

  /// The patches of image number `index` of class `label`, [patches, 3] into `out`: patch j shows
  /// the true class with probability 1 - shift[j] and otherwise a class at random (which may be the
  /// true one). The images of another set have another `seed`. InputError for another number of
  /// shifts, a label without colours and shifts outside [0, 1].
  void draw(std::size_t label, std::span<const double> shift, std::uint64_t seed,
            std::uint64_t index, std::span<float> out) const;

 private:
  std::size_t patches_;
  std::size_t classes_;
  std::vector<float> colours_;  // [patches, classes, 3]
};

}  // namespace amalgam
