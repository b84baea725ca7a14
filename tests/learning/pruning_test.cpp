#include "amalgam/learning/pruning.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/mask_file.hpp"
#include "amalgam/learning/optimizer.hpp"
#include "amalgam/learning/retraining.hpp"
#include "amalgam/learning/schedule.hpp"
#include "amalgam/learning/trainer.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learning {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Selector = PruningOptions::Selector;

NamedTensors two_tensors() {
  return {{"a", torch::tensor({3.0F, -1.0F, 0.5F})}, {"b", torch::tensor({0.2F, -2.0F, 0.1F})}};
}

std::vector<bool> bits(const torch::Tensor& kept) {
  const auto* values = kept.data_ptr<bool>();
  return std::vector<bool>(values, values + kept.numel());
}

NamedTensors random_weights(std::int64_t count, std::uint64_t seed) {
  torch::Tensor weights = torch::empty({count});
  RandomStream random(seed, "weights");
  for (std::int64_t i = 0; i < count; ++i) weights[i] = random.normal();
  return {{"w", weights}};
}

TEST(Pruning, PhasesTakeTheSameFractionOfWhatIsLeft) {
  EXPECT_NEAR(phase_fraction(.98, 3), .728558, 1e-6);
  EXPECT_NEAR(phase_fraction(.9, 3), .535841, 1e-6);
  const double q = phase_fraction(.98, 3);
  EXPECT_NEAR(1 - std::pow(1 - q, 2), .926319, 1e-6);
  EXPECT_NEAR(1 - std::pow(1 - q, 3), .98, 1e-12);
  EXPECT_EQ(phase_fraction(0, 3), 0);
  EXPECT_DOUBLE_EQ(phase_fraction(.9, 1), .9);
}

TEST(Pruning, GlobalComparesTensorsAndUniformDoesNot) {
  const NamedTensors weights = two_tensors();
  const PruningMask global = prune(weights, full_mask(weights), .5);
  EXPECT_THAT(bits(*global.find("a")), ElementsAre(true, true, false));
  EXPECT_THAT(bits(*global.find("b")), ElementsAre(false, true, false));
  const PruningMask uniform =
      prune(weights, full_mask(weights), 1.0 / 3, {.selector = Selector::uniform});
  EXPECT_THAT(bits(*uniform.find("a")), ElementsAre(true, true, false));
  EXPECT_THAT(bits(*uniform.find("b")), ElementsAre(true, true, false));

  global.apply(weights);
  EXPECT_TRUE(torch::equal(weights[0].second, torch::tensor({3.0F, -1.0F, 0.0F})));
  EXPECT_TRUE(torch::equal(weights[1].second, torch::tensor({0.0F, -2.0F, 0.0F})));
}

TEST(Pruning, TakesTheExactCountOfEqualMagnitudesFirstOnesFirst) {
  const NamedTensors weights{{"a", torch::tensor({1.0F, -1.0F, 1.0F})},
                             {"b", torch::tensor({-1.0F, 1.0F, 0.5F})}};
  const PruningMask mask = prune(weights, full_mask(weights), .5);
  EXPECT_THAT(bits(*mask.find("a")), ElementsAre(false, false, true));
  EXPECT_THAT(bits(*mask.find("b")), ElementsAre(true, true, false));
}

TEST(Pruning, RoundsCountsHalfToEven) {
  const NamedTensors weights = random_weights(10, 1);
  EXPECT_EQ(prune(weights, full_mask(weights), .25).kept(), 8U);  // 2.5 -> 2
  EXPECT_EQ(prune(weights, full_mask(weights), .35).kept(), 6U);  // 3.5 -> 4
  EXPECT_EQ(prune(weights, full_mask(weights), 0).kept(), 10U);
  EXPECT_EQ(prune(weights, full_mask(weights), 1).kept(), 0U);
}

TEST(Pruning, ThePhasesReachTheTargetToOneWeight) {
  const NamedTensors weights = random_weights(13184, 1);
  for (const double sparsity : {.5, .9, .95, .98}) {
    for (const std::uint64_t phases : {1U, 2U, 3U}) {
      PruningMask mask = full_mask(weights);
      for (std::uint64_t i = 0; i < phases; ++i) {
        mask = prune(weights, mask, phase_fraction(sparsity, phases));
      }
      EXPECT_NEAR(mask.sparsity(), sparsity, 1.0 / 13184) << sparsity << " in " << phases;
    }
  }
}

