#include "amalgam/data/corruption.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

std::vector<float> changed(const std::vector<float>& image, const ImageSize& size,
                           const std::string& steps) {
  const Corruption corruption = parse_corruption(steps);
  std::vector<float> out(corrupted_size(size, corruption).values());
  corrupt_image(image, size, corruption, 1, 0, out);
  return out;
}

const std::vector<float> kNine{.1F, .2F, .3F, .4F, .5F, .6F, .7F, .8F, .9F};
const ImageSize kThree{1, 3, 3};

TEST(Corruption, QuarterTurnsAreExactAndAddUp) {
  EXPECT_THAT(changed(kNine, kThree, "rotate=90"),
              ElementsAre(.3F, .6F, .9F, .2F, .5F, .8F, .1F, .4F, .7F));
  EXPECT_THAT(changed(kNine, kThree, "rotate=180"),
              ElementsAre(.9F, .8F, .7F, .6F, .5F, .4F, .3F, .2F, .1F));
  EXPECT_EQ(changed(kNine, kThree, "rotate=90,rotate=90"), changed(kNine, kThree, "rotate=180"));
  EXPECT_EQ(changed(kNine, kThree, "rotate=270"), changed(kNine, kThree, "rotate=-90"));
  EXPECT_EQ(changed(kNine, kThree, "rotate=360"), kNine);
}

TEST(Corruption, OtherAnglesKeepTheCentreAndInterpolate) {
  const std::vector<float> turned = changed(kNine, kThree, "rotate=45");
  EXPECT_FLOAT_EQ(turned[4], .5F);
  EXPECT_EQ(changed(kNine, kThree, "rotate=0"), kNine);
}

TEST(Corruption, InvertTransposeSwapAndKeep) {
  EXPECT_THAT(
      changed(kNine, kThree, "invert"),
      Pointwise(FloatNear(1e-6F), std::vector<float>{.9F, .8F, .7F, .6F, .5F, .4F, .3F, .2F, .1F}));
  EXPECT_THAT(changed(kNine, kThree, "transpose"),
              ElementsAre(.1F, .4F, .7F, .2F, .5F, .8F, .3F, .6F, .9F));
  EXPECT_THAT(changed({1, 2, 3, 4}, {1, 1, 4}, "swap"), ElementsAre(3, 4, 1, 2));
  EXPECT_THAT(changed({1, 2, 3}, {1, 1, 3}, "swap"), ElementsAre(3, 2, 1));
  EXPECT_THAT(changed({1, 2, 3, 4}, {1, 1, 4}, "keep=left"), ElementsAre(1, 2, 0, 0));
  EXPECT_THAT(changed({1, 2, 3, 4}, {1, 1, 4}, "keep=right"), ElementsAre(0, 0, 3, 4));
}

TEST(Corruption, ImpulsesAreBlackOrWhiteAndAsManyAsAsked) {
  const ImageSize size{1, 100, 100};
  const std::vector<float> grey(size.values(), .5F);
  const std::vector<float> hit = changed(grey, size, "impulse=0.2");
  const auto count = [&](float value) { return std::count(hit.begin(), hit.end(), value); };
  EXPECT_EQ(count(0) + count(1) + count(.5F), 10'000);
  // 1,000 each with a deviation of 30.
  EXPECT_NEAR(static_cast<double>(count(0)), 1000, 150);
  EXPECT_NEAR(static_cast<double>(count(1)), 1000, 150);
  EXPECT_EQ(changed(kNine, kThree, "impulse=0"), kNine);
  EXPECT_EQ(changed(grey, size, "impulse=0.2"), hit);
}

TEST(Corruption, MotionTakesMeansAlongTheRows) {
  EXPECT_THAT(changed({0, 3, 6, 0}, {1, 1, 4}, "motion=3"), ElementsAre(1.5F, 3, 3, 3));
  EXPECT_THAT(changed({0, 2, 4, 8}, {1, 2, 2}, "motion=2"), ElementsAre(0, 1, 4, 6));
  EXPECT_EQ(changed({0, 1, 0, 1}, {1, 1, 4}, "motion=1"), (std::vector<float>{0, 1, 0, 1}));
}

TEST(Corruption, PixelateKeepsTheSizeAndTheMeans) {
  EXPECT_THAT(changed({1, 2, 9, 3, 4, 7, 5, 6, 9}, kThree, "pixelate=2"),
              ElementsAre(2.5F, 2.5F, 8, 2.5F, 2.5F, 8, 5.5F, 5.5F, 9));
  EXPECT_THAT(changed({1, 2, 3, 4, 5, 6, 7, 8}, {2, 2, 2}, "pixelate=9"),
              ElementsAre(2.5F, 2.5F, 2.5F, 2.5F, 6.5F, 6.5F, 6.5F, 6.5F));
}

TEST(Corruption, PoolTakesMeansAndDropsTheRest) {
  EXPECT_THAT(changed({1, 2, 9, 3, 4, 9, 5, 6, 9}, kThree, "pool=2"), ElementsAre(2.5F));
  EXPECT_THAT(changed({1, 2, 3, 4, 5, 6, 7, 8}, {2, 2, 2}, "pool=2"), ElementsAre(2.5F, 6.5F));
}

TEST(Corruption, StepsAreCarriedOutInTheirOrder) {
  const std::vector<float> image{1, 0, 0, 0};
  EXPECT_THAT(changed(image, {1, 2, 2}, "invert,keep=left"), ElementsAre(0, 0, 1, 0));
  EXPECT_THAT(changed(image, {1, 2, 2}, "keep=left,invert"), ElementsAre(0, 1, 1, 1));
}

TEST(Corruption, BlurKeepsFlatImagesAndSpreadsPoints) {
  const std::vector<float> flat(25, .25F);
  EXPECT_THAT(changed(flat, {1, 5, 5}, "blur=1"), Pointwise(FloatNear(1e-6F), flat));
  std::vector<float> point(25);
  point[12] = 1;
  const std::vector<float> spread = changed(point, {1, 5, 5}, "blur=0.7");
  EXPECT_NEAR(std::accumulate(spread.begin(), spread.end(), 0.0), 1, 0.05);
  EXPECT_GT(spread[12], spread[11]);
  EXPECT_FLOAT_EQ(spread[11], spread[7]);
}

TEST(Corruption, ContrastMovesAwayFromTheMeanAndStaysInRange) {
  EXPECT_THAT(changed({.4F, .6F}, {1, 1, 2}, "contrast=2"),
              Pointwise(FloatNear(1e-6F), std::vector<float>{.3F, .7F}));
  EXPECT_THAT(changed({.4F, .6F}, {1, 1, 2}, "contrast=100"), ElementsAre(0, 1));
}

TEST(Corruption, RefusesWhatItDoesNotKnow) {
  for (const char* bad : {"", "shift", "shift=", "shift=1.5", "noise=-1", "noise=nan", "blur=0",
                          "shift=1,,noise=1", "noise=0.1x", "invert=1", "keep=up", "pool=0"}) {
    EXPECT_THROW(parse_corruption(bad), InputError) << bad;
  }
  try {
    parse_corruption("nose=1");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean 'noise'"));
  }
  EXPECT_THROW(corrupted_size({1, 2, 3}, parse_corruption("transpose")), InputError);
  EXPECT_THROW(corrupted_size({1, 2, 3}, parse_corruption("pool=3")), InputError);
}

}  // namespace
}  // namespace amalgam
