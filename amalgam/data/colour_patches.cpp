#include "amalgam/data/colour_patches.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"

namespace amalgam {
namespace {

constexpr std::size_t kMost = 100'000;
constexpr std::size_t kChannels = 3;

}  // namespace

ColourPatches::ColourPatches(std::size_t patches, std::size_t classes, std::uint64_t seed)
    : patches_(patches), classes_(classes) {
  if (patches == 0 || classes == 0 || patches > kMost || classes > kMost / patches) {
    throw InputError("{} patches of {} classes; expected at least one, and at most {} colours",
                     patches, classes, kMost);
  }
  RandomStream random(seed, "palette");
  colours_.resize(patches * classes * kChannels);
  for (float& value : colours_) value = static_cast<float>(random.uniform());
}

std::span<const float> ColourPatches::colour(std::size_t patch, std::size_t label) const {
  return std::span(colours_).subspan((patch * classes_ + label) * kChannels, kChannels);
}

double ColourPatches::least_distance() const {
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t patch = 0; patch < patches_; ++patch) {
    for (std::size_t a = 0; a < classes_; ++a) {
      for (std::size_t b = 0; b < a; ++b) {
        double sum = 0;
        for (std::size_t c = 0; c < kChannels; ++c) {
          const double difference = double{colour(patch, a)[c]} - double{colour(patch, b)[c]};
          sum += difference * difference;
        }
        least = std::min(least, std::sqrt(sum));
      }
    }
  }
  return least;
}

void ColourPatches::draw(std::size_t label, std::span<const double> shift, std::uint64_t seed,
                         std::uint64_t index, std::span<float> out) const {
  if (label >= classes_) {
    throw InputError("label {}, but the palette has colours for {} classes", label, classes_);
  }
  if (shift.size() != patches_ || out.size() != patches_ * kChannels) {
    throw InputError("{} shifts and room for {} values; expected {} and {}", shift.size(),
                     out.size(), patches_, patches_ * kChannels);
  }
  RandomStream random(seed, fmt::format("patches {}", index));
  for (std::size_t patch = 0; patch < patches_; ++patch) {
    if (!(shift[patch] >= 0 && shift[patch] <= 1)) {
      throw InputError("a shift of {} of patch {}; expected a probability", shift[patch], patch);
    }
    const bool kept = random.uniform() >= shift[patch];
    const std::size_t shown = kept ? label : random.below(classes_);
    std::ranges::copy(colour(patch, shown),
                      out.begin() + static_cast<std::ptrdiff_t>(patch * kChannels));
  }
}

}  // namespace amalgam
