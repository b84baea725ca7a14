// What the recipe dialect means, and that everything else is refused with its place and a remedy.
#include "amalgam/weights/recipe.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "amalgam/core/error.hpp"
#include "amalgam/weights/yaml.hpp"

namespace amalgam {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Recipe parse_one(std::string_view yaml) {
  std::vector<Recipe> documents = parse_recipe(yaml, "r.yml");
  EXPECT_EQ(documents.size(), 1U);
  return std::move(documents.front());
}

std::string error_of(std::string_view yaml) {
  try {
    parse_recipe(yaml, "r.yml");
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Recipe, ReadsWholeModelsWithParameters) {
  const Recipe recipe = parse_one(R"(
merge_method: ties
base_model: base
models:
  - model: a
    parameters:
      density: 0.5
      weight: [0, 0.5, 1]
  - model: b
    parameters:
      weight:
        - filter: mlp
          value: 0.75
        - value: 0.25
parameters:
  normalize: true
  rescale: inverse_density
dtype: bfloat16
)");
  EXPECT_EQ(recipe.label, "r.yml");
  EXPECT_EQ(recipe.merge_method, "ties");
  EXPECT_EQ(recipe.base_model->path, "base");
  ASSERT_EQ(recipe.models.size(), 2U);
  const auto& a = recipe.models[0].parameters;
  EXPECT_EQ(a.at("density").evaluate("x", 0), ParameterValue(0.5));
  EXPECT_EQ(a.at("density").line.number, 7);
  EXPECT_EQ(a.at("weight").evaluate("x", 0.25), ParameterValue(0.25));
  const auto& b = recipe.models[1].parameters.at("weight");
  EXPECT_EQ(b.evaluate("layers.0.mlp.up", 0), ParameterValue(0.75));
  EXPECT_EQ(b.evaluate("layers.0.attn", 0), ParameterValue(0.25));
  EXPECT_EQ(recipe.parameters.at("normalize").evaluate("x", 0), ParameterValue(true));
  EXPECT_EQ(recipe.parameters.at("rescale").evaluate("x", 0),
            ParameterValue(std::string("inverse_density")));
  EXPECT_EQ(recipe.dtype, "bfloat16");
  EXPECT_EQ(recipe.reference().path, "base");
}

TEST(Recipe, ReadsSlicesAndModules) {
  const Recipe sliced = parse_one(R"(
merge_method: passthrough
slices:
  - sources:
      - {model: a, layer_range: [0, 24]}
  - sources:
      - model: b
        layer_range: [8, 32]
        parameters: {scale: 0.5}
    base_model: a
    parameters: {scale: 2}
)");
  ASSERT_EQ(sliced.slices.size(), 2U);
  EXPECT_EQ(sliced.slices[1].sources[0].layers, (RecipeSource::Layers{8, 32}));
  EXPECT_EQ(sliced.slices[1].base_model->path, "a");
  EXPECT_EQ(sliced.reference().path, "a");

  const Recipe modular = parse_one(R"(
merge_method: linear
parameters: {weight: 1}
modules:
  text:
    slices: [{sources: [{model: a, layer_range: [0, 2]}]}]
  vision:
    models: [{model: a}, {model: b}]
    parameters: {weight: 2}
)");
  ASSERT_EQ(modular.modules.size(), 2U);
  EXPECT_EQ(modular.modules[0].name, "text");
  EXPECT_EQ(modular.modules[1].models.size(), 2U);
  EXPECT_EQ(modular.all_models().size(), 2U);
}

// Section 2 of the dialect: value [0, 0.5, 1] over 5 layers gives 0, .25, .5, .75, 1.
TEST(ParameterSetting, GradientOverFiveLayersIsLinear) {
  const auto setting = ParameterSetting::gradient({0.0, 0.5, 1.0});
  std::vector<double> values;
  for (int k = 0; k < 5; ++k) values.push_back(std::get<double>(*setting.evaluate("x", k / 4.0)));
  EXPECT_THAT(values, ElementsAre(0, 0.25, 0.5, 0.75, 1));
}

TEST(ParameterSetting, GradientIsPiecewiseLinearBetweenUnevenValues) {
  // s = t * 2: t = 0.25 -> between 0 and 1 at 0.5; t = 0.75 -> between 1 and 0.2 at 0.5.
  const auto setting = ParameterSetting::gradient({0.0, 1.0, 0.2});
  EXPECT_DOUBLE_EQ(std::get<double>(*setting.evaluate("x", 0.25)), 0.5);
  EXPECT_DOUBLE_EQ(std::get<double>(*setting.evaluate("x", 0.75)), 0.6);
  EXPECT_DOUBLE_EQ(std::get<double>(*setting.evaluate("x", 1)), 0.2);
}

TEST(ParameterSetting, GradientOfFlagsTakesTheLowerNeighbour) {
  const auto setting = ParameterSetting::gradient({true, false, true});
  EXPECT_EQ(setting.evaluate("x", 0.49), ParameterValue(true));   // floor(0.98) = 0
  EXPECT_EQ(setting.evaluate("x", 0.5), ParameterValue(false));   // floor(1) = 1
  EXPECT_EQ(setting.evaluate("x", 0.99), ParameterValue(false));  // floor(1.98) = 1
  EXPECT_EQ(setting.evaluate("x", 1), ParameterValue(true));
}

TEST(ParameterSetting, FirstMatchingFilterWinsAndNoneGivesNothing) {
  const ParameterSetting setting{{{"attn", {0.1}}, {"q_proj", {0.2}}}, {}};
  EXPECT_EQ(setting.evaluate("attn.q_proj", 0), ParameterValue(0.1));
  EXPECT_EQ(setting.evaluate("q_proj", 0), ParameterValue(0.2));
  EXPECT_FALSE(setting.evaluate("mlp", 0).has_value());
  const ParameterSetting star{{{"attn", {0.1}}, {"*", {0.3}}}, {}};
  EXPECT_EQ(star.evaluate("mlp", 0), ParameterValue(0.3));
}

TEST(Recipe, ReadsYamlAsItsUsersWriteIt) {
  const Recipe recipe = parse_one(R"(
# anchors, aliases and merge keys
merge_method: linear
models:
  - model: a
    parameters: &shared
      weight: 1e-1
      normalize: on
  - model: b
    parameters:
      <<: *shared
      weight: .5
  - {model: "0.5", parameters: {weight: "0.5"}}
)");
  EXPECT_EQ(recipe.models[0].parameters.at("weight").evaluate("x", 0), ParameterValue(0.1));
  EXPECT_EQ(recipe.models[1].parameters.at("weight").evaluate("x", 0), ParameterValue(0.5));
  EXPECT_EQ(recipe.models[1].parameters.at("normalize").evaluate("x", 0), ParameterValue(true));
  EXPECT_EQ(recipe.models[2].model.path, "0.5");
  EXPECT_EQ(recipe.models[2].parameters.at("weight").evaluate("x", 0),
            ParameterValue(std::string("0.5")));
}

TEST(Recipe, SeveralDocumentsAreStages) {
  const auto documents = parse_recipe(R"(
name: first
merge_method: linear
models: [{model: a}, {model: b}]
---
name: second
merge_method: slerp
base_model: c
models: [{model: first}]
)",
                                      "r.yml");
  ASSERT_EQ(documents.size(), 2U);
  EXPECT_EQ(documents[1].models[0].model.path, "first");
  EXPECT_EQ(parse_recipe(format_recipes(documents), "x"), documents);
}

TEST(Recipe, TheLastDocumentNeedsNoName) {
  const auto documents = parse_recipe(
      "name: first\nmerge_method: linear\nmodels: [{model: a}]\n---\nmerge_method: linear\n"
      "models: [{model: first}]\n",
      "r.yml");
  ASSERT_EQ(documents.size(), 2U);
  EXPECT_EQ(documents[1].name, "");
  EXPECT_EQ(parse_recipe(format_recipes(documents), "x"), documents);
}

TEST(Recipe, RefusesStagesThatDoNotFollowEachOther) {
  const auto stages = [](std::string_view first, std::string_view second) {
    return error_of(fmt::format(
        "name: one\nmerge_method: linear\nmodels: [{{model: {}}}]\n---\nname: {}\nmerge_method: "
        "linear\nmodels: [{{model: a}}, {{model: {}}}]\n",
        first, second.substr(0, second.find(' ')), second.substr(second.find(' ') + 1)));
  };
  EXPECT_THAT(stages("a", "one b"), HasSubstr("r.yml:5: the name 'one' is that of document 1"));
  EXPECT_THAT(stages("two", "two b"), HasSubstr("r.yml:3: 'two' is the name of a later document"));
  EXPECT_THAT(stages("two", "two one"), HasSubstr("r.yml:3: a cycle: 'one' is merged from 'two'"));
  EXPECT_THAT(stages("one", "two b"), HasSubstr("r.yml:3: a cycle: 'one' is merged from itself"));
  EXPECT_THAT(error_of("merge_method: linear\nmodels: [{model: a}]\n---\nname: b\nmerge_method: "
                       "linear\nmodels: [{model: a}]\n"),
              HasSubstr("document 1 has no 'name'"));
}

TEST(Recipe, NamesThePlaceOfWhatItDoesNotUnderstand) {
  const std::string head = "merge_method: linear\n";
  const std::string models = "models: [{model: a}]\n";
  EXPECT_THAT(error_of(""), HasSubstr("r.yml: the recipe is empty"));
  EXPECT_THAT(error_of("merge_method: [x\n"), HasSubstr("not valid YAML"));
  EXPECT_THAT(error_of("- a\n"), HasSubstr("r.yml:1: a recipe is a list; expected a map"));
  EXPECT_THAT(error_of(models), HasSubstr("no 'merge_method'"));
  EXPECT_THAT(error_of(head + "slicez: []\n"),
              AllOf(HasSubstr("r.yml:2: a recipe has no key 'slicez'"),
                    HasSubstr("did you mean 'slices'?")));
  EXPECT_THAT(error_of(head),
              HasSubstr("exactly one of 'models', 'slices', 'modules', found none"));
  EXPECT_THAT(error_of(head + models + "slices: [{sources: [{model: a, layer_range: [0, 1]}]}]\n"),
              HasSubstr("found 'models' and 'slices'"));
  EXPECT_THAT(error_of(head + "models: []\n"), HasSubstr("r.yml:2: 'models' is empty"));
  EXPECT_THAT(error_of(head + "models: a\n"),
              HasSubstr("r.yml:2: 'models' is a single value; expected a list"));
  EXPECT_THAT(error_of(head + "models: [{parameters: {}}]\n"), HasSubstr("has no 'model'"));
  EXPECT_THAT(error_of(head + "models: [{model: a, wieght: 1}]\n"), HasSubstr("no key 'wieght'"));
  EXPECT_THAT(error_of(head + "models: [{model: a, layer_range: [0, 1]}]\n"),
              HasSubstr("'layer_range' belongs to the sources of 'slices'"));
  EXPECT_THAT(error_of(head + models + head), HasSubstr("r.yml:3: the key 'merge_method' appears "
                                                        "twice"));
  EXPECT_THAT(error_of(head + models + "dtype: int8\n"), HasSubstr("r.yml:3: 'dtype' is 'int8'"));
  EXPECT_THAT(error_of(head + models + "dtype: q8_k\n"), HasSubstr("expected a floating-point"));
  EXPECT_THAT(error_of(head + "modules: {text: {}}\n"),
              HasSubstr("exactly one of 'models', 'slices', found none"));
  EXPECT_THAT(error_of(head + models + "parameters: {weight: [{value: 1}, 2]}\n"),
              HasSubstr("an entry of 'weight' is a single value; expected a map"));
  EXPECT_THAT(error_of(head + models + "parameters: {weight: [{filter: a}]}\n"),
              HasSubstr("has no 'value'"));
  EXPECT_THAT(error_of(head + models + "parameters: {weight: []}\n"),
              HasSubstr("'weight' is empty"));
}

TEST(Recipe, RefusesLayerRangesThatMakeNoSense) {
  const auto with = [](std::string_view range) {
    return error_of(
        fmt::format("merge_method: linear\nslices:\n- sources:\n  - model: a\n    {}\n", range));
  };
  EXPECT_THAT(with("parameters: {}"), HasSubstr("has no 'layer_range'"));
  EXPECT_THAT(with("layer_range: [0]"), HasSubstr("r.yml:5: 'layer_range' has not two numbers"));
  EXPECT_THAT(with("layer_range: [0, 1.5]"), HasSubstr("'1.5' is not a layer number"));
  EXPECT_THAT(with("layer_range: [-1, 2]"), HasSubstr("'-1' is not a layer number"));
  EXPECT_THAT(with("layer_range: [4, 4]"), HasSubstr("[4, 4] is empty"));
  EXPECT_THAT(error_of("merge_method: linear\nslices: [{sources: [{model: a, layer_range: [0, 4]}, "
                       "{model: b, layer_range: [0, 3]}]}]\n"),
              HasSubstr("'b' gives 3 layers to a slice, but 'a' gives 4"));
}

TEST(Recipe, SaysWhyHubNamesAndFutureKeysAreRefused) {
  const std::string head = "merge_method: linear\nbase_model: a\nmodels: [{model: a}]\n";
  EXPECT_THAT(error_of("merge_method: linear\nmodels: [{model: org/m@main}]\n"),
              AllOf(HasSubstr("r.yml:2: 'org/m@main' asks for a revision"), HasSubstr("download")));
  EXPECT_EQ(parse_one("merge_method: linear\nmodels: [{model: ./m@v2}]\n").models[0].model.path,
            "./m@v2");
  EXPECT_THAT(error_of(head + "tokenizer_source: other\n"),
              HasSubstr("r.yml:4: 'other' is none of the recipe's models"));
  EXPECT_THAT(error_of(head + "tokenizer_source: base\ntokenizer: {source: base}\n"),
              HasSubstr("exclude each other"));
  EXPECT_THAT(error_of(head + "chat_template: chatm\n"),
              AllOf(HasSubstr("chat template 'chatm' is not known"), HasSubstr("chatml")));
  EXPECT_EQ(parse_one(head + "tokenizer_source: base\n").tokenizer_source, "base");
  EXPECT_EQ(parse_one(head + "tokenizer_source: a\n").tokenizer_source, "base");
  EXPECT_EQ(parse_one(head + "tokenizer: {source: base}\n").tokenizer_source, "base");
  EXPECT_EQ(parse_one(head + "chat_template: auto\n").chat_template, "auto");
  EXPECT_EQ(parse_one(head + "chat_template: llama3\n").chat_template, "llama3");
}

TEST(Recipe, ReadsAndWritesWhatItSaysOfTokens) {
  const std::string head = "merge_method: linear\nmodels: [{model: a}, {model: b+c}]\n";
  const Recipe recipe = parse_one(head +
                                  "tokenizer:\n  source: union\n  pad_to_multiple_of: 64\n"
                                  "  tokens:\n"
                                  "    <|x|>: {source: b+c, force: true}\n"
                                  "    'y z':\n"
                                  "    z: {source: {kind: zero}}\n"
                                  "    u: {source: {kind: model_token, model: a, token: \"'\"}}\n"
                                  "    v: {source: {kind: model_token, model: a, token_id: 7}}\n");
  EXPECT_EQ(recipe.tokenizer_source, "union");
  EXPECT_EQ(recipe.pad_vocabulary, 64);
  ASSERT_EQ(recipe.tokens.size(), 5);
  EXPECT_EQ(recipe.tokens[0].model.adapter, "c");
  EXPECT_TRUE(recipe.tokens[0].force);
  EXPECT_EQ(recipe.tokens[1].source, RecipeToken::Source::unsaid);
  EXPECT_EQ(recipe.tokens[3].model_token, "'");
  EXPECT_EQ(recipe.tokens[4].row, 7);
  EXPECT_EQ(parse_one(format_recipe(recipe)), recipe);

  const auto token = [&](const std::string& text) {
    return error_of(head + "tokenizer: {tokens: {t: " + text + "}}\n");
  };
  EXPECT_THAT(token("{force: true}"), HasSubstr("'force' without a 'source'"));
  EXPECT_THAT(token("{source: d}"), HasSubstr("'d' is none of the recipe's models"));
  EXPECT_THAT(token("{source: {kind: nought}}"), HasSubstr("kind 'nought' is not known"));
  EXPECT_THAT(token("{source: {kind: model_token, model: a}}"), HasSubstr("exactly one of"));
  EXPECT_THAT(error_of(head + "tokenizer: {pad_to_multiple_of: 0}\n"), HasSubstr("at least 1"));
}

TEST(Recipe, KeepsTheAdapterOfAModelApart) {
  const ModelReference reference = parse_model_reference("dir/m+lora", "here");
  EXPECT_EQ(reference.path, "dir/m");
  EXPECT_EQ(reference.adapter, "lora");
  EXPECT_EQ(reference.text(), "dir/m+lora");
  EXPECT_THROW(parse_model_reference("m+", "here"), InputError);
  EXPECT_THROW(parse_model_reference("+lora", "here"), InputError);
}

TEST(Yaml, BoundsWhatHostileTextCanCost) {
  EXPECT_THAT(error_of(std::string(2'000'000, '#')), HasSubstr("too long"));
  EXPECT_THAT(error_of(std::string(200, '[')), HasSubstr("nested deeper than 24 levels"));
  // Each level doubles: 2^40 values if it were expanded.
  std::string bomb = "a0: &a0 [x, x]\n";
  for (int i = 1; i < 22; ++i) {
    bomb += fmt::format("a{0}: &a{0} [*a{1}, *a{1}]\n", i, i - 1);
  }
  EXPECT_THAT(error_of(bomb), HasSubstr("aliases count as often as they are used"));
  std::string deep = "a0: &a0 [x]\n";
  for (int i = 1; i < 40; ++i) deep += fmt::format("a{0}: &a{0} [*a{1}]\n", i, i - 1);
  EXPECT_THAT(error_of(deep), HasSubstr("nested deeper"));
  EXPECT_THAT(error_of("a: &x [*x]\n"), HasSubstr("inside the value it stands for"));
  EXPECT_THAT(error_of("merge_method: !!python/object:os.system x\n"),
              HasSubstr("r.yml:1: not a recipe: a YAML tag"));
  EXPECT_THAT(error_of("merge_method: \"\\e[31mred\"\n"), HasSubstr("control character"));
  EXPECT_THAT(error_of("? [a]\n: b\n"), HasSubstr("a key that is not a word"));
}

TEST(Recipe, CanonicalFormIsReadable) {
  const std::string canonical = R"(merge_method: ties
base_model: /models/base
models:
  - model: /models/a
    parameters:
      density:
        - filter: mlp
          value: [0, 0.5, 1]
        - value: 0.25
      weight: 1
parameters:
  normalize: true
dtype: bfloat16
)";
  EXPECT_EQ(format_recipe(parse_one(canonical)), canonical);
}

