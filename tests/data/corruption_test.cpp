#include "amalgam/data/corruption.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/data/jpeg.hpp"

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

std::vector<float> gradient(const ImageSize& size) {
  std::vector<float> image(size.values());
  for (std::size_t i = 0; i < image.size(); ++i) {
    image[i] = static_cast<float>(i * 37 % 101) / 100.0F;
  }
  return image;
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::abs(static_cast<double>(a[i] - b[i]));
  return sum / static_cast<double>(a.size());
}

TEST(Corruption, JpegLosesMoreTheLowerItsQuality) {
  if (!has_jpeg()) GTEST_SKIP() << "built without JPEG";
  for (const std::size_t channels : {1U, 3U}) {
    const ImageSize size{channels, 20, 28};
    const std::vector<float> image = gradient(size);
    double last = 0;
    for (const char* steps : {"jpeg=95", "jpeg=50", "jpeg=5"}) {
      const std::vector<float> out = changed(image, size, steps);
      ASSERT_EQ(out.size(), image.size());
      EXPECT_GT(distance(out, image), last) << steps;
      last = distance(out, image);
      for (const float value : out) {
        EXPECT_EQ(value, static_cast<float>(std::lround(value * 255)) / 255.0F);
      }
      EXPECT_EQ(changed(image, size, steps), out);
    }
  }
  // Grey of one value is one number per block, which quality 100 keeps.
  const std::vector<float> flat(64, 100.0F / 255);
  EXPECT_EQ(changed(flat, {1, 8, 8}, "jpeg=100"), flat);
}

// Quality 1 rounds all frequencies to multiples of 255, the largest step there is: those of a faint
// board of 8 x 8 pixels, at most 66, are lost, and its mean is left.
TEST(Corruption, JpegOfTheLowestQualityKeepsBlocks) {
  if (!has_jpeg()) GTEST_SKIP() << "built without JPEG";
  std::vector<float> board(64);
  for (std::size_t i = 0; i < board.size(); ++i) {
    board[i] = (i / 8 + i) % 2 == 0 ? .5F + 10.0F / 255 : .5F - 10.0F / 255;
  }
  const std::vector<float> out = changed(board, {1, 8, 8}, "jpeg=1");
  EXPECT_EQ(std::ranges::min(out), std::ranges::max(out));
}

TEST(Corruption, JpegNeedsGreyOrColour) {
  if (!has_jpeg()) GTEST_SKIP() << "built without JPEG";
  EXPECT_THROW(corrupted_size({2, 8, 8}, parse_corruption("jpeg=50")), InputError);
  EXPECT_THROW(parse_corruption("jpeg=0"), InputError);
  EXPECT_THROW(parse_corruption("jpeg=10.5"), InputError);
}

// White becomes mud where the splashes are, and nowhere else.
TEST(Corruption, SpatterCoversTheShareWithMud) {
  const ImageSize size{3, 40, 40};
  const std::vector<float> white(size.values(), 1.0F);
  const std::vector<float> out = changed(white, size, "spatter=0.3");
  const std::span<const float> red(out.data(), 1600);
  const std::span<const float> blue(out.data() + 3200, 1600);
  const auto mostly_mud = std::ranges::count_if(red, [](float value) { return value < .62F; });
  EXPECT_NEAR(static_cast<double>(mostly_mud), .3 * 1600, .03 * 1600);
  EXPECT_NEAR(std::ranges::min(red), 63.0F / 255, 1e-5);
  EXPECT_NEAR(std::ranges::min(blue), 20.0F / 255, 1e-5);
  EXPECT_EQ(std::ranges::max(red), 1.0F);
  // Splashes are of some size: few pixels differ from the one beside them.
  int edges = 0;
  for (std::size_t i = 0; i + 1 < red.size(); ++i) edges += (red[i] < .62F) != (red[i + 1] < .62F);
  EXPECT_LT(edges, 320);
  EXPECT_EQ(changed(white, size, "spatter=0.3"), out);
  EXPECT_EQ(changed(white, size, "spatter=0"), white);
  const ImageSize grey{1, 9, 9};
  for (const float value : changed(std::vector<float>(81, 1.0F), grey, "spatter=1")) {
    EXPECT_NEAR(value, (.299 * 63 + .587 * 42 + .114 * 20) / 255, 1e-5);
  }
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
