#include "amalgam/core/letter_case.hpp"

#include <gtest/gtest.h>

namespace amalgam {
namespace {

TEST(LowerCase, ChangesTheLettersOfAsciiAlone) {
  EXPECT_EQ(lower_case("AbZ @[`{ 9"), "abz @[`{ 9");
  EXPECT_EQ(lower_case("\u00c4B"), "\u00c4b");
  EXPECT_EQ(lower_case(""), "");
}

}  // namespace
}  // namespace amalgam
