#include "amalgam/data/images.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <set>

#include "amalgam/core/error.hpp"
#include "amalgam/data/corruption.hpp"
#include "amalgam/data/image_transforms.hpp"
#include "amalgam/data/shuffle.hpp"
#include "tests/error_of.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

// A folder with MNIST-like files of `count` images of 1 x 2 pixels: image i holds i and 255 - i,
// and is of class i % 3.
class Folder {
 public:
  explicit Folder(unsigned count)
      : path_(fs::temp_directory_path() /
              ("amalgam-images-" + std::to_string(getpid()) + "-" + std::to_string(count))) {
    fs::create_directories(path_);
    for (const char* prefix : {"train", "t10k"}) {
      std::string images = header({count, 1, 2});
      std::string labels = header({count});
      for (unsigned i = 0; i < count; ++i) {
        images += {static_cast<char>(i), static_cast<char>(255 - i)};
        labels += static_cast<char>(i % 3);
      }
      write(std::string(prefix) + "-images-idx3-ubyte", images);
      write(std::string(prefix) + "-labels-idx1-ubyte", labels);
    }
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  static std::string header(const std::vector<unsigned>& shape) {
    std::string bytes{'\0', '\0', '\x08', static_cast<char>(shape.size())};
    for (const unsigned size : shape) {
      for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(size >> shift & 0xFF);
    }
    return bytes;
  }
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
  }
  std::string path() const { return path_.string(); }

 private:
  fs::path path_;
};

TEST(Images, SplitsShareNothingAndLoseNothing) {
  const Folder folder(120);
  const LabelledImages train = load_images(folder.path(), Split::train);
  const LabelledImages validation = load_images(folder.path(), Split::validation);
  EXPECT_EQ(train.count(), 110U);
  EXPECT_EQ(validation.count(), 10U);
  std::set<std::uint8_t> seen;
  for (const LabelledImages* part : {&train, &validation}) {
    for (std::size_t i = 0; i < part->count(); ++i) {
      const std::uint8_t first = part->pixels[2 * i];
      seen.insert(first);
      EXPECT_EQ(part->pixels[2 * i + 1], 255 - first);
      EXPECT_EQ(part->labels[i], first % 3);
    }
  }
  EXPECT_EQ(seen.size(), 120U);
}

TEST(Images, TestSplitKeepsItsOrder) {
  const Folder folder(50);
  const LabelledImages test = load_images(folder.path(), Split::test);
  ASSERT_EQ(test.count(), 50U);
  for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(test.pixels[2 * i], i);
  EXPECT_THAT(test.class_names, ElementsAre("0", "1", "2"));
}

TEST(Images, SplitIsTheSameForever) {
  // The first places of the order that all figures in the documentation rest on.
  const std::vector<std::size_t> order = shuffled_indices(60000, 0, "split");
  std::vector<std::size_t> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  std::vector<std::size_t> all(60000);
  std::iota(all.begin(), all.end(), std::size_t{0});
  EXPECT_EQ(sorted, all);
  // By an implementation of Philox, FNV-1a and the shuffle in Python.
  EXPECT_THAT(std::vector<std::size_t>(order.begin(), order.begin() + 6),
              ElementsAre(8357, 38373, 39016, 17257, 54807, 7942));
  EXPECT_EQ(order, shuffled_indices(60000, 0, "split"));
  EXPECT_NE(order, shuffled_indices(60000, 1, "split"));
}

TEST(Images, SayWhichFileIsMissingAndHowToGetIt) {
  ASSERT_EQ(setenv("AMALGAM_FASHION_MNIST", "/nonexistent-folder", 1), 0);
  const std::string message = error_of([] { load_images("fashion-mnist", Split::train); });
  ASSERT_EQ(unsetenv("AMALGAM_FASHION_MNIST"), 0);
  EXPECT_THAT(message, HasSubstr("dataset-fashion-mnist"));
  EXPECT_THAT(message, HasSubstr("train-images-idx3-ubyte"));
  EXPECT_THAT(message, HasSubstr("/nonexistent-folder"));
  EXPECT_THAT(error_of([] { load_images("fashion-mnits", Split::test); }),
              HasSubstr("t10k-images-idx3-ubyte"));
}

