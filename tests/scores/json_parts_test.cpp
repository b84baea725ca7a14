#include "amalgam/scores/files/json_parts.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "tests/error_of.hpp"

namespace amalgam::scores {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Parts as "key=text", an element of an opened list as "key:text".
std::vector<std::string> parts_of(const std::string& text, const JsonPartOptions& options = {}) {
  JsonParts parts = JsonParts::of_text(text, "t", options);
  std::vector<std::string> all;
  while (parts.next()) {
    all.push_back(parts.key() + (parts.is_element() ? ":" : "=") + std::string(parts.text()));
  }
  return all;
}

TEST(JsonParts, AreTheElementsOfAListOrTheMembersOfAnObject) {
  EXPECT_THAT(parts_of(R"( [ 1 , {"a": [2, "]"]}, "x,\"]" , [ ] , null ] )"),
              ElementsAre("=1", R"(={"a": [2, "]"]})", R"(="x,\"]")", "=[ ]", "=null"));
  EXPECT_THAT(parts_of(R"({"a" : 1, "b\n\"" :{"c": "}"} , "":true})"),
              ElementsAre("a=1", "b\n\"={\"c\": \"}\"}", "=true"));
  EXPECT_THAT(parts_of("[]"), IsEmpty());
  EXPECT_THAT(parts_of("\xEF\xBB\xBF{ }"), IsEmpty());
  EXPECT_TRUE(JsonParts::of_text("[]", "t").is_list());
  EXPECT_FALSE(JsonParts::of_text("{}", "t").is_list());
}

TEST(JsonParts, OpensListsAndPassesOverWhatIsNotWanted) {
  const std::string text =
      R"({"a": [1, {"b": 2}], "skip": {"a": [bad]}, "c": [], "d": 3, "a2": [4]})";
  EXPECT_THAT(parts_of(text, {.wanted = {"a", "c", "d"}, .opened = {"a", "c", "d"}}),
              ElementsAre("a:1", R"(a:{"b": 2})", "d=3"));
}

TEST(JsonParts, SayWhereTheyAre) {
  JsonParts parts = JsonParts::of_text(R"({"a": [1, 2], "b": 3})", "f.json", {.opened = {"a"}});
  std::vector<std::string> places;
  while (parts.next()) places.push_back(parts.place());
  EXPECT_THAT(places, ElementsAre("f.json: 'a', item 1", "f.json: 'a', item 2", "f.json: 'b'"));
}

// Strings, numbers and brackets on both sides of every border of a source that gives few bytes.
TEST(JsonParts, DoNotDependOnHowTheSourceCutsTheText) {
  const std::string text = R"({"list": [12345, "a\\\"]", {"k": [-1e5, "é"]}], "rest": "end"})";
  const auto whole = parts_of(text, {.opened = {"list"}});
  for (std::size_t step = 1; step < 9; ++step) {
    std::size_t at = 0;
    const auto source = [&](std::span<char> out) {
      const std::size_t count = std::min({step, out.size(), text.size() - at});
      std::copy_n(text.data() + at, count, out.data());
      at += count;
      return count;
    };
    JsonParts parts(source, "t", {.opened = {"list"}});
    std::vector<std::string> all;
    while (parts.next()) {
      all.push_back(parts.key() + (parts.is_element() ? ":" : "=") + std::string(parts.text()));
    }
    EXPECT_EQ(all, whole) << step;
  }
  EXPECT_EQ(whole.size(), 4U);
}

TEST(JsonParts, RefuseWhatIsNoJson) {
  const auto error = [](const std::string& text) { return error_of([&] { parts_of(text); }); };
  EXPECT_THAT(error(""), HasSubstr("t: byte 1: it ends, but expected a list or an object"));
  EXPECT_THAT(error("3"), HasSubstr("byte 1: '3', but expected a list or an object"));
  EXPECT_THAT(error("[1 2]"), HasSubstr("byte 4: '2', but expected ','"));
  EXPECT_THAT(error("[1,]"), HasSubstr("byte 4: ']', but expected a value"));
  EXPECT_THAT(error("[1"), HasSubstr("byte 3: it ends, but expected ','"));
  EXPECT_THAT(error("[\"a"), HasSubstr("it ends, but expected a string to be closed"));
  EXPECT_THAT(error("[{\"a\": [1}"), HasSubstr("byte 11: it ends"));
  EXPECT_THAT(error("{\"a\" 1}"), HasSubstr("byte 6: '1', but expected ':'"));
  EXPECT_THAT(error("{a: 1}"), HasSubstr("expected a key in quotes"));
  EXPECT_THAT(error("{\"a\": 1} x"), HasSubstr("byte 10: 'x', but expected nothing more"));
}

TEST(JsonParts, HaveLimits) {
  const std::string deep = std::string(300, '[') + std::string(300, ']');
  EXPECT_THAT(error_of([&] { parts_of("{\"a\": " + deep + "}", {.wanted = {"b"}}); }),
              HasSubstr("at most 200 values inside each other"));
  EXPECT_THAT(error_of([] { parts_of("[1, 12345]", {.longest = 4}); }),
              HasSubstr("t: item 2: more than 4 bytes are too many for one part"));
  EXPECT_THAT(parts_of("[1, 1234]", {.longest = 4}), ElementsAre("=1", "=1234"));
  EXPECT_THAT(error_of([] { parts_of("{\"" + std::string(70'000, 'k') + "\": 1}"); }),
              HasSubstr("more than 65536 bytes"));
  // What is passed over may be as long as it likes.
  const std::string text = "{\"a\": \"" + std::string(200'000, 'x') + "\", \"b\": 1}";
  EXPECT_THAT(parts_of(text, {.wanted = {"b"}, .longest = 4}), ElementsAre("b=1"));
}

TEST(WrittenJson, TakesNanOutsideOfStringsAsNull) {
  const nlohmann::json value =
      parse_written_json(R"({"a": NaN, "NaN": ["NaN", "\"NaN", NaN]})", "t");
  EXPECT_TRUE(value["a"].is_null());
  EXPECT_EQ(value["NaN"][0], "NaN");
  EXPECT_EQ(value["NaN"][1], "\"NaN");
  EXPECT_TRUE(value["NaN"][2].is_null());
  EXPECT_THROW(parse_written_json("[Infinity]", "t"), InputError);
  EXPECT_THROW(parse_written_json("[NaN1]", "t"), InputError);
}

}  // namespace
}  // namespace amalgam::scores