RC_GTEST_PROP(Pruning, LeavesTheLargestOfWhatWasLeft, (std::vector<int> raw, std::uint8_t share)) {
  RC_PRE(!raw.empty());
  torch::Tensor values = torch::empty({static_cast<std::int64_t>(raw.size())}, torch::kDouble);
  for (std::size_t i = 0; i < raw.size(); ++i) values[static_cast<std::int64_t>(i)] = raw[i] % 5;
  const NamedTensors weights{{"w", values}};
  const double fraction = share / 255.0;
  const PruningMask first = prune(weights, full_mask(weights), .3, {.selector = Selector::random});
  const PruningMask mask = prune(weights, first, fraction);
  const auto gone =
      static_cast<std::uint64_t>(std::nearbyint(fraction * static_cast<double>(first.kept())));
  RC_ASSERT(mask.kept() == first.kept() - gone);
  RC_ASSERT(union_of({first, mask}).hash() == first.hash());  // never comes back
  const auto before = bits(*first.find("w"));
  const auto after = bits(*mask.find("w"));
  int largest_gone = -1;
  int smallest_kept = 5;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const int magnitude = std::abs(raw[i] % 5);
    if (before[i] && !after[i]) largest_gone = std::max(largest_gone, magnitude);
    if (after[i]) smallest_kept = std::min(smallest_kept, magnitude);
  }
  RC_ASSERT(largest_gone <= smallest_kept);
}

TEST(Pruning, AverageOfIndependentMasksIsDenser) {
  const NamedTensors weights = random_weights(40000, 1);
  std::vector<PruningMask> masks;
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    masks.push_back(
        prune(weights, full_mask(weights), .9, {.selector = Selector::random, .seed = seed}));
    EXPECT_DOUBLE_EQ(masks.back().sparsity(), .9);
  }
  EXPECT_NEAR(union_of({masks[0], masks[1]}).sparsity(), .81, .005);
  EXPECT_NEAR(union_of(masks).sparsity(), .729, .005);
  // Magnitudes of related weights choose alike.
  const torch::Tensor near = weights[0].second + .3 * random_weights(40000, 2)[0].second;
  const PruningMask one = prune(weights, full_mask(weights), .9);
  const PruningMask two = prune({{"w", near}}, full_mask(weights), .9);
  EXPECT_GT(union_of({one, two}).sparsity(), .83);
  EXPECT_LT(union_of({one, two}).sparsity(), .9);
}

TEST(Pruning, MinPerTensorKeepsALayerAlive) {
  const NamedTensors weights{{"small", torch::tensor({0.1F, 0.3F, -0.2F})},
                             {"large", torch::tensor({5.0F, -1.0F, 3.0F, 4.0F, 2.0F})}};
  EXPECT_EQ(prune(weights, full_mask(weights), .75).find("small")->sum().item<int>(), 0);
  const PruningMask kept = prune(weights, full_mask(weights), .75, {.min_per_tensor = 1});
  EXPECT_THAT(bits(*kept.find("small")), ElementsAre(false, true, false));
  EXPECT_THAT(bits(*kept.find("large")), ElementsAre(true, false, false, false, false));
  const PruningMask uniform =
      prune(weights, full_mask(weights), 1, {.selector = Selector::uniform, .min_per_tensor = 2});
  EXPECT_THAT(bits(*uniform.find("small")), ElementsAre(false, true, true));
  EXPECT_EQ(uniform.kept(), 4U);
  EXPECT_THROW(prune(weights, full_mask(weights), .75, {.min_per_tensor = 2}), InputError);
}

TEST(Pruning, HashTellsMasksApart) {
  const NamedTensors weights = two_tensors();
  const PruningMask half = prune(weights, full_mask(weights), .5);
  EXPECT_EQ(half.hash(), prune(weights, full_mask(weights), .5).hash());
  EXPECT_NE(half.hash(), full_mask(weights).hash());
  NamedTensors renamed = weights;
  renamed[0].first = "c";
  EXPECT_NE(full_mask(renamed).hash(), full_mask(weights).hash());
  EXPECT_THAT(pack_bits(torch::tensor({1, 0, 0, 1, 0, 0, 0, 0, 1}).to(torch::kBool)),
              ElementsAre(9, 1));
}

