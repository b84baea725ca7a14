#include "amalgam/data/colour_patches.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

bool shows(const ColourPatches& patches, const std::vector<float>& drawn, std::size_t patch,
           std::size_t label) {
  return std::ranges::equal(patches.colour(patch, label), std::span(drawn).subspan(patch * 3, 3));
}

TEST(ColourPatches, ShowTheClassWithoutShift) {
  const ColourPatches patches(5, 4, 1);
  std::vector<float> drawn(15);
  patches.draw(2, std::vector<double>(5, 0.0), 7, 3, drawn);
  for (std::size_t patch = 0; patch < 5; ++patch) EXPECT_TRUE(shows(patches, drawn, patch, 2));
  EXPECT_GT(patches.least_distance(), 0);
}

// Card wise-ft-bang, check 10: 1 - p + p / C of the patches show the class.
TEST(ColourPatches, ShowTheClassAsOftenAsTheShiftLeaves) {
  constexpr std::size_t kImages = 1000;
  const ColourPatches patches(32, 10, 1);
  const std::vector<double> shift(32, .9);
  std::vector<float> drawn(96);
  double shown = 0;
  for (std::size_t i = 0; i < kImages; ++i) {
    patches.draw(i % 10, shift, 5, i, drawn);
    for (std::size_t patch = 0; patch < 32; ++patch) {
      shown += shows(patches, drawn, patch, i % 10) ? 1 : 0;
    }
  }
  const double draws = 32.0 * kImages;
  EXPECT_NEAR(shown / draws, .19, 4 * std::sqrt(.19 * .81 / draws));
}

TEST(ColourPatches, AreAFunctionOfSeedAndIndex) {
  const ColourPatches one(8, 10, 3);
  const ColourPatches same(8, 10, 3);
  const std::vector<double> shift(8, 1.0);
  std::vector<float> a(24);
  std::vector<float> b(24);
  one.draw(4, shift, 9, 17, a);
  same.draw(4, shift, 9, 17, b);
  EXPECT_EQ(a, b);
  same.draw(4, shift, 9, 18, b);
  EXPECT_NE(a, b);
  same.draw(4, shift, 10, 17, b);
  EXPECT_NE(a, b);
}

TEST(ColourPatches, RefuseWhatDoesNotFit) {
  EXPECT_THROW(ColourPatches(0, 3, 1), InputError);
  EXPECT_THROW(ColourPatches(1000, 1000, 1), InputError);
  const ColourPatches patches(2, 3, 1);
  std::vector<float> out(6);
  const std::vector<double> one{0.5};
  const std::vector<double> bad{0.5, 1.5};
  const std::vector<double> good{0.5, 0.5};
  EXPECT_THROW(patches.draw(0, one, 1, 1, out), InputError);
  EXPECT_THROW(patches.draw(0, bad, 1, 1, out), InputError);
  EXPECT_THROW(patches.draw(3, good, 1, 1, out), InputError);
}

}  // namespace
}  // namespace amalgam
