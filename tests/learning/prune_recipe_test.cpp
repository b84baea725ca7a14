#include "amalgam/weights/learned/prune_recipe.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "amalgam/core/error.hpp"

namespace amalgam::learned {
namespace {

using ::testing::HasSubstr;
using Method = PruneRecipe::Method;

learning::TrainingRecipe recipe_with(nlohmann::json prune, nlohmann::json more = {}) {
  nlohmann::json document{{"network", {{"architecture", "mlp"}}}, {"seed", 5}};
  document["prune"] = std::move(prune);
  if (more.is_object()) document.update(more);
  return learning::parse_recipe(document, "r.yml");
}

std::string refused(const nlohmann::json& prune, const nlohmann::json& more = {}) {
  try {
    (void)prune_recipe(recipe_with(prune, more), "r.yml");
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(PruneRecipe, ReadsASoupOfCopiesThatDiffer) {
  const auto prune = prune_recipe(
      recipe_with({{"sparsity", .95},
                   {"phases", 2},
                   {"vary", {{{"weight_decay", 1e-3}}, {{"epochs", 4}}, nlohmann::json::object()}},
                   {"retrain", {{"schedule", "budgeted"}, {"epochs", 6}}},
                   {"selector", "uniform"},
                   {"greedy", true}}),
      "r.yml");
  ASSERT_TRUE(prune.has_value());
  EXPECT_EQ(prune->method, Method::soup);
  EXPECT_EQ(prune->soup.sparsity, .95);
  EXPECT_EQ(prune->soup.phases, 2U);
  ASSERT_EQ(prune->soup.copies.size(), 3U);
  EXPECT_EQ(prune->soup.copies[0].weight_decay, 1e-3);
  EXPECT_EQ(prune->soup.copies[1].epochs, 4U);
  EXPECT_FALSE(prune->soup.copies[2].epochs.has_value());
  EXPECT_EQ(prune->soup.retraining.kind, learning::Retraining::Kind::budgeted);
  EXPECT_EQ(prune->soup.retraining.epochs, 6U);
  EXPECT_EQ(prune->soup.pruning.selector, learning::PruningOptions::Selector::uniform);
  EXPECT_TRUE(prune->soup.greedy);
  EXPECT_EQ(prune->soup.seed, 5U);
}

TEST(PruneRecipe, ReadsPruningWhileTraining) {
  const auto gradual = prune_recipe(
      recipe_with({{"method", "gradual"}, {"sparsity", .5}, {"interval", 2}, {"copies", 4}}), "");
  EXPECT_EQ(gradual->gradual.sparsity, .5);
  EXPECT_EQ(gradual->gradual.interval, 2U);
  EXPECT_EQ(gradual->gradual.copies, 4U);
  EXPECT_EQ(prune_recipe(recipe_with({{"method", "dynamic"}, {"sparsity", .5}, {"refresh", 3}}), "")
                ->gradual.refresh,
            3U);
  const auto budgeted = prune_recipe(
      recipe_with({{"method", "budgeted"}, {"sparsity", .5}, {"dense_epochs", 7}}), "");
  EXPECT_EQ(budgeted->dense_epochs, 7U);
  EXPECT_EQ(budgeted->soup.copies.size(), 3U);
  EXPECT_FALSE(prune_recipe(recipe_with(nullptr), "").has_value());
}

TEST(PruneRecipe, SaysWhatDoesNotFit) {
  EXPECT_THAT(refused({{"copies", 2}}), HasSubstr("r.yml: prune.sparsity is missing"));
  EXPECT_THAT(refused({{"sparsity", 1}}),
              HasSubstr("prune.sparsity is 1; expected a share from 0"));
  EXPECT_THAT(refused({{"sparsity", .5}, {"copys", 2}}), HasSubstr("did you mean 'copies'"));
  EXPECT_THAT(refused({{"sparsity", .5}, {"interval", 2}}), HasSubstr("'prune.interval'"));
  EXPECT_THAT(refused({{"method", "soop"}, {"sparsity", .5}}), HasSubstr("did you mean 'soup'"));
  EXPECT_THAT(refused({{"sparsity", .5}, {"copies", 0}}), HasSubstr("prune.copies is 0"));
  EXPECT_THAT(refused({{"sparsity", .5}, {"copies", 2}, {"vary", {nlohmann::json::object()}}}),
              HasSubstr("prune.copies is 2; expected as many as the 1 entries"));
  EXPECT_THAT(refused({{"sparsity", .5}, {"vary", 3}}), HasSubstr("prune.vary is 3"));
  EXPECT_THAT(refused({{"sparsity", .5}, {"retrain", {{"schedule", "slow"}}}}),
              HasSubstr("prune.retrain.schedule"));
  EXPECT_THAT(refused({{"method", "budgeted"}, {"sparsity", .5}}),
              HasSubstr("prune.dense_epochs is missing"));
  EXPECT_THAT(refused({{"sparsity", .5}}, {{"early_stop", {{"patience", 2}}}}),
              HasSubstr("early_stop does not go with prune"));
  EXPECT_THAT(refused({{"sparsity", .5}}, {{"average", {{"name", "ema"}}}}),
              HasSubstr("average does not go with prune"));
}

}  // namespace
}  // namespace amalgam::learned
