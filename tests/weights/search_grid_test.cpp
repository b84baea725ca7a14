#include "amalgam/weights/search_grid.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/data_methods.hpp"
#include "amalgam/weights/recipe_arguments.hpp"

namespace amalgam {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

SearchAxis axis(const std::string& parameter, const std::string& values,
                const std::string& method = "ties", std::size_t members = 2) {
  return parse_search_axis({parameter, values, {}}, find_method(method), members, 7, "--search");
}

std::string refused(const std::string& parameter, const std::string& values,
                    const std::string& method = "ties", std::size_t members = 2) {
  try {
    axis(parameter, values, method, members);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(SearchGrid, RangesEndAtTheirLastValueWithoutRoundingErrors) {
  EXPECT_THAT(axis("weight", "0:0.3:0.1").values, ElementsAre("0", "0.1", "0.2", "0.3"));
  const auto values = axis("weight", "0:1:0.05").values;
  ASSERT_EQ(values.size(), 21U);
  EXPECT_EQ(values[3], "0.15");  // 3 * 0.05 is 0.15000000000000002
  EXPECT_EQ(values.back(), "1");
  EXPECT_THAT(axis("weight", "-0.5:0.6:0.5").values, ElementsAre("-0.5", "0", "0.5"));
  EXPECT_THAT(axis("weight", "2:2:1").values, ElementsAre("2"));
  EXPECT_THAT(axis("weight", "0.3,1,0.5").values, ElementsAre("0.3", "1", "0.5"));
}

TEST(SearchGrid, SharesOfTwoMembersRunFromOneToTheOther) {
  const auto values = axis("weight", "shares", "linear").values;
  ASSERT_EQ(values.size(), 51U);
  EXPECT_EQ(values.front(), "0,1");
  EXPECT_EQ(values[25], "0.5,0.5");
  EXPECT_EQ(values[35], "0.7,0.3");
  EXPECT_EQ(values.back(), "1,0");
  EXPECT_THAT(axis("weight", "shares:3", "linear").values, ElementsAre("0,1", "0.5,0.5", "1,0"));
}

TEST(SearchGrid, SharesOfMoreMembersAreDrawsFromTheSimplex) {
  const auto values = axis("weight", "shares:200", "linear", 3).values;
  ASSERT_EQ(values.size(), 200U);
  double mean = 0;
  for (const std::string& value : values) {
    double sum = 0;
    const auto parts = split(value, ',');
    ASSERT_EQ(parts.size(), 3U);
    for (const std::string& part : parts) sum += std::strtod(part.c_str(), nullptr);
    EXPECT_NEAR(sum, 1, 1e-5);
    mean += std::strtod(parts[0].c_str(), nullptr) / 200;
  }
  // Dirichlet(1, 1, 1): mean 1/3, deviation of a share sqrt(1/18) = .236, of the mean .017.
  EXPECT_NEAR(mean, 1.0 / 3, .067);
  EXPECT_EQ(values, axis("weight", "shares:200", "linear", 3).values);
}

TEST(SearchGrid, TheLastAxisRunsFastest) {
  const std::vector<SearchAxis> axes{{"weight", {"0", "1"}}, {"density", {"0.1", "0.2"}}};
  EXPECT_THAT(
      search_grid(axes),
      ElementsAre(ElementsAre("weight=0", "density=0.1"), ElementsAre("weight=0", "density=0.2"),
                  ElementsAre("weight=1", "density=0.1"), ElementsAre("weight=1", "density=0.2")));
  EXPECT_THROW(search_grid(std::vector<SearchAxis>{{"t", {"0"}}, {"t", {"1"}}}), InputError);
  const SearchAxis many{"weight", std::vector<std::string>(200, "1")};
  const SearchAxis more{"density", std::vector<std::string>(51, "1")};
  EXPECT_THROW(search_grid(std::vector<SearchAxis>{many, more}), InputError);
}

TEST(SearchGrid, SaysWhatIsWrong) {
  EXPECT_THAT(
      refused("weigth", "0:1:1"),
      HasSubstr("--search: method 'ties' has no parameter 'weigth'; did you mean 'weight'?"));
  EXPECT_THAT(refused("weight", "0:1"), HasSubstr("expected first:last:step"));
  EXPECT_THAT(refused("weight", "0:x:1"), HasSubstr("'x' of '0:x:1' is no number"));
  EXPECT_THAT(refused("weight", "1:0:0.1"), HasSubstr("is empty"));
  EXPECT_THAT(refused("weight", "0:1:0"), HasSubstr("a step above 0"));
  EXPECT_THAT(refused("weight", "0:1:1e-9"), HasSubstr("more than 10000 values"));
  EXPECT_THAT(refused("weight", "0.1,,0.3"), HasSubstr("empty value"));
  EXPECT_THAT(refused("normalize", "shares"), HasSubstr("a parameter of each member"));
  EXPECT_THAT(refused("weight", "shares", "linear", 1), HasSubstr("at least two members"));
  EXPECT_THAT(refused("weight", "shares:1", "linear"), HasSubstr("expected 2 to 10000 shares"));
}

TEST(SearchGrid, ReplacesWhatTheRecipeSaysOfAParameter) {
  const RuleInfo& ties = find_method("ties");
  const Recipe recipe = recipe_from_arguments(
      ties,
      {.base = "base", .members = {"a", "b"}, .parameters = {"weight=0.1,0.2", "density=0.5"}});
  const std::vector<std::string> point{"weight=0.7"};
  EXPECT_EQ(with_parameters(recipe, ties, point),
            recipe_from_arguments(ties, {.base = "base",
                                         .members = {"a", "b"},
                                         .parameters = {"density=0.5", "weight=0.7"}}));
  const std::vector<std::string> shares{"weight=0.3,0.7"};
  EXPECT_EQ(with_parameters(recipe, ties, shares).models[1].parameters.at("weight").evaluate("", 0),
            ParameterValue(0.7));
}

}  // namespace
}  // namespace amalgam
