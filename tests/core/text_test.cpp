#include "amalgam/core/text.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

TEST(ParseBytes, KnowsDecimalAndBinaryUnits) {
  const std::vector<std::pair<std::string, std::uint64_t>> sizes = {
      {"0", 0},
      {"4096", 4096},
      {"17B", 17},
      {"2kB", 2000},
      {"2KB", 2000},
      {"512MB", 512'000'000},
      {"512 MB", 512'000'000},
      {"2GB", 2'000'000'000},
      {"1TB", 1'000'000'000'000},
      {"1KiB", 1024},
      {"3mib", 3 * 1024 * 1024},
      {"2GiB", 2ULL * 1024 * 1024 * 1024},
      {"1.5 GiB", 1610612736},
      {"512M", 512 * 1024 * 1024},
      {"1g", 1024 * 1024 * 1024},
      {"0.5k", 512},
  };
  for (const auto& [text, bytes] : sizes) EXPECT_EQ(parse_bytes(text, "--memory"), bytes) << text;
}

TEST(ParseBytes, RefusesEverythingElseAndNamesTheOption) {
  for (const std::string text : {"", "MB", "-5MB", "5XB", "5MBs", "nan", "inf", "1e30",
                                 "10000000TB", "12 34", "0x10", "5 MB ", "kB5"}) {
    try {
      parse_bytes(text, "--memory");
      ADD_FAILURE() << text;
    } catch (const InputError& error) {
      EXPECT_EQ(std::string(error.what()).rfind("--memory: '" + text + "'", 0), 0U) << error.what();
    }
  }
}

TEST(FormatBytes, HasThreeSignificantDigits) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(1000), "1.00 kB");
  EXPECT_EQ(format_bytes(1536), "1.54 kB");
  EXPECT_EQ(format_bytes(12'345'678), "12.3 MB");
  EXPECT_EQ(format_bytes(999'499'999), "999 MB");
  EXPECT_EQ(format_bytes(999'500'000), "1.00 GB");
  EXPECT_EQ(format_bytes(9'996'000'000), "10.0 GB");
  EXPECT_EQ(format_bytes(5'000'000'000'000'000), "5000 TB");
}

TEST(FormatSeconds, UsesTheTwoLargestUnits) {
  EXPECT_EQ(format_seconds(-1), "0s");
  EXPECT_EQ(format_seconds(41.6), "42s");
  EXPECT_EQ(format_seconds(59.7), "1m00s");
  EXPECT_EQ(format_seconds(185), "3m05s");
  EXPECT_EQ(format_seconds(3600), "1h00m");
  EXPECT_EQ(format_seconds(7830), "2h10m");
}

TEST(NearestName, FindsTypingErrorsOnly) {
  const std::vector<std::string> names = {"density", "weight", "lambda", "normalize"};
  EXPECT_EQ(nearest_name("densty", names), "density");
  EXPECT_EQ(nearest_name("wieght", names), "weight");
  EXPECT_EQ(nearest_name("normalise", names), "normalize");
  EXPECT_EQ(nearest_name("temperature", names), std::nullopt);
  EXPECT_EQ(nearest_name("x", std::vector<std::string>{}), std::nullopt);
  EXPECT_EQ(did_you_mean("lamda", names), "; did you mean 'lambda'?");
  EXPECT_EQ(did_you_mean("zzzzzzzzz", names), "");
}

TEST(SplitAndJoin, KeepEmptyParts) {
  EXPECT_EQ(split("a,b,,c,", ','), (std::vector<std::string>{"a", "b", "", "c", ""}));
  EXPECT_EQ(split("", ','), std::vector<std::string>{""});
  EXPECT_EQ(join(std::vector<std::string>{"a", "", "b"}, ", "), "a, , b");
  EXPECT_EQ(join(std::vector<std::string>{}, ", "), "");
}

RC_GTEST_PROP(SplitAndJoinProperty, JoinUndoesSplit, (const std::string& text)) {
  RC_ASSERT(join(split(text, ';'), ";") == text);
}

RC_GTEST_PROP(FormatBytesProperty, ParsesBackWithinHalfAPercent, ()) {
  const auto bytes = *rc::gen::inRange<std::uint64_t>(0, 1'000'000'000'000'000);
  const auto back = static_cast<double>(parse_bytes(format_bytes(bytes), "test"));
  const auto exact = static_cast<double>(bytes);
  RC_ASSERT(back >= exact * 0.995 - 1);
  RC_ASSERT(back <= exact * 1.005 + 1);
}

}  // namespace
}  // namespace amalgam