TEST(Images, RefuseLabelsThatDoNotFit) {
  const Folder folder(20);
  folder.write("t10k-labels-idx1-ubyte", Folder::header({19}) + std::string(19, '\0'));
  EXPECT_THAT(error_of([&] { load_images(folder.path(), Split::test); }),
              HasSubstr("has 20 images"));
  const fs::path base = folder.path();
  EXPECT_THAT(error_of([&] {
                load_idx_images(base / "train-images-idx3-ubyte", base / "train-labels-idx1-ubyte",
                                {"a", "b"});
              }),
              HasSubstr("label 2 at index 2, but there are 2 classes"));
}

TEST(Images, RefuseAnEmptySet) {
  const Folder folder(0);
  EXPECT_THAT(error_of([&] { load_images(folder.path(), Split::test); }), HasSubstr("no images"));
}

TEST(Splits, SuggestTheNearestName) {
  EXPECT_EQ(parse_split("validation"), Split::validation);
  EXPECT_THAT(error_of([] { parse_split("tset"); }), HasSubstr("did you mean 'test'"));
}

TEST(ImageTransforms, ShiftMovesDownAndRightAndFillsWithZero) {
  std::vector<float> image{1, 2, 3, 4, 5, 6};
  shift_image(image, {1, 2, 3}, 1, 1);
  EXPECT_THAT(image, ElementsAre(0, 0, 0, 0, 1, 2));
  std::vector<float> back{1, 2, 3, 4, 5, 6};
  shift_image(back, {1, 2, 3}, 0, -2);
  EXPECT_THAT(back, ElementsAre(3, 0, 0, 6, 0, 0));
  std::vector<float> gone{1, 2};
  shift_image(gone, {1, 1, 2}, 0, 5);
  EXPECT_THAT(gone, ElementsAre(0, 0));
}

TEST(ImageTransforms, ShiftKeepsChannelsApart) {
  std::vector<float> image{1, 2, 3, 4};
  shift_image(image, {2, 2, 1}, 1, 0);
  EXPECT_THAT(image, ElementsAre(0, 1, 0, 3));
}

TEST(ImageTransforms, FlipMirrorsEveryRow) {
  std::vector<float> image{1, 2, 3, 4, 5, 6};
  flip_image(image, {1, 2, 3});
  EXPECT_THAT(image, ElementsAre(3, 2, 1, 6, 5, 4));
}

TEST(ImageTransforms, NoiseHasTheDeviationAskedForAndStaysInRange) {
  const std::vector<float> grey(20000, 0.5F);
  std::vector<float> image(20000);
  corrupt_image(grey, {1, 100, 200}, parse_corruption("noise=0.1"), 7, 3, image);
  double sum = 0;
  double squares = 0;
  for (const float value : image) {
    ASSERT_GE(value, 0.0F);
    ASSERT_LE(value, 1.0F);
    sum += value - 0.5;
    squares += (value - 0.5) * (value - 0.5);
  }
  EXPECT_NEAR(sum / 20000, 0, 0.003);
  EXPECT_NEAR(std::sqrt(squares / 20000), 0.1, 0.003);
  std::vector<float> other(20000);
  corrupt_image(grey, {1, 100, 200}, parse_corruption("noise=0.1"), 7, 4, other);
  EXPECT_NE(image, other);
}

TEST(ImageTransforms, AugmentationIsAFunctionOfItsStream) {
  const auto augmented = [](std::uint64_t seed) {
    std::vector<float> image(64);
    std::iota(image.begin(), image.end(), 0.0F);
    RandomStream random(seed, "augment");
    augment_image(image, {1, 8, 8}, {.flip = true, .shift = 2, .noise = 0}, random);
    return image;
  };
  EXPECT_EQ(augmented(1), augmented(1));
  std::set<std::vector<float>> different;
  for (std::uint64_t seed = 0; seed < 400; ++seed) different.insert(augmented(seed));
  EXPECT_EQ(different.size(), 50U);  // 5 x 5 shifts, flipped or not
}

}  // namespace
}  // namespace amalgam