TEST(MaskFile, KeepsAMaskInBits) {
  namespace fs = std::filesystem;
  const fs::path path =
      fs::temp_directory_path() / ("amalgam-mask-" + std::to_string(getpid()) + ".safetensors");
  const auto network = toy_network("cnn", {{"channels", {3}}, {"hidden", {5}}}, 1);
  const NamedTensors weights = prunable_weights(*network);
  const PruningMask mask = prune(weights, full_mask(weights), .7);
  save_mask(path, mask, false);
  EXPECT_EQ(load_mask(path).hash(), mask.hash());
  EXPECT_LT(fs::file_size(path), mask.weights() / 8 + 1000);
  EXPECT_THROW(save_mask(path, mask, false), InputError);
  save_tensors(path, weights, {}, true);
  EXPECT_THROW(load_mask(path), InputError);
  save_tensors(path, weights,
               {{"amalgam.mask", R"({"hash": "0", "parts": [["layers.0.weight", [5, 27]]]})"}},
               true);
  EXPECT_THROW(load_mask(path), InputError);
  fs::remove(path);
}

TEST(Pruning, OnlyWeightsOfLayersArePrunable) {
  const auto mlp = toy_network("mlp", {{"hidden", {7}}}, 1);
  const NamedTensors weights = prunable_weights(*mlp);
  ASSERT_EQ(weights.size(), 2U);
  EXPECT_EQ(weights[0].first, "layers.0.weight");
  EXPECT_EQ(full_mask(weights).weights(), 7U * 36 + 7 * 4);
  const auto cnn = toy_network("cnn", {{"channels", {3}}, {"hidden", {5}}}, 1);
  EXPECT_EQ(prunable_weights(*cnn).front().first, "convolutions.0.weight");
  EXPECT_EQ(prunable_weights(*cnn).size(), 3U);
}

TEST(Pruning, RefusesWhatMakesNoSense) {
  const NamedTensors weights = two_tensors();
  const PruningMask mask = full_mask(weights);
  EXPECT_THROW(phase_fraction(1, 3), InputError);
  EXPECT_THROW(phase_fraction(-.1, 3), InputError);
  EXPECT_THROW(phase_fraction(.5, 0), InputError);
  EXPECT_THROW(prune(weights, mask, 1.5), InputError);
  EXPECT_THROW(full_mask({}), InputError);
  EXPECT_THROW(prune({weights[0]}, mask, .5), InputError);
  EXPECT_THROW(prune({weights[1], weights[0]}, mask, .5), InputError);
  NamedTensors bad = weights;
  bad[1].second = torch::tensor({0.0F, std::numeric_limits<float>::quiet_NaN(), 1.0F});
  try {
    prune(bad, mask, .5);
    ADD_FAILURE() << "NaN was accepted";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("'b' has a weight that is not a number"));
  }
}

TEST(GradualPruning, FollowsTheCubicSchedule) {
  std::vector<double> sparsities;
  for (std::uint64_t t = 1; t <= 4; ++t) sparsities.push_back(gradual_sparsity(.9, t, 4));
  EXPECT_NEAR(sparsities[0], .520313, 1e-6);
  EXPECT_NEAR(sparsities[1], .7875, 1e-12);
  EXPECT_NEAR(sparsities[2], .885938, 1e-6);
  EXPECT_NEAR(sparsities[3], .9, 1e-12);
  EXPECT_EQ(gradual_sparsity(.9, 0, 4), 0);
}

