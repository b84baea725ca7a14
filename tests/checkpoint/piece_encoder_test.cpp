// WordPiece, Unigram and WordLevel tokenizers, and the normalisers and pre-tokenizers they come
// with.
#include "amalgam/checkpoint/piece_encoder.hpp"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "amalgam/checkpoint/character_map.hpp"
#include "amalgam/checkpoint/token_encoder.hpp"
#include "amalgam/core/error.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

class PieceEncoderTest : public ::testing::Test {
 protected:
  std::vector<std::size_t> encode(const json& model, const std::string& text) const {
    return encode_as(json{{"model", model}}, text);
  }
  std::vector<std::size_t> encode_as(const json& document, const std::string& text) const {
    folder_.write("tokenizer.json", document.dump());
    const Tokenizer tokenizer = Tokenizer::read(folder_.path());
    return TokenEncoder(tokenizer).encode(text);
  }
  const TemporaryFolder folder_;
};

json word_piece() {
  return json::parse(
      R"({"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
    "max_input_chars_per_word": 6,
    "vocab": {"[UNK]": 0, "a": 1, "ab": 2, "##c": 3, "##cd": 4, "##b": 5, "##é": 6, "cd": 7}})");
}

json unigram() {
  return json::parse(R"({"type": "Unigram", "unk_id": 0,
    "vocab": [["<unk>", 0], ["a", -2], ["b", -2], ["ab", -3], ["c", -1], ["abc", -4.5],
              ["bc", -2], ["xy", -3]]})");
}

// tests/data/make_token_encodings.py: what the real library makes of the same tokenizers and texts.
TEST_F(PieceEncoderTest, EncodesAsTheRealTokenizersDo) {
  json made;
  std::ifstream(std::filesystem::path(AMALGAM_TEST_DATA) / "token_encodings.json") >> made;
  std::size_t tokens = 0;
  for (const auto& [name, one] : made.items()) {
    for (const json& encoding : one["encodings"]) {
      const auto text = encoding[0].get<std::string>();
      const auto expected = encoding[1].get<std::vector<std::size_t>>();
      EXPECT_EQ(encode_as(one["tokenizer"], text), expected) << name << ": " << text;
      tokens += expected.size();
    }
  }
  EXPECT_GT(tokens, 1000U);
}

TEST_F(PieceEncoderTest, WordPieceTakesTheLongestTokenAgainAndAgain) {
  EXPECT_THAT(encode(word_piece(), "abcd"), ElementsAre(2, 4));
  EXPECT_THAT(encode(word_piece(), "acé"), ElementsAre(1, 3, 6));
  // cd begins a word only; what has no tokens is unknown as a whole.
  EXPECT_THAT(encode(word_piece(), "cdcd"), ElementsAre(7, 4));
  EXPECT_THAT(encode(word_piece(), "abx"), ElementsAre(0));
}

TEST_F(PieceEncoderTest, WordsOfMoreCharactersThanAllowedAreUnknown) {
  EXPECT_THAT(encode(word_piece(), "abbbbb"), ElementsAre(2, 5, 5, 5, 5));
  EXPECT_THAT(encode(word_piece(), "abbbbbb"), ElementsAre(0));
  EXPECT_THAT(encode(word_piece(), "aééééé"), ElementsAre(1, 6, 6, 6, 6, 6));  // 11 bytes
}

TEST_F(PieceEncoderTest, UnigramTakesTheCutWithTheLargestSum) {
  // abc: a + bc = -4; ab + c = -4, abc = -4.5. Of the two the one with the longest token last.
  EXPECT_THAT(encode(unigram(), "abc"), ElementsAre(1, 6));
  EXPECT_THAT(encode(unigram(), "ab"), ElementsAre(3));
  EXPECT_THAT(encode(unigram(), "abab"), ElementsAre(3, 3));
}

TEST_F(PieceEncoderTest, UnknownCharactersInARowAreOneToken) {
  EXPECT_THAT(encode(unigram(), "é日a日"), ElementsAre(0, 1, 0));
  // The lowest score is -4.5, so x and y by themselves are -14.5 each.
  EXPECT_THAT(encode(unigram(), "xyx"), ElementsAre(7, 0));
  json bytes = unigram();
  bytes["byte_fallback"] = true;
  for (const char* byte : {"<0xC3>", "<0xA9>"}) bytes["vocab"].push_back({byte, 0.0});
  EXPECT_THAT(encode(bytes, "éa"), ElementsAre(8, 9, 1));
  EXPECT_THAT(encode(bytes, "éê"), ElementsAre(0));  // 0xAA has no token, so none of them
}