// Short, so that a recipe of many texts stays small.
std::string any_text() {
  const auto character =
      rc::gen::oneOf(rc::gen::inRange<char>(0x20, 0x7F),
                     rc::gen::element('\n', ':', '#', '-', '"', '\\', '\'', '{', '0', 't'));
  return *rc::gen::scale(0.2, rc::gen::container<std::string>(character));
}

RC_GTEST_PROP(Recipe, FormattedTextReadsBackAsTheSameRecipe, ()) {
  Recipe recipe;
  recipe.merge_method = "m" + any_text();
  recipe.chat_template = "{{" + any_text();
  const auto value = [] {
    switch (*rc::gen::inRange(0, 3)) {
      case 0:
        return ParameterValue(*rc::gen::arbitrary<bool>());
      case 1:
        return ParameterValue(static_cast<double>(*rc::gen::arbitrary<std::int64_t>()) / 1024);
      default:
        return ParameterValue(any_text());
    }
  };
  ParameterSettings settings;
  const auto names = *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 9));
  for (const int name : names) {
    ParameterSetting setting;
    const int entries = *rc::gen::inRange(1, 3);
    for (int e = 0; e < entries; ++e) {
      ParameterSetting::Entry entry;
      if (*rc::gen::arbitrary<bool>()) entry.filter = "f" + any_text();
      const int count = *rc::gen::inRange(1, 4);
      for (int i = 0; i < count; ++i) entry.values.push_back(value());
      setting.entries.push_back(std::move(entry));
    }
    settings.emplace("p" + std::to_string(name) + any_text().substr(0, 4), std::move(setting));
  }
  std::erase_if(settings, [](const auto& s) { return s.first.find('\n') != std::string::npos; });
  recipe.parameters = settings;
  RecipeSource source;
  source.model.path = "/" + any_text();
  std::replace(source.model.path.begin(), source.model.path.end(), '+', '_');
  source.parameters = settings;
  if (*rc::gen::arbitrary<bool>()) {
    recipe.models = {source, source};
  } else {
    source.layers = RecipeSource::Layers{1, 3};
    recipe.slices = {{.sources = {source}, .base_model = {}, .parameters = settings, .line = {}}};
  }
  const std::string text = format_recipe(recipe);
  const auto again = parse_recipe(text, "again");
  RC_ASSERT(again.size() == 1U);
  RC_ASSERT(again.front() == recipe);
  RC_ASSERT(format_recipe(again.front()) == text);
}

}  // namespace
}  // namespace amalgam
