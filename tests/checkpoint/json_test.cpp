#include "amalgam/checkpoint/json.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "amalgam/core/error.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

TEST(ParseJson, ReadsValues) {
  const nlohmann::json parsed = parse_json(R"({"a": [1, -2, "x"], "b": {"c": null}})", "f");
  EXPECT_EQ(parsed["a"][1], -2);
  EXPECT_EQ(parsed["a"][2], "x");
  EXPECT_TRUE(parsed["b"]["c"].is_null());
}

TEST(ParseJson, RefusesKeysThatAppearTwiceInOneObject) {
  expect_error<InputError>([] { parse_json(R"({"a": 1, "b": 2, "a": 3})", "index.json"); },
                           "index.json", "'a' appears twice");
  expect_error<InputError>([] { parse_json(R"([{"x": {"k": 1, "k": 1}}])", "f"); },
                           "'k' appears twice");
  EXPECT_NO_THROW(parse_json(R"({"a": {"a": {"a": 1}}, "b": {"a": 1}})", "f"));
}

TEST(ParseJson, RefusesWhatIsNestedTooDeep) {
  const JsonLimits limits{.depth = 3, .values = 100};
  EXPECT_NO_THROW(parse_json("[[[1]]]", "f", limits));
  expect_error<InputError>([&] { parse_json("[[[[1]]]]", "f", limits); },
                           "f: ", "deeper than 3 levels");
  // Far deeper than the stack would bear.
  const std::string deep(1'000'000, '[');
  expect_error<InputError>([&] { parse_json(deep, "f"); }, "deeper than 64 levels");
}

TEST(ParseJson, RefusesTooManyValues) {
  const JsonLimits limits{.depth = 3, .values = 4};
  EXPECT_NO_THROW(parse_json("[1,2,3]", "f", limits));
  expect_error<InputError>([&] { parse_json("[1,2,3,4]", "f", limits); }, "more than 4 values");
  expect_error<InputError>([&] { parse_json(R"({"a":1,"b":2})", "f", limits); },
                           "more than 4 values");
}

TEST(ParseJson, SaysWhereMalformedTextFails) {
  expect_error<InputError>([] { parse_json(R"({"a": })", "f"); }, "f: not valid JSON",
                           "line 1, column 7");
  expect_error<InputError>([] { parse_json("{} x", "f"); }, "not valid JSON");
  expect_error<InputError>([] { parse_json("", "f"); }, "not valid JSON");
  expect_error<InputError>([] { parse_json("\"\xff\"", "f"); }, "not valid JSON");
}

TEST(ParseJson, KeepsMessagesShortAndPrintable) {
  const std::string text = "\"" + std::string(100'000, 'x') + "\x1b[2J";
  try {
    parse_json(text, "f");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_LT(std::string_view(error.what()).size(), 300U);
    EXPECT_EQ(std::string_view(error.what()).find('\x1b'), std::string_view::npos);
  }
}

TEST(JsonString, QuotesAndEscapes) {
  EXPECT_EQ(json_string("a\"b\\\n\u00e9", "f"), "\"a\\\"b\\\\\\n\u00e9\"");
  expect_error<InputError>([] { json_string("a\xff", "out"); }, "out: ", "not UTF-8");
}

TEST(JsonCount, TakesWholeNumbersThatFit) {
  const nlohmann::json object = parse_json(
      R"({"small": 0, "most": 18446744073709551615, "more": 18446744073709551616, "half": 0.5,
          "negative": -1, "text": "1", "shape": [2, 3], "none": [], "signed": [2, -3]})",
      "f");
  EXPECT_EQ(json_count(object, "small", "f"), 0U);
  EXPECT_EQ(json_count(object, "most", "f"), std::numeric_limits<std::uint64_t>::max());
  for (const char* key : {"more", "half", "negative", "text", "shape"}) {
    expect_error<InputError>([&] { json_count(object, key, "f"); }, "f: '" + std::string(key),
                             "expected a whole number of at least 0");
  }
  expect_error<InputError>([&] { json_count(object, "gone", "f"); }, "f: 'gone' is missing");
  expect_error<InputError>([&] { json_count(object["shape"], "small", "f"); }, "is missing");
  EXPECT_TRUE(is_count_list(object["shape"]));
  EXPECT_TRUE(is_count_list(object["none"]));
  EXPECT_FALSE(is_count_list(object["signed"]));
  EXPECT_FALSE(is_count_list(object));
}

}  // namespace
}  // namespace amalgam
