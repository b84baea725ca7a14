#include "amalgam/learning/recipe.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/schedule.hpp"

namespace amalgam::learning {
namespace {

using testing::HasSubstr;

TrainingRecipe read(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
  const auto path =
      std::filesystem::temp_directory_path() / ("amalgam-recipe-" + std::to_string(getpid()));
  std::ofstream(path) << yaml;
  try {
    TrainingRecipe recipe = read_recipe(path, overrides);
    std::filesystem::remove(path);
    return recipe;
  } catch (...) {
    std::filesystem::remove(path);
    throw;
  }
}

std::string error_of(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
  try {
    read(yaml, overrides);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(TrainingRecipe, ReadsEveryKey) {
  const TrainingRecipe recipe = read(R"(
init: base.safetensors
data: {set: /data/digits, first: 100, examples: 500}
epochs: 3
batch: 32
optimizer: {name: adamw, learning_rate: 0.002, beta1: 0.8, beta2: 0.99, weight_decay: 0.1, clip_norm: 2}
schedule: {name: linear, warmup: 7}
average: {name: swa, first_epoch: 1}
augment: {flip: true, shift: 2, noise: 0.05}
label_smoothing: 0.1
mixup: 0.2
seed: 42
)");
  EXPECT_EQ(recipe.init, "base.safetensors");
  EXPECT_EQ(recipe.data_set, "/data/digits");
  EXPECT_EQ(recipe.first, 100U);
  EXPECT_EQ(recipe.examples, 500U);
  EXPECT_EQ(recipe.epochs, 3U);
  EXPECT_EQ(recipe.batch, 32U);
  EXPECT_EQ(recipe.optimizer.kind, OptimizerOptions::Kind::adamw);
  EXPECT_EQ(recipe.optimizer.learning_rate, 0.002);
  EXPECT_EQ(recipe.optimizer.beta1, 0.8);
  EXPECT_EQ(recipe.optimizer.beta2, 0.99);
  EXPECT_EQ(recipe.optimizer.weight_decay, 0.1);
  EXPECT_EQ(recipe.optimizer.clip_norm, 2.0);
  EXPECT_EQ(recipe.schedule.kind, ScheduleOptions::Kind::linear);
  EXPECT_EQ(recipe.schedule.warmup, 7U);
  EXPECT_EQ(recipe.average.kind, AverageOptions::Kind::swa);
  EXPECT_EQ(recipe.average.first_epoch, 1U);
  EXPECT_TRUE(recipe.augment.flip);
  EXPECT_EQ(recipe.augment.shift, 2U);
  EXPECT_EQ(recipe.augment.noise, 0.05);
  EXPECT_EQ(recipe.label_smoothing, 0.1);
  EXPECT_EQ(recipe.mixup, 0.2);
  EXPECT_EQ(recipe.seed, 42U);
}

TEST(TrainingRecipe, OverridesReplaceAndAddValues) {
  const TrainingRecipe recipe =
      read("network: {architecture: mlp}\noptimizer: {name: adam}\n",
           {"optimizer.learning_rate=0.5", "network.hidden=[3, 4]", "data.set=digits", "seed=9"});
  EXPECT_EQ(recipe.optimizer.kind, OptimizerOptions::Kind::adam);
  EXPECT_EQ(recipe.optimizer.learning_rate, 0.5);
  EXPECT_EQ(recipe.network->at("hidden"), nlohmann::json({3, 4}));
  EXPECT_EQ(recipe.data_set, "digits");
  EXPECT_EQ(recipe.seed, 9U);
  EXPECT_THAT(error_of("network: {architecture: mlp}", {"seed"}), HasSubstr("expected KEY=VALUE"));
  EXPECT_THAT(error_of("epochs: 3\ninit: a", {"epochs.more=1"}), HasSubstr("no keys of its own"));
}

TEST(TrainingRecipe, SaysWhatIsWrongAndWhereAndTheNearestName) {
  const std::string start = "network: {architecture: mlp}\n";
  EXPECT_THAT(error_of(start + "epoch: 3"),
              HasSubstr("unknown key 'epoch'; did you mean 'epochs'"));
  EXPECT_THAT(error_of(start + "optimizer: {learning_rat: 1}"),
              HasSubstr("'optimizer.learning_rat'; did you mean 'learning_rate'"));
  EXPECT_THAT(error_of(start + "optimizer: {name: adamww}"), HasSubstr("did you mean 'adamw'"));
  EXPECT_THAT(error_of(start + "optimizer: {name: adam, momentum: 0.9}"),
              HasSubstr("unknown key 'optimizer.momentum'"));
  EXPECT_THAT(error_of(start + "optimizer: {learning_rate: fast}"),
              HasSubstr(R"(optimizer.learning_rate is "fast"; expected a number)"));
  EXPECT_THAT(error_of(start + "optimizer: {learning_rate: -1}"), HasSubstr("learning_rate is -1"));
  EXPECT_THAT(error_of(start + "batch: 0"),
              HasSubstr("batch is 0; expected a whole number from 1"));
  EXPECT_THAT(error_of(start + "epochs: 2.5"), HasSubstr("epochs is 2.5"));
  EXPECT_THAT(error_of(start + "epochs: -2"), HasSubstr("epochs is -2"));
  EXPECT_THAT(error_of(start + "label_smoothing: 1"), HasSubstr("label_smoothing"));
  EXPECT_THAT(error_of(start + "augment: {flip: 3}"), HasSubstr("true or false"));
  EXPECT_THAT(error_of(start + "augment: [1]"), HasSubstr("augment is [1]"));
  EXPECT_THAT(error_of(start + "average: {name: swa, first_epoch: 10}"),
              HasSubstr("last epoch is 9"));
  EXPECT_THAT(error_of("epochs: 3"), HasSubstr("either 'network'"));
  EXPECT_THAT(error_of(start + "init: a"), HasSubstr("found both"));
  EXPECT_THAT(error_of("- 1\n- 2"), HasSubstr("expected keys"));
  EXPECT_THAT(error_of("network: {"), HasSubstr("YAML"));
  EXPECT_THAT(error_of(""), HasSubstr("documents; expected one"));
}

TEST(Schedule, RisesLinearlyAndThenFollowsItsKind) {
  const ScheduleOptions constant{ScheduleOptions::Kind::constant, 3};
  EXPECT_DOUBLE_EQ(schedule_factor(constant, 0, 10), 0.25);
  EXPECT_DOUBLE_EQ(schedule_factor(constant, 2, 10), 0.75);
  EXPECT_DOUBLE_EQ(schedule_factor(constant, 3, 10), 1.0);
  EXPECT_DOUBLE_EQ(schedule_factor(constant, 9, 10), 1.0);
  const ScheduleOptions linear{ScheduleOptions::Kind::linear, 2};
  EXPECT_DOUBLE_EQ(schedule_factor(linear, 2, 10), 1.0);
  EXPECT_DOUBLE_EQ(schedule_factor(linear, 6, 10), 0.5);
  const ScheduleOptions cosine{ScheduleOptions::Kind::cosine, 0};
  EXPECT_DOUBLE_EQ(schedule_factor(cosine, 0, 8), 1.0);
  EXPECT_NEAR(schedule_factor(cosine, 2, 8), (1 + std::sqrt(0.5)) / 2, 1e-12);
  EXPECT_NEAR(schedule_factor(cosine, 4, 8), 0.5, 1e-12);
  // A warm-up longer than the run never ends.
  EXPECT_LT(schedule_factor({ScheduleOptions::Kind::cosine, 100}, 9, 10), 0.1);
}

}  // namespace
}  // namespace amalgam::learning
