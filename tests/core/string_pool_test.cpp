#include "amalgam/core/string_pool.hpp"

#include <gmock/gmock.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <string>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

using ::testing::ElementsAre;

RC_GTEST_PROP(StringPool, NumbersTextsInTheOrderInWhichTheyCame,
              (const std::vector<std::string>& texts)) {
  StringPool pool;
  std::map<std::string, std::uint32_t> known;
  for (const std::string& text : texts) {
    const auto [entry, is_new] = known.emplace(text, static_cast<std::uint32_t>(known.size()));
    RC_ASSERT(pool.find(text) == (is_new ? StringPool::npos : entry->second));
    RC_ASSERT(pool.add(text) == entry->second);
    RC_ASSERT(pool[entry->second] == text);
  }
  RC_ASSERT(pool.size() == known.size());
}

TEST(StringPool, HoldsTheEmptyTextAlone) {
  StringPool pool;
  EXPECT_EQ(pool.add(""), 0U);
  EXPECT_EQ(pool.add(""), 0U);
  EXPECT_EQ(pool.find(""), 0U);
  EXPECT_EQ(pool.find("a"), StringPool::npos);
}

// Texts of every short length, and the same with one byte changed.
TEST(StringPool, TellsTextsApartByEveryByte) {
  StringPool pool;
  std::uint32_t next = 0;
  for (std::size_t length = 0; length < 40; ++length) {
    std::string text(length, 'a');
    EXPECT_EQ(pool.add(text), next++);
    for (char& c : text) {
      c = 'b';
      EXPECT_EQ(pool.add(text), next++) << text;
      EXPECT_EQ(pool.find(text), next - 1) << text;
      c = 'a';
    }
  }
}

TEST(StringPool, HoldsManyTexts) {
  StringPool pool;
  for (int i = 0; i < 100'000; ++i)
    ASSERT_EQ(pool.add("text" + std::to_string(i)), static_cast<unsigned>(i));
  for (int i = 0; i < 100'000; ++i)
    ASSERT_EQ(pool.find("text" + std::to_string(i)), static_cast<unsigned>(i));
  EXPECT_EQ(pool.find("text100000"), StringPool::npos);
  EXPECT_THROW(pool.add(std::string(1U << 24U, 'x')), Error);
}

StringPool pool_of(const std::vector<std::string>& texts) {
  StringPool pool;
  for (const std::string& text : texts) pool.add(text);
  return pool;
}

TEST(StringPool, OrdersByValueIfAllAreWholeNumbersElseByBytes) {
  EXPECT_THAT(pool_of({"10", "9", "-3", "09"}).canonical_order(), ElementsAre(2, 3, 1, 0));
  EXPECT_THAT(pool_of({"10", "9", "x"}).canonical_order(), ElementsAre(0, 1, 2));
  EXPECT_THAT(pool_of({"a common beginning b", "a common beginning", "a common beginning a", "Z",
                       "\xC3\xA9"})
                  .canonical_order(),
              ElementsAre(3, 1, 2, 0, 4));
  EXPECT_EQ(pool_of({"b", "a"}).reordered({1, 0})[0], "a");
}

}  // namespace
}  // namespace amalgam
