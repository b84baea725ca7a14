#include "amalgam/checkpoint/token_encoder.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "amalgam/checkpoint/text_pattern.hpp"
#include "amalgam/core/error.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

class TokenEncoderTest : public ::testing::Test {
 protected:
  std::vector<std::size_t> encode(const json& document, std::string_view text) const {
    folder_.write("tokenizer.json", document.dump());
    const Tokenizer tokenizer = Tokenizer::read(folder_.path());
    return TokenEncoder(tokenizer).encode(text);
  }
  const TemporaryFolder folder_;
};

json byte_level() {
  return json::parse(R"({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
    "model": {"type": "BPE",
              "vocab": {"a": 0, "b": 1, "c": 2, "Ġ": 3, "ab": 4, "Ġab": 5, "abc": 6, "Ã": 7, "©": 8},
              "merges": ["a b", "Ġ ab", "ab c"]}})");
}

// As Llama's: a space before every piece, no cutting, unknown characters as bytes.
json llama() {
  return json::parse(R"({
    "added_tokens": [{"id": 1, "content": "<s>", "special": true, "normalized": false}],
    "normalizer": {"type": "Sequence", "normalizers": [
      {"type": "Prepend", "prepend": "▁"},
      {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
    "pre_tokenizer": null,
    "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
              "vocab": {"<unk>": 0, "<s>": 1, "▁": 2, "h": 3, "i": 4, "hi": 5, "▁hi": 6,
                        "<0xC3>": 7, "<0xA9>": 8},
              "merges": ["h i", "▁ hi"]}})");
}

TEST_F(TokenEncoderTest, JoinsByRankRatherThanFromLeftToRight) {
  // " abc": of Ġ a b c first (a, b), then (Ġ, ab), so that (ab, c) finds no ab any more.
  EXPECT_THAT(encode(byte_level(), "ab abc"), ElementsAre(4, 5, 2));
  EXPECT_THAT(encode(byte_level(), "abc"), ElementsAre(6));
  EXPECT_THAT(encode(byte_level(), ""), ElementsAre());
}

TEST_F(TokenEncoderTest, ByteLevelWritesBytesAsLetters) {
  // é is C3 A9.
  EXPECT_THAT(encode(byte_level(), "é"), ElementsAre(7, 8));
  EXPECT_EQ(bytes_as_letters(std::string_view("\0 \xAD", 3)), "ĀĠŃ");
}

TEST_F(TokenEncoderTest, AddedTokensAreFoundBeforeTextIsNormalised) {
  EXPECT_THAT(encode(llama(), "<s>hi é"), ElementsAre(1, 6, 2, 7, 8));
  // z has neither a token nor that of its byte; two in a row are one unknown token.
  EXPECT_THAT(encode(llama(), "zz"), ElementsAre(2, 0));
}

TEST_F(TokenEncoderTest, OfAddedTokensTheLongestCountsWithTheSpacesItTakes) {
  json document = byte_level();
  document["added_tokens"] = json::parse(
      R"([{"id": 20, "content": "<x>", "special": true},
          {"id": 21, "content": "<x><y>", "special": true, "lstrip": true, "rstrip": true},
          {"id": 22, "content": "ba", "special": false, "single_word": true}])");
  EXPECT_THAT(encode(document, "a <x><y> b<x>"), ElementsAre(0, 21, 1, 20));
  EXPECT_THAT(encode(document, "ba"), ElementsAre(22));
  EXPECT_THAT(encode(document, "bab"), ElementsAre(1, 4));
}

TEST_F(TokenEncoderTest, MergesAreIgnoredForWholeTokensWhereTheTokenizerSaysSo) {
  json document = byte_level();
  document["model"]["vocab"]["Ġabc"] = 9;
  EXPECT_THAT(encode(document, " abc"), ElementsAre(5, 2));
  document["model"]["ignore_merges"] = true;
  EXPECT_THAT(encode(document, " abc"), ElementsAre(9));
}

TEST(TextCutterTest, CutsAsTheExpressionOfLlamaThreeDoes) {
  const TextCutter cutter(
      {{"type", "Split"},
       {"behavior", "Isolated"},
       {"pattern",
        {{"Regex",
          R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}}}},
      "t");
  EXPECT_THAT(cutter.cut("It'S 12345!\n\n  über", true),
              ElementsAre("It", "'S", " ", "123", "45", "!\n\n", " ", " über"));
}

