#include "amalgam/weights/vocabulary.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/error_of.hpp"

namespace amalgam {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class VocabularyTest : public ::testing::Test {
 protected:
  // A WordPiece tokenizer with these tokens, numbered from 0.
  ModelVocabulary model(const std::string& name, const std::vector<std::string>& tokens,
                        std::uint64_t rows = 0) const {
    std::filesystem::create_directories(folder_ / name);
    std::ofstream file(folder_ / (name + "/vocab.txt"));
    for (const std::string& token : tokens) file << token << "\n";
    file.close();
    return {{name, {}},
            std::make_shared<const Tokenizer>(Tokenizer::read(folder_ / name)),
            rows == 0 ? tokens.size() : rows};
  }

  static Recipe recipe(const std::string& more) {
    return parse_recipe(
        "merge_method: linear\nmodels: [{model: a}, {model: b}, {model: c}]\n" + more, "r.yml")[0];
  }

  // "input:row" of every origin of a row, joined by "+".
  static std::vector<std::string> rows(const VocabularyPlan& plan, const std::string& model) {
    const RowMap& map = *plan.maps.at({model, {}});
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < map.rows(); ++i) {
      std::string text;
      for (const auto& origin : map.row(i)) {
        text += (text.empty() ? "" : "+") + std::to_string(origin.input) + ":" +
                std::to_string(origin.row);
      }
      texts.push_back(text);
    }
    return texts;
  }

  static std::vector<std::string> tokens(const VocabularyPlan& plan) {
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < plan.tokenizer->size(); ++i) {
      texts.push_back(plan.tokenizer->token(i).value_or("-"));
    }
    return texts;
  }

  const TemporaryFolder folder_;
};

TEST_F(VocabularyTest, UnionAppendsUnseenTokensAndFillsMissingRowsFromTheirOwners) {
  const auto plan = plan_vocabulary(
      recipe("tokenizer_source: union\n"),
      {model("a", {"x", "y"}), model("b", {"z", "x", "w"}), model("c", {"w", "y", "z", "q"})});
  EXPECT_THAT(tokens(plan), ElementsAre("x", "y", "z", "w", "q"));
  EXPECT_EQ(plan.rows, 5);
  // z and w have two owners, q one.
  EXPECT_THAT(rows(plan, "a"), ElementsAre("0:0", "0:1", "1:0+2:2", "1:2+2:0", "2:3"));
  EXPECT_THAT(rows(plan, "b"), ElementsAre("1:1", "0:1+2:1", "1:0", "1:2", "2:3"));
  EXPECT_THAT(rows(plan, "c"), ElementsAre("0:0+1:1", "2:1", "2:2", "2:0", "2:3"));
}

TEST_F(VocabularyTest, RowsOfTheBaseComeBeforeTheMean) {
  const auto plan =
      plan_vocabulary(recipe("base_model: a\ntokenizer_source: base\n"),
                      {model("a", {"x", "y"}), model("b", {"y"}), model("c", {"y", "x", "z"})});
  EXPECT_THAT(tokens(plan), ElementsAre("x", "y"));
  EXPECT_THAT(rows(plan, "b"), ElementsAre("0:0", "1:0"));
  EXPECT_THAT(rows(plan, "c"), ElementsAre("2:1", "2:0"));
}

TEST_F(VocabularyTest, ANamedModelGivesItsTokens) {
  const auto plan =
      plan_vocabulary(recipe("tokenizer_source: b\n"),
                      {model("a", {"x", "y"}), model("b", {"y", "z"}), model("c", {"y", "z"})});
  EXPECT_THAT(tokens(plan), ElementsAre("y", "z"));
  EXPECT_THAT(rows(plan, "a"), ElementsAre("0:1", "1:1+2:1"));
}

TEST_F(VocabularyTest, EqualVocabulariesLeaveTheModelsAlone) {
  const std::vector<std::string> same = {"x", "y"};
  const auto plan =
      plan_vocabulary(recipe("tokenizer_source: union\n"),
                      {model("a", same, 8), model("b", same, 8), model("c", same, 8)});
  EXPECT_FALSE(plan.rewrites());
  EXPECT_EQ(plan.rows, 8);
  EXPECT_FALSE(plan.tokenizer->changed());
}

TEST_F(VocabularyTest, NamedTokensGetTheRowsTheyAreToHave) {
  const auto plan =
      plan_vocabulary(recipe("tokenizer:\n  source: base\n  pad_to_multiple_of: 4\n  tokens:\n"
                             "    x: {source: b, force: true}\n"
                             "    y: {source: {kind: model_token, model: c, token: w}}\n"
                             "    new: {source: {kind: model_token, model: b, token_id: 1}}\n"
                             "    none: {source: {kind: zero}}\n"),
                      {model("a", {"x", "y"}), model("b", {"z", "x"}), model("c", {"w"})});
  EXPECT_THAT(tokens(plan), ElementsAre("x", "y", "new", "none"));
  EXPECT_THAT(rows(plan, "a"), ElementsAre("1:1", "0:1", "1:1", ""));
  EXPECT_THAT(rows(plan, "c"), ElementsAre("1:1", "2:0", "1:1", ""));
  EXPECT_EQ(plan.rows, 4);
  ASSERT_NE(plan.tokenizer->added(2), nullptr);
  EXPECT_EQ((*plan.tokenizer->added(2))["content"], "new");
}

TEST_F(VocabularyTest, PaddingRoundsTheRowsUp) {
  const std::vector<std::string> same = {"x", "y", "z"};
  const auto plan = plan_vocabulary(recipe("tokenizer: {source: base, pad_to_multiple_of: 8}\n"),
                                    {model("a", same), model("b", same), model("c", same)});
  EXPECT_EQ(plan.rows, 8);
  EXPECT_EQ(plan.maps.at({"a", {}})->rows(), 3);
}

TEST_F(VocabularyTest, ATokenWithoutAnyRowIsAnError) {
  const auto plan = [&] {
    plan_vocabulary(recipe("tokenizer_source: union\n"),
                    {model("a", {"x", "late"}, 1), model("b", {"x"}), model("c", {"x"})});
  };
  EXPECT_THAT(error_of(plan), HasSubstr("no model has a row for the token 'late'"));
  const auto named = [&] {
    plan_vocabulary(recipe("tokenizer: {source: base, tokens: {x: {source: b}}}\n"),
                    {model("a", {"x"}), model("b", {"y"}), model("c", {"x"})});
  };
  EXPECT_THAT(error_of(named), HasSubstr("the row of 'x' in 'b', which has no such token"));
}

}  // namespace
}  // namespace amalgam