TEST(Retraining, BudgetedRateFollowsTheNormDrop) {
  const NamedTensors weights{{"w", torch::tensor({3.0, -1.0, .5, 2.0}, torch::kDouble)}};
  const double drop = norm_drop(weights, prune(weights, full_mask(weights), .5));
  EXPECT_NEAR(drop, .296174, 1e-6);
  EXPECT_NEAR(budgeted_rate(.1, drop, .5, .1), .0418854, 1e-7);
  EXPECT_NEAR(budgeted_rate(.1, .05 * std::sqrt(.5), .5, .1), .01, 1e-12);
  EXPECT_DOUBLE_EQ(budgeted_rate(.1, 1, .5, .1), .1);
  EXPECT_DOUBLE_EQ(budgeted_rate(.1, 0, 0, .1), .01);  // nothing was pruned
}

TEST(Retraining, LinearScheduleRisesAndFallsAsTheCardSays) {
  const ScheduleOptions linear{.kind = ScheduleOptions::Kind::linear, .warmup = 10};
  EXPECT_LT(schedule_factor(linear, 0, 100), .1);
  EXPECT_DOUBLE_EQ(schedule_factor(linear, 10, 100), 1);
  EXPECT_DOUBLE_EQ(schedule_factor(linear, 55, 100), .5);
  EXPECT_DOUBLE_EQ(schedule_factor(linear, 100, 100), 0);
}

TrainingRecipe dense_recipe() {
  TrainingRecipe recipe;
  recipe.epochs = 10;
  recipe.optimizer.learning_rate = .1;
  recipe.schedule = {.kind = ScheduleOptions::Kind::linear, .warmup = 20};
  return recipe;
}

TEST(Retraining, SchedulesComeFromTheDenseRun) {
  constexpr std::uint64_t kSteps = 20;  // per epoch
  const auto rate = [](const TrainingRecipe& recipe, std::uint64_t step) {
    return recipe.optimizer.learning_rate *
           schedule_factor(recipe.schedule, step, recipe.epochs * kSteps);
  };
  const TrainingRecipe dense = dense_recipe();
  const auto retraining = [&](Retraining::Kind kind) {
    return retraining_recipe(dense, {.kind = kind, .epochs = 3}, kSteps);
  };
  using Kind = Retraining::Kind;
  const TrainingRecipe last = retraining(Kind::constant);
  EXPECT_DOUBLE_EQ(rate(last, 0), rate(dense, 199));
  EXPECT_DOUBLE_EQ(rate(last, 59), rate(dense, 199));
  const TrainingRecipe rewound = retraining(Kind::rewind);
  EXPECT_EQ(rewound.epochs, 3U);
  for (std::uint64_t step = 0; step < 60; ++step) {
    EXPECT_DOUBLE_EQ(rate(rewound, step), rate(dense, 140 + step));
  }
  const TrainingRecipe compressed = retraining(Kind::compressed);
  EXPECT_DOUBLE_EQ(rate(compressed, 6), .1);
  EXPECT_DOUBLE_EQ(rate(compressed, 33), .05);
  const TrainingRecipe linear = retraining(Kind::linear);
  EXPECT_DOUBLE_EQ(rate(linear, 6), .1);
  EXPECT_DOUBLE_EQ(rate(linear, 33), .05);
  EXPECT_NEAR(rate(retraining(Kind::cosine), 33), .05, 1e-12);
  const TrainingRecipe chosen =
      retraining_recipe(dense, {.kind = Kind::constant, .epochs = 3, .learning_rate = .05}, kSteps);
  EXPECT_DOUBLE_EQ(rate(chosen, 30), .05);
  EXPECT_THROW(retraining_recipe(dense, {.kind = Kind::rewind, .epochs = 11}, kSteps), InputError);
  EXPECT_THROW(retraining_recipe(dense, {.epochs = 0}, kSteps), InputError);
}

