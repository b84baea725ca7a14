#include "amalgam/labels/text/rover.hpp"

#include <gmock/gmock.h>

#include "amalgam/core/error.hpp"

namespace amalgam::labels {
namespace {

using ::testing::ElementsAre;

std::string voted(std::vector<std::string_view> texts) { return rover(texts).text; }

TEST(WordsOf, ArePartedByBlanks) {
  EXPECT_THAT(words_of("  the\tcat \n sat"), ElementsAre("the", "cat", "sat"));
  EXPECT_TRUE(words_of(" \n").empty());
}

TEST(Rover, TakesTheMajorityAtEachPlace) {
  EXPECT_EQ(voted({"the cat sat", "the cat sit", "a cat sat"}), "the cat sat");
}

TEST(Rover, AlignsLeftOutAndAddedWords) {
  EXPECT_EQ(voted({"the cat sat down", "cat sat down", "the cat sat"}), "the cat sat down");
  EXPECT_EQ(voted({"a b c", "a x b c", "a b c"}), "a b c");
  EXPECT_EQ(voted({"b c", "a b c", "a b c"}), "a b c");
  EXPECT_EQ(voted({"", "a", "a"}), "a");
}

TEST(Rover, GivesTiesToWhatCameFirst) {
  EXPECT_EQ(voted({"a", "b"}), "a");
  EXPECT_EQ(voted({"a b", "a"}), "a b");
  EXPECT_EQ(voted({"a", "a b"}), "a");
}

TEST(Rover, SaysHowMuchTextsAgree) {
  EXPECT_EQ(rover(std::vector<std::string_view>{"a b", "a b"}).agreement, 1);
  // Two of two votes for a, one of two at the other place.
  EXPECT_DOUBLE_EQ(rover(std::vector<std::string_view>{"a b", "a c"}).agreement, .75);
  EXPECT_EQ(rover(std::vector<std::string_view>{"", ""}).text, "");
}

TEST(Rover, RefusesNoTextAndTextsTooLongToAlign) {
  EXPECT_THROW(rover({}), InputError);
  std::string text;
  for (int i = 0; i < 11'000; ++i) text += "word ";
  EXPECT_THROW(rover(std::vector<std::string_view>{text, text}), InputError);
}

}  // namespace
}  // namespace amalgam::labels
