// The command line's form of a recipe.
#include "amalgam/weights/recipe_arguments.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class VectorsRule final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "vectors",
        .summary = "a fake",
        .source = "none",
        .base = BaseUse::required,
        .parameters = {{.name = "weight", .doc = "", .per_member = true},
                       {.name = "fisher",
                        .kind = ParameterInfo::Kind::path,
                        .doc = "",
                        .optional = true,
                        .per_member = true},
                       {.name = "lambda", .doc = "", .default_value = 1.0}}};
    return kInfo;
  }
  Scope scope(const Parameters&) const override { return Scope::element; }
  std::vector<std::string> passes(const Parameters&) const override { return {}; }
  std::unique_ptr<UnitMerge> begin(const MergeUnit&) const override { return nullptr; }
};

Recipe recipe(std::vector<std::string> members, std::vector<std::string> parameters,
              std::string base = "base") {
  return recipe_from_arguments(VectorsRule().info(),
                               {std::move(base), std::move(members), std::move(parameters)});
}

std::string error(std::vector<std::string> members, std::vector<std::string> parameters) {
  try {
    recipe(std::move(members), std::move(parameters));
  } catch (const InputError& thrown) {
    return thrown.what();
  }
  return "no error";
}

double number(const ParameterSettings& settings, const char* name, const char* tensor = "x",
              double t = 0) {
  return std::get<double>(settings.at(name).evaluate(tensor, t).value());
}

TEST(RecipeArguments, MeanTheSameAsTheRecipe) {
  const Recipe made = recipe({"a", "b"}, {"weight=0.6,0.4", "lambda=0.9"});
  const auto written = parse_recipe(R"(
merge_method: vectors
base_model: base
models:
  - {model: a, parameters: {weight: 0.6}}
  - {model: b, parameters: {weight: 0.4}}
parameters: {lambda: 0.9}
)",
                                    "r.yml");
  EXPECT_EQ(made, written.front());
}

TEST(RecipeArguments, ListsCountMembersWithoutTheBase) {
  const Recipe made = recipe({"a", "base", "b"}, {"weight=1,2"});
  EXPECT_EQ(number(made.models[0].parameters, "weight"), 1);
  EXPECT_TRUE(made.models[1].parameters.empty());
  EXPECT_EQ(number(made.models[2].parameters, "weight"), 2);
  EXPECT_THAT(error({"a", "base", "b"}, {"weight=1,2,3"}),
              HasSubstr("-p weight=1,2,3: 3 values for 2 models (the base is not counted)"));
  EXPECT_THAT(error({"a"}, {"weight=1,2"}), HasSubstr("2 values for 1 model "));
}

TEST(RecipeArguments, BracketsAreGradients) {
  EXPECT_EQ(number(recipe({"a"}, {"weight=[0,0.5,1]"}).parameters, "weight", "x", 0.25), 0.25);
  const Recipe each = recipe({"a", "b"}, {"weight=[0, 1],[1,0]"});
  EXPECT_EQ(number(each.models[0].parameters, "weight", "x", 0.25), 0.25);
  EXPECT_EQ(number(each.models[1].parameters, "weight", "x", 0.25), 0.75);
}

TEST(RecipeArguments, FiltersComeBeforeWhatHoldsForTheRest) {
  const Recipe made = recipe({"a"}, {"weight=1", "weight:mlp=2", "weight:attn=[3,4]"});
  EXPECT_EQ(number(made.parameters, "weight", "norm"), 1);
  EXPECT_EQ(number(made.parameters, "weight", "mlp.up"), 2);
  EXPECT_EQ(number(made.parameters, "weight", "attn.q", 0.5), 3.5);
  const Recipe each = recipe({"a", "b"}, {"weight:mlp=1,2", "weight=5"});
  EXPECT_EQ(number(each.models[1].parameters, "weight", "mlp"), 2);
  EXPECT_FALSE(each.models[1].parameters.at("weight").evaluate("norm", 0).has_value());
  EXPECT_EQ(number(each.parameters, "weight", "norm"), 5);
}

TEST(RecipeArguments, PathsStayText) {
  const Recipe made = recipe({"a", "b"}, {"fisher=/f/a.safetensors,/f/b=1.safetensors"});
  EXPECT_EQ(made.models[1].parameters.at("fisher").evaluate("x", 0),
            ParameterValue(std::string("/f/b=1.safetensors")));
}

TEST(RecipeArguments, SayWhatIsWrongWithThem) {
  EXPECT_THAT(error({}, {}), HasSubstr("no models given"));
  EXPECT_THAT(error({"a"}, {"weight"}), HasSubstr("-p weight: expected name=value"));
  EXPECT_THAT(error({"a"}, {"=1"}), HasSubstr("expected name=value"));
  EXPECT_THAT(error({"a"}, {"weight="}), HasSubstr("a value is empty"));
  EXPECT_THAT(error({"a", "b"}, {"weight=1,"}), HasSubstr("a value is empty"));
  EXPECT_THAT(error({"a"}, {"weight=[]"}), HasSubstr("a value is empty"));
  EXPECT_THAT(error({"a"}, {"weight=[1"}), HasSubstr("'[' without its counterpart"));
  EXPECT_THAT(error({"a"}, {"weight=1]"}), HasSubstr("']' without its counterpart"));
  EXPECT_THAT(error({"a"}, {"weight=[1]2"}), HasSubstr("goes on after the gradient"));
  EXPECT_THAT(error({"a"}, {"weight:=1"}), HasSubstr("the filter after ':' is empty"));
  EXPECT_THAT(error({"a"}, {"weight=1", "weight=2"}), HasSubstr("was given before"));
  EXPECT_THAT(error({"a"}, {"weigth=1"}),
              AllOf(HasSubstr("no parameter 'weigth'"), HasSubstr("did you mean 'weight'?")));
  EXPECT_THAT(error({"a", "b"}, {"lambda=1,2"}),
              HasSubstr("'lambda' holds for the whole merge and takes one value, not 2"));
  EXPECT_THAT(error({"org/a@main"}, {}), HasSubstr("command line: 'org/a@main' asks for a"));
}

}  // namespace
}  // namespace amalgam
