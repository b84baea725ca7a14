// What recipes and command lines say of data.
#include "amalgam/weights/recipe_data.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "amalgam/core/error.hpp"
#include "amalgam/weights/data_methods.hpp"

namespace amalgam {
namespace {

using ::testing::HasSubstr;

constexpr const char* kStart = "merge_method: adamerging\nbase_model: b\nmodels: [{model: a}]\n";

Recipe parse_one(const std::string& more) { return parse_recipe(kStart + more, "r.yml").front(); }

template <class Call>
std::string error_of(const Call& call) {
  try {
    call();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

std::string recipe_error(const std::string& more) {
  return error_of([&] { parse_one(more); });
}

TEST(RecipeData, ReadsDataWithTasksSearchAndEvaluation) {
  const Recipe recipe = parse_one(R"(data:
  set: digits
  split: train
  first: 10
  examples: 100
  corrupt: pool=2
  tasks:
    - {name: left, corrupt: keep=left, head: l}
    - {set: other, examples: 5}
search:
  parameters: {initial: [0.1, 0.3], steps: "10:30:10"}
  by: nll
evaluate: {split: test}
)");
  ASSERT_TRUE(recipe.data.has_value());
  EXPECT_EQ(recipe.data->keys.at("set"), "digits");
  EXPECT_EQ(recipe.data->keys.at("first"), 10U);
  EXPECT_EQ(recipe.data->split, "train");
  EXPECT_EQ(recipe.data->line.number, 5);
  ASSERT_EQ(recipe.tasks.size(), 2U);
  EXPECT_EQ(recipe.tasks[0].name, "left");
  EXPECT_EQ(recipe.tasks[0].keys.at("head"), "l");
  ASSERT_EQ(recipe.search.size(), 2U);
  EXPECT_EQ(recipe.search[0].values, "0.1,0.3");
  EXPECT_EQ(recipe.search_by, "nll");
  ASSERT_EQ(recipe.evaluate.size(), 1U);
  EXPECT_TRUE(recipe.looks_at_data());
  EXPECT_FALSE(parse_one("").looks_at_data());
}

TEST(RecipeData, IsWrittenAndReadBackTheSame) {
  for (const char* more :
       {"data: {}\n", "data: {set: 'a: b', split: test, first: 0}\n",
        "data: {tasks: [{}, {name: x, corrupt: 'keep=left,rotate=90'}]}\n",
        "data: {examples: 7, tasks: [{head: h}]}\nevaluate: [{}, {split: train, examples: 3}]\n",
        "search: {parameters: {weight: shares, density: '0.1,0.2'}, by: accuracy}\ndata: {}\n"}) {
    const Recipe recipe = parse_one(more);
    const std::string text = format_recipe(recipe);
    Recipe again;
    EXPECT_EQ(error_of([&] { again = parse_recipe(text, "again").front(); }), "no error") << text;
    EXPECT_EQ(again, recipe) << text;
  }
}

TEST(RecipeData, SaysWhereAndWhatIsWrong) {
  EXPECT_THAT(recipe_error("data: fashion-mnist\n"),
              HasSubstr("r.yml:4: 'data' is a single value; expected a map"));
  EXPECT_THAT(recipe_error("data: {sett: x}\n"),
              HasSubstr("r.yml:4: 'data' has no key 'sett'; did you mean 'set'?"));
  EXPECT_THAT(recipe_error("data: {split: valid}\n"),
              HasSubstr("'split' is 'valid'; expected train, validation or test"));
  EXPECT_THAT(recipe_error("data: {tasks: []}\n"), HasSubstr("'tasks' is empty"));
  EXPECT_THAT(recipe_error("data: {tasks: [{tasks: [{}]}]}\n"), HasSubstr("no key 'tasks'"));
  EXPECT_THAT(recipe_error("evaluate: yes\n"),
              HasSubstr("'evaluate' is a single value; expected a list"));
  EXPECT_THAT(recipe_error("search: {by: nll}\n"), HasSubstr("'search' has no 'parameters'"));
  EXPECT_THAT(recipe_error("search: {parameters: {weight: 1}, by: f1}\n"),
              HasSubstr("expected accuracy or nll"));
  EXPECT_THAT(recipe_error("search: {parameters: {}}\n"), HasSubstr("is empty"));
}

TEST(RecipeData, BelongsToTheLastDocument) {
  EXPECT_THAT(error_of([] {
                parse_recipe(
                    "name: one\nmerge_method: linear\nmodels: [{model: a}]\nevaluate: {}\n"
                    "---\nmerge_method: linear\nmodels: [{model: one}]\n",
                    "r.yml");
              }),
              HasSubstr("r.yml:1: document 1 has 'data', 'search' or 'evaluate'"));
}

TEST(RecipeData, WordsOfTheCommandLineMeanTheSameAsKeys) {
  const RecipeData data =
      parse_data_words("name=x,split=test,keep=left,head=h,first=0,examples=9,rotate=90", "--task");
  EXPECT_EQ(data.name, "x");
  EXPECT_EQ(data.split, "test");
  EXPECT_EQ(data.keys.at("corrupt"), "keep=left,rotate=90");
  EXPECT_EQ(data.keys.at("head"), "h");
  EXPECT_EQ(data.keys.at("first"), 0U);
  EXPECT_EQ(data.keys.at("examples"), 9U);
  EXPECT_EQ(parse_data_words(data_words(data), "again"), data);
  const auto refused = [](const char* text) {
    return error_of([&] { parse_data_words(text, "--task"); });
  };
  EXPECT_THAT(refused("keep=left,,invert"),
              HasSubstr("--task 'keep=left,,invert': a word between commas is empty"));
  EXPECT_THAT(refused("set=a,set=b"), HasSubstr("'set' comes twice"));
  EXPECT_THAT(refused("head="), HasSubstr("'head' has no value"));
  EXPECT_THAT(refused("split=half"), HasSubstr("expected train, validation or test"));
}

TEST(RecipeData, TasksTakeWhatTheyLeaveOutFromTheirData) {
  const RecipeData data = parse_data_words("set=s,split=train,first=3,pool=2", "");
  const RecipeData task = task_of(data, parse_data_words("split=test,invert", ""));
  EXPECT_EQ(task.split, "test");
  EXPECT_EQ(task.keys,
            (nlohmann::ordered_json{{"corrupt", "pool=2,invert"}, {"set", "s"}, {"first", 3}}));
}

TEST(DataMethods, MergeWholeModelsByPlainValues) {
  const auto refused = [](const std::string& yaml) {
    return error_of([&] {
      const Recipe recipe = parse_recipe(yaml, "r.yml").front();
      data_method_parameters(*find_data_method(recipe.merge_method), recipe);
    });
  };
  EXPECT_THAT(
      refused(
          "merge_method: learned_soup\nslices:\n  - sources: [{model: a, layer_range: [0, 1]}]\n"),
      HasSubstr("r.yml:1: method 'learned_soup' merges whole models; expected 'models'"));
  EXPECT_THAT(refused("merge_method: learned_soup\nmodels: [{model: a}]\ndtype: float16\n"),
              HasSubstr("without 'dtype'"));
  EXPECT_THAT(
      refused(
          "merge_method: regmean\nmodels:\n  - model: a\n    parameters:\n      weight: [0, 1]\n"),
      HasSubstr("r.yml:5: parameter 'weight' of method 'regmean' takes one value, no list"));
  EXPECT_THAT(refused("merge_method: learned_soup\nmodels: [{model: a}]\nparameters:\n  epochs: "
                      "{filter: x, value: 2}\n"),
              HasSubstr("takes one value, no filter"));
  EXPECT_THAT(refused("merge_method: adamerging\nmodels: [{model: a}]\n"),
              HasSubstr("needs a base"));
  EXPECT_THAT(refused("merge_method: greedy_soup\nbase_model: a\nmodels: [{model: a}]\n"),
              HasSubstr("has no use for a base"));
  EXPECT_THAT(refused("merge_method: pleas\nmodels: [{model: a}]\n"),
              HasSubstr("at least 2 models; found 1"));
  // The base among the models is no member.
  const Recipe recipe =
      parse_recipe("merge_method: frank_wolfe\nbase_model: b\nmodels: [{model: b}, {model: a}]\n",
                   "r.yml")
          .front();
  EXPECT_EQ(data_method_members(find_method("frank_wolfe"), recipe), (std::vector<std::size_t>{1}));
}

TEST(DataMethods, ParametersOfGroupsTakeFilters) {
  const Recipe recipe =
      parse_recipe(
          "merge_method: pleas\nmodels: [{model: a}, {model: b}]\nparameters:\n  ratio:\n"
          "    - {filter: layers.0, value: 0.5}\n    - value: 0.25\n",
          "r.yml")
          .front();
  const RuleInfo& pleas = find_method("pleas");
  EXPECT_EQ(data_method_parameters(pleas, recipe, "layers.0").number("ratio"), 0.5);
  EXPECT_EQ(data_method_parameters(pleas, recipe, "layers.1").number("ratio"), 0.25);
}

TEST(DataMethods, AnUnknownMethodGetsTheNearestOfBothKinds) {
  EXPECT_THAT(error_of([] { find_method("adamergin"); }), HasSubstr("did you mean 'adamerging'?"));
  EXPECT_THAT(error_of([] { find_method("tie"); }), HasSubstr("did you mean 'ties'?"));
}

}  // namespace
}  // namespace amalgam