TEST_F(PieceEncoderTest, WhatHasNoTokenIsAnErrorWithoutAnUnknownToken) {
  json model = unigram();
  model.erase("unk_id");
  EXPECT_THAT(encode(model, "ab"), ElementsAre(3));
  expect_error<InputError>([&] { encode(model, "aé"); }, "tokenizer.json", "'é' has no token");
  model = word_piece();
  model["unk_token"] = "[OTHER]";
  expect_error<InputError>([&] { encode(model, "x"); }, "'x' has no token");
  const json words = {{"type", "WordLevel"}, {"vocab", {{"a", 0}}}, {"unk_token", "?"}};
  EXPECT_THAT(encode(words, "a"), ElementsAre(0));
  expect_error<InputError>([&] { encode(words, "b"); }, "'b' has no token");
}

TEST_F(PieceEncoderTest, RefusesModelsThatLackWhatDecides) {
  for (const char* key : {"unk_token", "continuing_subword_prefix", "max_input_chars_per_word"}) {
    json model = word_piece();
    model.erase(key);
    expect_error<InputError>([&] { encode(model, "a"); }, "tokenizer.json", key);
  }
  json model = unigram();
  model["unk_id"] = 8;
  expect_error<InputError>([&] { encode(model, "a"); }, "'unk_id' is 8");
  model = {{"type", "BPE"}, {"vocab", {{"a", 0}}}, {"merges", json::array()}, {"dropout", 0.1}};
  expect_error<InputError>([&] { encode(model, "a"); }, "drops merges at random");
}

TEST_F(PieceEncoderTest, AListOfTokensDoesNotSayHowTextIsCut) {
  folder_.write("vocab.txt", "[UNK]\na\n");
  const Tokenizer tokenizer = Tokenizer::read(folder_.path());
  expect_error<InputError>([&] { TokenEncoder{tokenizer}; }, "vocab.txt", "save_pretrained");
}

TEST_F(PieceEncoderTest, TokensThatAreOnlyAddedAreNotTheModels) {
  json document = {{"model", word_piece()}, {"pre_tokenizer", {{"type", "WhitespaceSplit"}}}};
  document["added_tokens"] = json::parse(
      R"([{"id": 8, "content": "x", "special": false, "normalized": false, "single_word": true}])");
  EXPECT_THAT(encode_as(document, "x a"), ElementsAre(8, 1));
  EXPECT_THAT(encode_as(document, "ax xa"), ElementsAre(0, 0));
}

std::string normalised(const json& settings, const std::string& text) {
  return TextNormaliser(settings, "t").apply(text);
}

TEST(TextNormaliserTest, BertCleansSpacesStripsAndLowers) {
  const json bert = {{"type", "BertNormalizer"}};
  EXPECT_EQ(normalised(bert, "\x01Ä\tB\u00a0\u200b日É"), "a b  日 e");
  json cased = bert;
  cased["lowercase"] = false;
  EXPECT_EQ(normalised(cased, "ÄB日"), "ÄB 日 ");
  cased["strip_accents"] = true;
  cased["handle_chinese_chars"] = false;
  EXPECT_EQ(normalised(cased, "ÄB日"), "AB日");
}

TEST(TextNormaliserTest, StripsLowersAndReplacesByCharacter) {
  EXPECT_EQ(normalised({{"type", "Strip"}, {"strip_right", false}}, "\u3000 a "), "a ");
  EXPECT_EQ(normalised({{"type", "Strip"}, {"strip_left", false}}, " a b\u2003 "), " a b");
  EXPECT_EQ(normalised({{"type", "Strip"}}, "   "), "");
  EXPECT_EQ(normalised({{"type", "Lowercase"}}, "İΣẞ"), "i̇σß");
  EXPECT_EQ(normalised({{"type", "StripAccents"}}, "e\u0301\u0903x"), "ex");
  EXPECT_EQ(normalised({{"type", "Nmt"}}, "a\u200bb\x01\u2581"), "a b ");
  EXPECT_EQ(normalised({{"type", "ByteLevel"}}, " é"), "ĠÃ©");
}

TEST(TextNormaliserTest, SaysWhetherTheBeginningIsStillThere) {
  const TextNormaliser strip({{"type", "Strip"}}, "t");
  bool is_beginning = true;
  EXPECT_EQ(strip.apply("a ", is_beginning), "a");
  EXPECT_TRUE(is_beginning);
  EXPECT_EQ(strip.apply(" a", is_beginning), "a");
  EXPECT_FALSE(is_beginning);
}

