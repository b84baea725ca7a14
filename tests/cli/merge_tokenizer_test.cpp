// Models of different vocabularies, merged by the real program.
#include <gmock/gmock.h>

#include "amalgam/checkpoint/gguf.hpp"
#include "tests/cli/token_model_fixture.hpp"

namespace amalgam {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pointwise;

class MergeTokenizer : public TokenModelFixture {
 protected:
  MergeTokenizer() {
    a_ = write("a", {.tokens = {"x", "y", "<s>"}, .first = 0});
    b_ = write("b", {.tokens = {"z", "<s>", "y"}, .first = 100});
  }
  std::string a_;
  std::string b_;
};

// Rows of a: x 0, y 1, <s> 2; of b: z 100, <s> 101, y 102. The mean is (a + 3 b) / 4, and who lacks
// a token has the row of the only owner.
TEST_F(MergeTokenizer, UnionGivesEveryTokenTheRowsOfThoseWhoHaveIt) {
  merge(mean(a_, b_, "tokenizer_source: union\n"));
  const std::vector<double> expected = {0, (1 + 3 * 102) / 4.0, (2 + 3 * 101) / 4.0, 100};
  EXPECT_EQ(embedding(), expected);
  EXPECT_THAT(head(), Pointwise(DoubleNear(1e-3), std::vector<double>{0, 767.5, 762.5, 1000}));
  const Json tokenizer = out_json("tokenizer.json");
  EXPECT_EQ(tokenizer["model"]["vocab"], Json::parse(R"({"x": 0, "y": 1, "<s>": 2, "z": 3})"));
  EXPECT_EQ(tokenizer["added_tokens"].size(), 1U);
  EXPECT_EQ(tokenizer["added_tokens"][0]["special"], true);
  EXPECT_EQ(out_json("config.json")["vocab_size"], 4);
}

TEST_F(MergeTokenizer, BaseKeepsItsTokensAndFiles) {
  merge(mean(a_, b_, "base_model: " + a_ + "\ntokenizer_source: base\n"));
  EXPECT_THAT(embedding(), ElementsAre(0, (1 + 3 * 102) / 4.0, (2 + 3 * 101) / 4.0));
  EXPECT_EQ(contents_of(folder_ / "out/tokenizer.json"), contents_of(folder_ / "a/tokenizer.json"));
  EXPECT_EQ(out_json("config.json")["vocab_size"], 3);
}

TEST_F(MergeTokenizer, ANamedModelGivesTokensFilesAndTheirNumbers) {
  merge(mean(a_, b_, "tokenizer_source: " + b_ + "\n"));
  EXPECT_THAT(embedding(), ElementsAre(100, (2 + 3 * 101) / 4.0, (1 + 3 * 102) / 4.0));
  EXPECT_EQ(contents_of(folder_ / "out/tokenizer.json"), contents_of(folder_ / "b/tokenizer.json"));
  EXPECT_EQ(out_json("config.json")["bos_token_id"], 2);  // as b says
}

// y: b's row for all; new: x of a; nil: zeros. The rows of padding are the mean of the five.
TEST_F(MergeTokenizer, SingleTokensHaveTheirSourcesAndRowsArePadded) {
  merge(mean(a_, b_,
             "tokenizer:\n  source: base\n  pad_to_multiple_of: 4\n  tokens:\n"
             "    y: {source: " +
                 b_ +
                 ", force: true}\n"
                 "    new: {source: {kind: model_token, model: " +
                 a_ +
                 ", token: x}}\n"
                 "    nil: {source: {kind: zero}}\n"));
  const double special = (2 + 3 * 101) / 4.0;
  const double mean_row = (0 + 102 + special + 0 + 0) / 5;
  const std::vector<double> expected = {0, 102, special, 0, 0, mean_row, mean_row, mean_row};
  EXPECT_THAT(embedding(), Pointwise(DoubleNear(1e-5), expected));
  EXPECT_EQ(out_json("config.json")["vocab_size"], 8);
  const Json added = out_json("tokenizer.json")["added_tokens"];
  ASSERT_EQ(added.size(), 3U);
  EXPECT_EQ(added[2]["content"], "nil");
  EXPECT_EQ(added[2]["id"], 4);
}

// b's head is its embedding; of two tied models the output is one as well.
TEST_F(MergeTokenizer, TiedEmbeddingsAreHeadsToo) {
  const std::string tied = write("tied", {.tokens = {"z", "<s>", "y"}, .first = 100, .tied = true});
  merge(mean(a_, tied, "tokenizer_source: union\n"));
  EXPECT_THAT(head(), ElementsAre(0, (10 + 3 * 102) / 4.0, (20 + 3 * 101) / 4.0, 100));
  const std::string other = write("other", {.tokens = {"x", "<s>"}, .first = 0, .tied = true});
  merge(mean(other, tied, "tokenizer_source: union\n"));
  EXPECT_THAT(embedding(), ElementsAre(0, (1 + 3 * 101) / 4.0, 100, 102));
  EXPECT_FALSE(open_checkpoint(path("out"))->find("lm_head.weight").has_value());
  EXPECT_EQ(out_json("config.json")["tie_word_embeddings"], true);
}

// All three are tied, but the files of the first two have the head too: thresholds over the whole
// model count it once, as without.
TEST_F(MergeTokenizer, ThresholdsOverTheModelCountTiedRowsOnce) {
  const auto paper = [&](const std::string& base, const std::string& member) {
    merge(recipe("merge_method: ties\nbase_model: " + base +
                 "\ntokenizer_source: base\nmodels:\n- " + "{model: " + member +
                 ", parameters: {weight: 1, density: 0.4}}\n" + "parameters: {dialect: paper}\n"));
    return embedding();
  };
  const std::string base = write("base", {.tokens = {"x", "y", "z"}, .first = 5, .tied = true});
  const std::string member =
      write("member", {.tokens = {"z", "x", "y"}, .first = 50, .tied = true});
  const std::vector<double> expected = paper(base, member);
  for (const std::string& name : {base, member}) {
    std::vector<MemoryTensor> tensors;
    const auto source = open_checkpoint(name);
    for (const TensorInfo& info : source->tensors()) {
      tensors.push_back(make_tensor(info.name, info.shape, values_of(*source, info.name)));
      if (info.name.find("embed") == std::string::npos) continue;
      tensors.push_back(make_tensor("lm_head.weight", info.shape, values_of(*source, info.name)));
    }
    std::filesystem::remove(name + "/model.safetensors");
    write_safetensors(name + "/model.safetensors", tensors);
  }
  EXPECT_EQ(paper(base, member), expected);
  EXPECT_EQ(head(), expected);
}

TEST_F(MergeTokenizer, AModelWithoutATokenizerHasTheTokensOfTheBaseIfItsRowsAgree) {
  const std::string bare =
      write("bare", {.tokens = {"x", "y", "<s>"}, .first = 100, .tokenizer = false});
  merge(mean(a_, bare, "tokenizer_source: base\n"));
  EXPECT_THAT(embedding(), ElementsAre(75, 76, 77));
  merge(mean(a_, bare, "tokenizer: {source: union, pad_to_multiple_of: 4}\n"));
  EXPECT_THAT(embedding(), ElementsAre(75, 76, 77, 76));
  const std::string more = write("more", {.tokens = {"x", "y"}, .tokenizer = false, .padding = 3});
  expect_bad_usage(
      run_amalgam({"merge", mean(a_, more, "tokenizer_source: base\n"), "-o", path("no")}),
      "more: it has no tokenizer of its own", "has 5 rows", "has 3", "tokenizer.json");
}

// Files that are not read are kept where nothing depends on what they say.
TEST_F(MergeTokenizer, VocabulariesThatNobodyReadsAreKept) {
  const std::string bare =
      write("bare", {.tokens = {"x", "y", "<s>"}, .first = 100, .tokenizer = false});
  const std::string old = write("old", {.tokens = {"x", "y", "<s>"}, .tokenizer = false});
  folder_.write("old/tokenizer.model", "pieces");
  folder_.write("bare/tokenizer.model", "pieces");
  merge(mean(old, bare, "tokenizer_source: base\n"));
  EXPECT_EQ(contents_of(folder_ / "out/tokenizer.model"), "pieces");
  EXPECT_THAT(embedding(), ElementsAre(75, 76, 77));
  folder_.write("bare/tokenizer.model", "others");
  expect_bad_usage(
      run_amalgam({"merge", mean(old, bare, "tokenizer_source: base\n"), "-o", path("no")}),
      "only as a SentencePiece model");
}

TEST_F(MergeTokenizer, ChatTemplates) {
  folder_.write("b/tokenizer_config.json", R"({"chat_template": "{{ b }}", "x": 1})");
  merge(mean(a_, b_, "tokenizer_source: union\nchat_template: auto\n"));
  EXPECT_EQ(out_json("tokenizer_config.json")["chat_template"], "{{ b }}");
  EXPECT_EQ(out_json("tokenizer_config.json")["tokenizer_class"], "Fast");
  merge(mean(a_, b_, "chat_template: chatml\n"));
  EXPECT_THAT(out_json("tokenizer_config.json")["chat_template"].get<std::string>(),
              HasSubstr("<|im_start|>"));
  expect_bad_usage(
      run_amalgam({"merge", mean(a_, b_, "chat_template: chatmll\n"), "-o", path("no")}),
      "chat template 'chatmll' is not known", "chatml");
}

TEST_F(MergeTokenizer, ASingleFileHoldsNoNewVocabulary) {
  const std::string recipe = mean(a_, b_, "tokenizer_source: union\n");
  expect_bad_usage(run_amalgam({"merge", recipe, "-o", path("out.safetensors")}),
                   "is a single file, which cannot hold the tokenizer");
}

class MergeGgufTokens : public TokenModelFixture {
 protected:
  std::string write_gguf(const std::string& name, const std::vector<std::string>& tokens,
                         double first) const {
    GgufMetadata metadata = minimal_gguf_metadata("llama", name);
    metadata.set("tokenizer.ggml.model", GgufValue::of("gpt2"));
    metadata.set("tokenizer.ggml.tokens", GgufValue::of(std::span<const std::string>(tokens)));
    metadata.set("tokenizer.chat_template", GgufValue::of("{{ " + name + " }}"));
    const std::vector<MemoryTensor> tensors = {rows("token_embd.weight", tokens.size(), first, 1),
                                               make_tensor("output_norm.weight", {2}, {1, 1})};
    const auto place = folder_ / (name + ".gguf");
    const auto sink = create_gguf_file(place, {tensors[0].info, tensors[1].info}, metadata);
    for (std::size_t t = 0; t < tensors.size(); ++t) sink->write(t, 0, tensors[t].bytes);
    sink->finish();
    return place.string();
  }
  RunResult run(const std::string& recipe) const {
    return run_amalgam({"merge", recipe, "-o", path("out.gguf"), "--overwrite"});
  }
};

TEST_F(MergeGgufTokens, TheOutputHasTheMetadataOfTheBase) {
  const std::string a = write_gguf("a", {"x", "y"}, 0);
  const std::string b = write_gguf("b", {"x", "y"}, 100);
  for (const std::string& base : {a, b}) {
    const RunResult result = run(mean(a, b, "base_model: " + base + "\n"));
    ASSERT_EQ(result.code, 0) << result.err;
    const auto merged = open_checkpoint(path("out.gguf"));
    const GgufMetadata& found = *find_gguf_metadata(*merged);
    const auto expected = open_checkpoint(base);
    for (const auto& [key, value] : find_gguf_metadata(*expected)->entries()) {
      if (key == "general.file_type" || key == "general.quantization_version") continue;
      ASSERT_NE(found.find(key), nullptr) << key;
      EXPECT_EQ(*found.find(key), value) << key;
    }
  }
}

TEST_F(MergeGgufTokens, OtherTokensAreRefusedUnlessTheRecipeMovesTheirRows) {
  const std::string a = write_gguf("a", {"x", "y", "w"}, 0);
  const std::string b = write_gguf("b", {"x", "z", "y", "q"}, 100);
  expect_bad_usage(run(mean(a, b, "")), "b.gguf: its 4 tokens are not the 3 of", "number 1 is 'z'",
                   "there 'y'", "tokenizer_source: base");
  const RunResult result = run(mean(a, b, "tokenizer_source: base\n"));
  ASSERT_EQ(result.code, 0) << result.err;
  const auto merged = open_checkpoint(path("out.gguf"));
  EXPECT_THAT(values_of(*merged, "token_embd.weight"),
              ElementsAre(75, -75, (1 + 3 * 102) / 4.0, -(1 + 3 * 102) / 4.0, 2, -2));
  expect_bad_usage(run(mean(a, b, "tokenizer_source: union\n")),
                   "the vocabulary of a GGUF file can be kept", "original folders");
}

}  // namespace
}  // namespace amalgam
