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
  EXPECT_EQ(recipe.data.set, "/data/digits");
  EXPECT_EQ(recipe.data.first, 100U);
  EXPECT_EQ(recipe.data.examples, 500U);
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
  EXPECT_EQ(recipe.data.set, "digits");
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

// The card's worked numbers: peak .01, warm-up to step 100, decay from step 1000.
TEST(Schedule, WsdIsStableAndThenDecays) {
  ScheduleOptions wsd{.kind = ScheduleOptions::Kind::wsd, .warmup = 100};
  wsd.decay = 100.0 / 1100;
  wsd.form = ScheduleOptions::Decay::exponential;
  wsd.floor = 0.25;  // a half-life of 50 steps
  EXPECT_NEAR(schedule_factor(wsd, 49, 1100), 50.0 / 101, 1e-12);
  EXPECT_EQ(schedule_factor(wsd, 100, 1100), 1.0);
  EXPECT_EQ(schedule_factor(wsd, 999, 1100), 1.0);
  EXPECT_EQ(schedule_factor(wsd, 1000, 1100), 1.0);
  EXPECT_NEAR(schedule_factor(wsd, 1050, 1100), 0.5, 1e-12);
  EXPECT_NEAR(schedule_factor(wsd, 1099, 1100), std::pow(0.25, 0.99), 1e-12);
  wsd.floor = 0.1;  // a half-life of 30.1030 steps
  EXPECT_NEAR(schedule_factor(wsd, 1030, 1100), std::pow(0.5, 30 / 30.1030), 1e-5);

  wsd.floor = 0.2;
  const auto at = [&](ScheduleOptions::Decay form, std::uint64_t step) {
    wsd.form = form;
    return schedule_factor(wsd, step, 1100);
  };
  EXPECT_NEAR(at(ScheduleOptions::Decay::linear, 1025), 0.2 + 0.8 * 0.75, 1e-12);
  EXPECT_NEAR(at(ScheduleOptions::Decay::sqrt, 1025), 0.2 + 0.8 * 0.5, 1e-12);
  EXPECT_NEAR(at(ScheduleOptions::Decay::cosine, 1050), 0.2 + 0.8 * 0.5, 1e-12);
  // Part of a longer run.
  wsd.first = 1000;
  wsd.total = 1100;
  EXPECT_NEAR(at(ScheduleOptions::Decay::linear, 25), 0.2 + 0.8 * 0.75, 1e-12);
}

TEST(Schedule, StagesOfWsdFitIntoTheRun) {
  ScheduleOptions wsd{.kind = ScheduleOptions::Kind::wsd, .warmup = 5};
  wsd.decay = 0.5;
  check_schedule(wsd, 10);
  EXPECT_THROW(check_schedule(wsd, 8), InputError);
  wsd.decay = 0;
  check_schedule(wsd, 5);
  EXPECT_EQ(schedule_factor(wsd, 7, 8), 1.0);
  check_schedule({ScheduleOptions::Kind::cosine, 100}, 10);
}

TEST(TrainingRecipe, ReadsSchedulesValidationAndData) {
  const TrainingRecipe recipe = read(
      "network: {architecture: mlp}\n"
      "data: {set: t.csv, label: y, ignore: [id], categorical: [zip], classes: [a, 3], first: 2,\n"
      "       imbalance: 10, partition: {clients: 5, part: 4, alpha: 0.5, least: 2}, head: left}\n"
      "schedule: {name: wsd, warmup: 3, decay: 0.2, form: exponential}\n"
      "validation: 0.25\n"
      "early_stop: {patience: 7, min_change: 0.01, metric: accuracy}\n"
      "cutmix: 1\n");
  EXPECT_EQ(recipe.data.label, "y");
  EXPECT_EQ(recipe.data.ignore, (std::vector<std::string>{"id"}));
  EXPECT_EQ(recipe.data.categorical, (std::vector<std::string>{"zip"}));
  EXPECT_EQ(recipe.data.classes, (std::vector<std::string>{"a", "3"}));
  EXPECT_EQ(recipe.data.imbalance, 10);
  EXPECT_EQ(recipe.data.head, "left");
  ASSERT_TRUE(recipe.data.partition);
  EXPECT_EQ(recipe.data.partition->part, 4U);
  EXPECT_EQ(recipe.data.partition->alpha, 0.5);
  EXPECT_EQ(recipe.data.partition->least, 2U);
  EXPECT_EQ(recipe.schedule.kind, ScheduleOptions::Kind::wsd);
  EXPECT_EQ(recipe.schedule.decay, 0.2);
  EXPECT_EQ(recipe.schedule.floor, 0.1);
  EXPECT_EQ(recipe.validation.kind, ValidationOptions::Kind::share);
  EXPECT_EQ(recipe.validation.share, 0.25);
  EXPECT_EQ(recipe.early_stop->patience, 7U);
  EXPECT_EQ(recipe.early_stop->metric, EarlyStop::Metric::accuracy);
  EXPECT_EQ(recipe.cutmix, 1);

  const std::string start = "network: {architecture: mlp}\n";
  EXPECT_EQ(read(start + "early_stop: {}").validation.kind, ValidationOptions::Kind::split);
  EXPECT_EQ(read(start + "validation: none").validation.kind, ValidationOptions::Kind::none);
  EXPECT_FALSE(read(start + "validation: split").early_stop);
  const TrainingRecipe text = read(start + "data: {set: a.txt, tokens: character, context: 32}");
  EXPECT_EQ(text.data.tokens, "character");
  EXPECT_EQ(text.data.context, 32U);
  EXPECT_THAT(error_of(start + "early_stop: {}\nvalidation: none"), HasSubstr("early_stop needs"));
  EXPECT_THAT(error_of(start + "validation: 1.5"), HasSubstr("validation is 1.5"));
  EXPECT_THAT(error_of(start + "early_stop: {patience: 0}"), HasSubstr("early_stop.patience is 0"));
  EXPECT_THAT(error_of(start + "early_stop: {metric: f1}"), HasSubstr("loss, accuracy"));
  EXPECT_THAT(error_of(start + "data: {partition: {part: 0}}"), HasSubstr("clients is missing"));
  EXPECT_THAT(error_of(start + "data: {partition: {clients: 3, part: 3}}"), HasSubstr("0 to 2"));
  EXPECT_THAT(error_of(start + "data: {classes: 3}"), HasSubstr("data.classes is 3"));
  EXPECT_THAT(error_of(start + "data: {relabel: true}"), HasSubstr("without data.classes"));
  EXPECT_THAT(error_of(start + "data: {tokens: bytes}"), HasSubstr("did you mean 'byte'"));
  EXPECT_THAT(error_of(start + "schedule: {name: wsd, form: exponential, floor: 0}"),
              HasSubstr("never reaches 0"));
  EXPECT_THAT(error_of(start + "schedule: {name: cosine, decay: 0.1}"),
              HasSubstr("unknown key 'schedule.decay'"));
  EXPECT_THAT(error_of(start + "mixup: 0.1\ncutmix: 1"), HasSubstr("0 with mixup"));
}

}  // namespace
}  // namespace amalgam::learning