TEST(TextCutterTest, KnowsTheBehavioursOfASplit) {
  const auto cut = [](const char* behaviour, bool invert = false) {
    return TextCutter({{"type", "Split"},
                       {"pattern", {{"String", "-"}}},
                       {"behavior", behaviour},
                       {"invert", invert}},
                      "t")
        .cut("a--b-c", true);
  };
  EXPECT_THAT(cut("Removed"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(cut("Isolated"), ElementsAre("a", "-", "-", "b", "-", "c"));
  EXPECT_THAT(cut("MergedWithPrevious"), ElementsAre("a-", "-", "b-", "c"));
  EXPECT_THAT(cut("MergedWithNext"), ElementsAre("a", "-", "-b", "-c"));
  EXPECT_THAT(cut("Contiguous"), ElementsAre("a", "--", "b", "-", "c"));
  EXPECT_THAT(cut("Removed", true), ElementsAre("-", "-", "-"));
}

TEST(TextCutterTest, MetaspaceMarksSpacesAndOnlyTheBeginningWhereAsked) {
  const auto cut = [](const char* scheme, bool is_beginning) {
    return TextCutter({{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", scheme}},
                      "t")
        .cut("a  b", is_beginning);
  };
  EXPECT_THAT(cut("always", false), ElementsAre("_a", "_", "_b"));
  EXPECT_THAT(cut("first", true), ElementsAre("_a", "_", "_b"));
  EXPECT_THAT(cut("first", false), ElementsAre("a", "_", "_b"));
  EXPECT_THAT(cut("never", true), ElementsAre("a", "_", "_b"));
}

TEST(TextNormaliserTest, ComposesAndReplaces) {
  EXPECT_EQ(TextNormaliser({{"type", "NFC"}}, "t").apply("e\xCC\x81"), "é");
  EXPECT_EQ(TextNormaliser({{"type", "NFKD"}}, "t").apply("ﬁé"), "fie\xCC\x81");
  EXPECT_EQ(
      TextNormaliser({{"type", "Replace"}, {"pattern", {{"Regex", " +"}}}, {"content", "_"}}, "t")
          .apply("a  b c"),
      "a_b_c");
  EXPECT_EQ(TextNormaliser(json(), "t").apply("a"), "a");
}

TEST_F(TokenEncoderTest, RefusesWhatItCannotDoAsTheTokenizerDoes) {
  json document = byte_level();
  document["normalizer"] = {{"type", "Uppercase"}};
  expect_error<InputError>([&] { encode(document, "a"); }, "tokenizer.json",
                           "normaliser 'Uppercase' is not known");
  document = byte_level();
  document["pre_tokenizer"] = {{"type", "UnicodeScripts"}};
  expect_error<InputError>([&] { encode(document, "a"); }, "'UnicodeScripts' is not known");
  document["pre_tokenizer"] = {
      {"type", "Split"}, {"pattern", {{"Regex", "("}}}, {"behavior", "Removed"}};
  expect_error<InputError>([&] { encode(document, "a"); }, "expression '(' cannot be read");
  expect_error<InputError>([&] { encode(byte_level(), "\xFF"); }, "not UTF-8");
}

TEST(TextNormaliserTest, StepsThatMultiplyATextAgainAndAgainAreRefused) {
  const json step = {
      {"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", std::string(1000, 'a')}};
  const TextNormaliser twice({{"type", "Sequence"}, {"normalizers", {step, step}}}, "t");
  EXPECT_EQ(twice.apply("a").size(), 1'000'000U);
  const TextNormaliser thrice({{"type", "Sequence"}, {"normalizers", {step, step, step}}}, "t");
  expect_error<InputError>([&] { thrice.apply("a"); }, "1001000000 bytes",
                           "expected at most 64000000");
}

TEST(TextPatternTest, AHostileExpressionEnds) {
  const TextPattern pattern = TextPattern::expression("(a+)+$", "t");
  expect_error<InputError>([&] { pattern.find_all(std::string(64, 'a') + "b"); },
                           "cannot be matched");
  // An expression that matches nothing at all is no match, everywhere.
  EXPECT_TRUE(TextPattern::expression("x*", "t").find_all("aéa").empty());
  EXPECT_THAT(TextPattern::expression("x*", "t").find_all("axxa"), ElementsAre(TextRange{1, 3}));
}

}  // namespace
}  // namespace amalgam
