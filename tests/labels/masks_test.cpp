#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/labels/masks/segmentation.hpp"

namespace amalgam::labels {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

Mask mask(std::size_t rows, std::size_t columns, std::vector<std::uint8_t> pixels) {
  return {rows, columns, std::move(pixels)};
}

TEST(MaskText, ReadsRunsRowByRow) {
  EXPECT_EQ(parse_mask("2x3:1,2,3", "here"), mask(2, 3, {0, 1, 1, 0, 0, 0}));
  EXPECT_EQ(parse_mask("1x2:0,2", "here"), mask(1, 2, {1, 1}));
  for (const char* text : {"2x3:1,2,3", "1x2:0,2", "1x2:2", "3x1:0,1,1,1"}) {
    EXPECT_EQ(mask_text(parse_mask(text, "here")), text);
  }
  EXPECT_EQ(mask_size("2x3:1,2,3", "here"), (MaskSize{2, 3}));
}

TEST(MaskText, RefusesWhatIsNoMask) {
  const auto message = [](std::string_view text, const std::string& expected) {
    EXPECT_THAT([&] { parse_mask(text, "m.csv:2:1"); },
                ThrowsMessage<InputError>(HasSubstr("m.csv:2:1: " + expected)));
    EXPECT_THAT([&] { mask_size(text, "m.csv:2:1"); },
                ThrowsMessage<InputError>(HasSubstr("m.csv:2:1: " + expected)));
  };
  message("2x3", "the mask is '2x3'; expected ROWSxCOLUMNS:RUNS");
  message("2x3:1,2", "the mask's runs have 3 pixels; expected 2 times 3");
  message("2x3:1,9", "the mask's runs are longer than its 6 pixels");
  message("2x3:1,-2", "'-2' in a mask");
  message("2x3:6,", "'' in a mask");
  message("2x3:", "'' in a mask");
  message("0x3:", "a mask of 0 times 3 pixels");
  message("99999x99999:1", "a mask of 99999 times 99999 pixels");
}

TEST(NpyMask, TakesZerosAndOnesInEitherOrder) {
  const std::filesystem::path path = std::filesystem::path(::testing::TempDir()) / "mask.npy";
  const auto write = [&](const std::string& order, const std::string& bytes) {
    std::string header = "{'descr': '|u1', 'fortran_order': " + order + ", 'shape': (2, 3), }";
    header.resize(117, ' ');
    header += '\n';
    std::ofstream(path, std::ios::binary)
        << std::string("\x93NUMPY\x01\x00", 8) << static_cast<char>(header.size()) << '\0' << header
        << bytes;
  };
  write("False", std::string("\0\1\1\0\0\1", 6));
  EXPECT_EQ(read_npy_mask(path), mask(2, 3, {0, 1, 1, 0, 0, 1}));
  write("True", std::string("\0\0\1\0\1\1", 6));
  EXPECT_EQ(read_npy_mask(path), mask(2, 3, {0, 1, 1, 0, 0, 1}));
  write("False", std::string("\0\1\7\0\0\1", 6));
  EXPECT_THAT([&] { read_npy_mask(path); },
              ThrowsMessage<InputError>(HasSubstr("element 2 is 7; expected 0 or 1")));
}

TEST(MajorityMask, NeedsMoreThanHalf) {
  const std::vector<Mask> masks{mask(1, 3, {1, 1, 0}), mask(1, 3, {1, 0, 0})};
  EXPECT_EQ(majority_mask(masks, "t"), mask(1, 3, {1, 0, 0}));
  EXPECT_THAT(
      [&] {
        majority_mask(std::vector{masks[0], mask(3, 1, {1, 1, 0})}, "t");
      },
      ThrowsMessage<InputError>(HasSubstr("t: a mask of 3 times 1 pixels, but the first")));
  EXPECT_THROW(majority_mask({}, "t"), InputError);
}

TEST(SegmentationEm, FollowsTheCarefulAgainstAMajorityOfTheCareless) {
  RandomStream random(4, "masks");
  Mask truth = mask(40, 40, std::vector<std::uint8_t>(1600, 0));
  for (std::size_t i = 0; i < 1600; ++i) truth.pixels[i] = i / 40 < 20 ? 1 : 0;
  std::vector<Mask> masks(5, truth);
  for (std::size_t m = 0; m < 5; ++m) {
    const double wrong = m < 2 ? 0.02 : 0.4;
    for (std::uint8_t& pixel : masks[m].pixels) {
      if (random.uniform() < wrong) pixel = 1 - pixel;
    }
  }
  const auto errors = [&](const Mask& found) {
    int count = 0;
    for (std::size_t i = 0; i < 1600; ++i) count += found.pixels[i] != truth.pixels[i] ? 1 : 0;
    return count;
  };
  const Segmentation found = segmentation_em(masks, "t");
  EXPECT_LT(errors(found.mask), 60);
  EXPECT_GT(errors(majority_mask(masks, "t")), 100);
  EXPECT_GT(found.skills[0], 0.95);
  EXPECT_LT(found.skills[4], 0.7);
}

TEST(SegmentationEm, LeavesWhatNoMaskHasOutside) {
  const std::vector<Mask> empty(3, mask(2, 2, {0, 0, 0, 0}));
  EXPECT_EQ(segmentation_em(empty, "t").mask, empty[0]);
  const std::vector<Mask> same(3, mask(2, 2, {1, 0, 0, 1}));
  EXPECT_EQ(segmentation_em(same, "t").mask, same[0]);
}

}  // namespace
}  // namespace amalgam::labels