TEST(TextCutterTest, CutsAtWhiteSpaceAndPunctuation) {
  const auto cut = [](const json& settings, const std::string& text) {
    return TextCutter(settings, "t").cut(text, true);
  };
  EXPECT_THAT(cut({{"type", "BertPreTokenizer"}}, " don't\u3000go!!"),
              ElementsAre("don", "'", "t", "go", "!", "!"));
  EXPECT_THAT(cut({{"type", "Whitespace"}}, "a_1 é\u0301!? ٣"),
              ElementsAre("a_1", "é\u0301", "!?", "٣"));
  EXPECT_THAT(cut({{"type", "WhitespaceSplit"}}, "  a.b\u0085c"), ElementsAre("a.b", "c"));
  EXPECT_THAT(cut({{"type", "Punctuation"}, {"behavior", "MergedWithNext"}}, "a.b"),
              ElementsAre("a", ".b"));
  EXPECT_THAT(cut({{"type", "CharDelimiterSplit"}, {"delimiter", "b"}}, "abbc"),
              ElementsAre("a", "c"));
}

TEST(TextCutterTest, WhatFollowsLeadingWhiteSpaceIsNotTheBeginning) {
  for (const char* splits : {"WhitespaceSplit", "BertPreTokenizer"}) {
    const TextCutter cutter(
        {{"type", "Sequence"},
         {"pretokenizers",
          {{{"type", splits}},
           {{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "first"}}}}},
        "t");
    EXPECT_THAT(cutter.cut("a b", true), ElementsAre("_a", "b"));
    EXPECT_THAT(cutter.cut(" a b", true), ElementsAre("a", "b"));
  }
}

// A trie of one text, "a", which stands for "xy": the root's children are at offset 1, so that of
// "a" is unit 1 ^ 'a' = 96, whose leaf is at offset 2, unit 96 ^ 2 = 98.
std::string one_replacement(std::uint32_t place) {
  std::vector<std::uint32_t> trie(256);
  trie[0] = 1U << 10U;
  trie[96] = (2U << 10U) | (1U << 8U) | 'a';
  trie[98] = 0x80000000U | place;
  std::string bytes;
  const auto add = [&](std::uint32_t value) {
    for (unsigned i = 0; i < 4; ++i) bytes += static_cast<char>((value >> (8 * i)) & 0xFFU);
  };
  add(static_cast<std::uint32_t>(4 * trie.size()));
  for (const std::uint32_t unit : trie) add(unit);
  bytes += std::string("xy\0", 3);
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string base64;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t three = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      const std::size_t at = i + j;
      three = (three << 8U) | (at < bytes.size() ? static_cast<unsigned char>(bytes[at]) : 0U);
    }
    for (unsigned j = 0; j < 4; ++j) {
      base64 += i + j > bytes.size() ? '=' : kDigits[(three >> (18 - 6 * j)) & 63U];
    }
  }
  return base64;
}

TEST(CharacterMapTest, ReplacesWhatTheTrieHas) {
  EXPECT_EQ(CharacterMap(one_replacement(0), "t").apply("abac"), "xybxyc");
  EXPECT_EQ(CharacterMap(one_replacement(1), "t").apply("ab"), "yb");
  EXPECT_EQ(CharacterMap(one_replacement(2), "t").apply("ab"), "b");  // removed
  // A letter with its accent is looked up as a whole, and the shortest text that it begins with
  // stands for all of it; longer than 5 bytes, each character by itself.
  EXPECT_EQ(CharacterMap(one_replacement(0), "t").apply("a\u0301"), "xy");
  EXPECT_EQ(CharacterMap(one_replacement(0), "t").apply("a\u0301\u0301\u0301"),
            "xy\u0301\u0301\u0301");
}

TEST(CharacterMapTest, HostileMapsAreErrors) {
  const auto make = [](const std::string& text) { return CharacterMap(text, "tokenizer.json"); };
  for (const char* text : {"abc", "????", "AAA AAAA", "A==="}) {
    expect_error<InputError>([&] { make(text); }, "tokenizer.json", "is not Base64");
  }
  expect_error<InputError>([&] { make(""); }, "has 0 bytes");
  expect_error<InputError>([&] { make("/////wAA"); }, "4294967295 are to be its trie");
  expect_error<InputError>([&] { make("BAAAAAAAAAD/"); }, "not UTF-8");  // trie of one unit, FF
  const CharacterMap outside(one_replacement(4), "tokenizer.json");
  EXPECT_EQ(outside.apply("b"), "b");
  expect_error<InputError>([&] { outside.apply("a"); }, "points outside of itself");
  // One unit, whose children are outside.
  expect_error<InputError>([&] { make("BAAAAAAEAAA=").apply("a"); }, "points outside of itself");
}

}  // namespace
}  // namespace amalgam
