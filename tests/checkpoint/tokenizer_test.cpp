#include "amalgam/checkpoint/tokenizer.hpp"

#include <gmock/gmock.h>

#include "amalgam/core/error.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

using nlohmann::json;

// a, b, ab and an added token outside the model's own vocabulary.
constexpr const char* kBpe = R"({"version": "1.0",
  "added_tokens": [{"id": 3, "content": "<s>", "special": true, "lstrip": false}],
  "pre_tokenizer": {"type": "ByteLevel"},
  "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})";

class TokenizerTest : public ::testing::Test {
 protected:
  Tokenizer read(const std::string& name, const std::string& text) const {
    folder_.write("in/" + name, text);
    return Tokenizer::read(folder_ / "in");
  }
  json written(const Tokenizer& tokenizer) const {
    std::filesystem::create_directories(folder_ / "out");
    tokenizer.write(folder_ / "out");
    return json::parse(contents_of(folder_ / "out/tokenizer.json"));
  }
  void expect_refused(const std::string& text, std::string_view part) const {
    expect_error<InputError>([&] { read("tokenizer.json", text); }, part);
  }
  const TemporaryFolder folder_;
};

TEST_F(TokenizerTest, AnUnchangedOneIsCopiedByteForByte) {
  const Tokenizer tokenizer = read("tokenizer.json", kBpe);
  EXPECT_EQ(tokenizer.size(), 4);
  EXPECT_EQ(tokenizer.find("<s>"), 3);
  EXPECT_EQ(tokenizer.added(2), nullptr);
  written(tokenizer);
  EXPECT_EQ(contents_of(folder_ / "out/tokenizer.json"), kBpe);
}

// tokenizers would number "<s>" after the vocabulary, as 5, were it not in it.
TEST_F(TokenizerTest, AppendedTokensLeaveAddedOnesTheirNumbers) {
  Tokenizer tokenizer = read("tokenizer.json", kBpe);
  EXPECT_EQ(tokenizer.append("c", nullptr), 4);
  EXPECT_EQ(tokenizer.append("abc", nullptr), 5);
  const json special = {{"content", "x"}, {"special", true}};
  EXPECT_EQ(tokenizer.append("<e>", &special), 6);
  tokenizer.append_merges({{"a", "b"}, {"ab", "c"}});
  const json document = written(tokenizer);
  EXPECT_EQ(document["model"]["vocab"],
            json::parse(R"({"a":0,"b":1,"ab":2,"<s>":3,"c":4,"abc":5,"<e>":6})"));
  EXPECT_EQ(document["model"]["merges"], json::parse(R"(["a b","ab c"])"));
  EXPECT_EQ(document["added_tokens"][0]["special"], true);
  EXPECT_EQ(document["added_tokens"][1], json::parse(R"({"id":6,"content":"<e>","special":true})"));
  EXPECT_EQ(document["pre_tokenizer"]["type"], "ByteLevel");
}

TEST_F(TokenizerTest, UnigramTokensAreNumberedByTheirPlace) {
  Tokenizer tokenizer = read("tokenizer.json", R"({"added_tokens": [{"id": 3, "content": "<s>"}],
    "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0], ["x", -1.5]]}})");
  tokenizer.append("y", nullptr, -2.5);
  const json model = written(tokenizer)["model"];
  EXPECT_EQ(model["vocab"], json::parse(R"([["<unk>",0.0],["x",-1.5],
    ["<unused number 2>",-2.5],["<s>",-2.5],["y",-2.5]])"));
  EXPECT_EQ(model["unk_id"], 0);
}

TEST_F(TokenizerTest, ReadsAndExtendsVocabularyAndMergesInFilesOfTheirOwn) {
  folder_.write("in/merges.txt", "#version: 0.2\na b\n");
  folder_.write("in/added_tokens.json", R"({"<s>": 3})");
  Tokenizer tokenizer = read("vocab.json", R"({"a": 0, "b": 1, "ab": 2})");
  EXPECT_EQ(tokenizer.form(), Tokenizer::Form::vocab_and_merges);
  tokenizer.append("abb", nullptr);
  tokenizer.append_merges({{"ab", "b"}});
  std::filesystem::create_directories(folder_ / "out");
  tokenizer.write(folder_ / "out");
  EXPECT_EQ(contents_of(folder_ / "out/merges.txt"), "#version: 0.2\na b\nab b\n");
  EXPECT_EQ(json::parse(contents_of(folder_ / "out/vocab.json"))["abb"], 4);
  EXPECT_EQ(json::parse(contents_of(folder_ / "out/added_tokens.json"))["<s>"], 3);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out/tokenizer.json"));
  EXPECT_TRUE(Tokenizer::read(folder_ / "out").same_tokens(tokenizer));
}

TEST_F(TokenizerTest, RefusesWhatCannotBeAVocabulary) {
  const auto bpe = [](const std::string& vocab, const std::string& merges) {
    return R"({"model": {"type": "BPE", "vocab": )" + vocab + R"(, "merges": )" + merges + "}}";
  };
  expect_refused("[]", "expected a JSON object");
  expect_refused("{}", "no object 'model'");
  expect_refused(R"({"model": {"type": "Other"}})", "type 'Other' is not known");
  expect_refused(bpe(R"({"a": 0, "b": 0})", "[]"), "both have the number 0");
  expect_refused(bpe(R"({"a": 4000000000})", "[]"), "expected at most 4194304");
  expect_refused(bpe(R"({"a": -1})", "[]"), "as number");
  expect_refused(bpe(R"({"a": 0})", R"(["a"])"), "merge 0 is not two tokens");
  expect_refused(bpe(R"({"a": 0})", R"(["a a"])"), "needs the token 'aa'");
  expect_refused(R"({"model": {"type": "Unigram", "vocab": [["a"]]}})", "entry 0 of 'vocab'");
}

TEST_F(TokenizerTest, AListHasNumbersAndNoFiles) {
  const Tokenizer list = Tokenizer::of_list({"a", "b", "<s>"}, "m.gguf");
  EXPECT_EQ(list.form(), Tokenizer::Form::list);
  EXPECT_EQ(list.find("<s>"), 2);
  EXPECT_EQ(list.size(), 3);
  EXPECT_EQ(list.config(), std::nullopt);
  EXPECT_THROW(list.write(folder_ / "out"), Error);
  expect_error<InputError>(
      [] {
        Tokenizer::of_list({"a", "b", "a"}, "m.gguf");
      },
      "m.gguf", "the token 'a' is there twice");
}

// Names that fill gaps are not those of tokens.
TEST_F(TokenizerTest, UnusedNumbersGetNamesThatNoTokenHas) {
  Tokenizer tokenizer = read("tokenizer.json", R"({"added_tokens": [{"id": 3, "content": "<s>"}],
    "model": {"type": "Unigram", "vocab": [["<unk>", 0], ["<unused number 2>", -1]]}})");
  tokenizer.append("y", nullptr, -2);
  EXPECT_EQ(written(tokenizer)["model"]["vocab"][2][0], "<unused number 2>>");
  EXPECT_EQ(Tokenizer::read(folder_ / "out").find("y"), 4);
}

TEST_F(TokenizerTest, SaysWhatToDoWithASentencePieceModelAlone) {
  folder_.write("in/tokenizer.model", "\x0a\x0b");
  expect_error<InputError>([&] { Tokenizer::read(folder_ / "in"); },
                           "only as a SentencePiece model", "save_pretrained");
  expect_error<InputError>([&] { Tokenizer::read(folder_ / "nowhere"); }, "no tokenizer");
}

}  // namespace
}  // namespace amalgam