TEST(MaskedTraining, NothingOutsideTheMaskEverMoves) {
  const Dataset data = toy_data(64, 1);
  for (const nlohmann::json& optimizer :
       {nlohmann::json{{"name", "sgd"}, {"weight_decay", .01}, {"nesterov", true}},
        nlohmann::json{{"name", "adam"}, {"clip_norm", .5}},
        nlohmann::json{{"name", "adamw"}, {"weight_decay", .01}}}) {
    const auto network = toy_network("mlp", {{"hidden", {16}}}, 1);
    const NamedTensors weights = prunable_weights(*network);
    const PruningMask mask = prune(weights, full_mask(weights), .8);
    const TrainingRecipe recipe = parse_recipe(
        {{"init", "toy"}, {"optimizer", optimizer}, {"schedule", {{"name", "constant"}}}}, "test");
    // Weights and memory that something else moved are put right too.
    Optimizer direct(*network, recipe.optimizer);
    for (int step = 0; step < 3; ++step) {
      direct.zero_gradients();
      torch::nn::functional::cross_entropy(network->forward(data.inputs), data.labels).backward();
      direct.step(1, step == 0 ? nullptr : &mask);
      double remembered = 0;
      for (const auto& [key, tensor] : direct.memory()) {
        if (tensor.dim() == 0) continue;
        const double outside = mask.largest_outside({{key.substr(0, key.rfind('/')), tensor}});
        remembered = std::max(remembered, outside);
      }
      EXPECT_EQ(remembered == 0, step > 0) << optimizer;
      EXPECT_EQ(mask.largest_outside(state_of(*network)) == 0, step > 0) << optimizer;
    }
    // And the trainer passes its mask on.
    TrainingOptions options{.progress = Progress::Mode::never, .mask = &mask};
    const torch::Tensor before = all_parameters(*network);
    options.before_forward = [&](std::uint64_t) {
      EXPECT_EQ(mask.largest_outside(state_of(*network)), 0);
    };
    train(*network, data, recipe, options);
    EXPECT_EQ(mask.largest_outside(state_of(*network)), 0);
    EXPECT_FALSE(torch::equal(before, all_parameters(*network)));
  }
}

TEST(MaskedTraining, AFullMaskIsNoMask) {
  const Dataset data = toy_data(64, 1);
  const TrainingRecipe recipe = parse_recipe({{"init", "toy"}, {"epochs", 2}}, "test");
  std::vector<torch::Tensor> results;
  for (const bool masked : {false, true}) {
    const auto network = toy_network("mlp", {{"hidden", {16}}}, 1);
    const PruningMask mask = full_mask(prunable_weights(*network));
    train(*network, data, recipe,
          {.progress = Progress::Mode::never, .mask = masked ? &mask : nullptr});
    results.push_back(all_parameters(*network));
  }
  EXPECT_TRUE(torch::equal(results[0], results[1]));
}

TEST(MaskedTraining, ClippingCountsOnlyWeightsThatExist) {
  // With one weight left of the layer, its gradient clipped to norm 1 is the sign alone, however
  // large the gradients of pruned weights are.
  const Dataset data = toy_data(64, 1);
  const auto network = toy_network("mlp", {{"hidden", nlohmann::json::array()}}, 1);
  const PruningMask mask({{"layers.0.weight", torch::eye(4, 36).to(torch::kBool)}});
  mask.apply(state_of(*network));
  Optimizer optimizer(*network, {.learning_rate = 1, .momentum = 0, .clip_norm = 1e-3});
  torch::nn::functional::cross_entropy(network->forward(data.inputs), data.labels).backward();
  const torch::Tensor before = all_parameters(*network);
  optimizer.step(1, &mask);
  EXPECT_NEAR((all_parameters(*network) - before).norm().item<double>(), 1e-3, 1e-6);
}

TEST(MaskedTraining, ADivergedRunSaysSo) {
  const TrainingRecipe recipe =
      parse_recipe({{"init", "toy"},
                    {"epochs", 50},
                    {"optimizer", {{"learning_rate", 100.0}, {"weight_decay", 100.0}}}},
                   "test");
  const auto network = toy_network("mlp", {{"hidden", {16}}}, 1);
  EXPECT_THROW(train(*network, toy_data(64, 1), recipe, {.progress = Progress::Mode::never}),
               Diverged);
}

TEST(Schedule, APartOfARunHasTheRatesOfTheWhole) {
  const ScheduleOptions whole{.kind = ScheduleOptions::Kind::cosine, .warmup = 3};
  ScheduleOptions part = whole;
  part.first = 7;
  part.total = 20;
  for (std::uint64_t step = 0; step < 5; ++step) {
    EXPECT_EQ(schedule_factor(part, step, 5), schedule_factor(whole, 7 + step, 20));
  }
}

}  // namespace
}  // namespace amalgam::learning
