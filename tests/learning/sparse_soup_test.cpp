#include "amalgam/weights/learned/sparse_soup.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/weights/learned/prune_in_training.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learned {
namespace {

using learning::Dataset;
using learning::Network;
using learning::Retraining;
using learning::TrainingRecipe;
using testing::ElementsAre;
using testing::HasSubstr;

TrainingRecipe dense_recipe() {
  return learning::parse_recipe({{"init", "toy"},
                                 {"epochs", 4},
                                 {"batch", 16},
                                 {"optimizer", {{"learning_rate", .05}, {"weight_decay", 1e-4}}}},
                                "test");
}

std::shared_ptr<Network> dense_network(const Dataset& data) {
  auto network = learning::toy_network("mlp", {{"hidden", {16}}}, 1);
  learning::train(*network, data, dense_recipe(), {.progress = Progress::Mode::never});
  return network;
}

SparseSoupOptions small_options(std::size_t copies) {
  SparseSoupOptions options;
  options.sparsity = .9;
  options.phases = 2;
  options.copies.resize(copies);
  options.retraining = {.kind = Retraining::Kind::constant, .epochs = 1, .learning_rate = .02};
  options.seed = 5;
  return options;
}

torch::Tensor values(const NamedTensors& state) {
  std::vector<torch::Tensor> parts;
  for (const auto& one : state) parts.push_back(one.second.detach().flatten());
  return torch::cat(parts);
}

double accuracy(Network& network, const Dataset& data) {
  return learning::predict_logits(network, data)
      .argmax(1)
      .eq(data.labels)
      .to(torch::kDouble)
      .mean()
      .item<double>();
}

PruningMask half_mask(bool first) {
  const torch::Tensor kept = torch::tensor({{1, 0}, {0, 1}}).to(torch::kBool);
  return PruningMask({{"w", first ? kept : kept.logical_not()}});
}

NamedTensors double_copy(double a, double b, double bias) {
  return {{"w", torch::tensor({{a, 0.0}, {0.0, b}}, torch::kDouble)},
          {"bias", torch::tensor({bias}, torch::kDouble)}};
}

TEST(SparseSum, IsTheMeanWhateverTheOrderAndGrouping) {
  const PruningMask mask = half_mask(true);
  std::vector<NamedTensors> copies;
  for (int i = 0; i < 5; ++i)
    copies.push_back(double_copy(.1 * i + .3, 1 - 1.0 / (i + 1), i / 7.0));
  SparseSum in_order(mask);
  for (const NamedTensors& copy : copies) in_order.absorb(copy, mask);
  SparseSum left(mask);
  SparseSum right(mask);
  for (const int i : {4, 1}) left.absorb(copies[static_cast<std::size_t>(i)], mask);
  for (const int i : {2, 0, 3}) right.absorb(copies[static_cast<std::size_t>(i)], mask);
  right.combine(left);
  EXPECT_EQ(right.copies(), 5U);
  EXPECT_TRUE(torch::allclose(values(in_order.finish()), values(right.finish()), 0, 1e-12));
  // Means by hand: .3 + .1 * 2, 1 - (1 + 1/2 + 1/3 + 1/4 + 1/5) / 5, 2/7.
  const torch::Tensor expected =
      torch::tensor({.5, 0.0, 0.0, 1 - 137.0 / 300, 2.0 / 7}, torch::kDouble);
  EXPECT_TRUE(torch::allclose(values(in_order.finish()), expected, 0, 1e-12));
}

TEST(SparseSum, RefusesAnotherMaskAndValuesOutsideIt) {
  const PruningMask mask = half_mask(true);
  SparseSum sum(mask);
  sum.absorb(double_copy(1, 2, 3), mask);
  try {
    sum.absorb(double_copy(0, 0, 3), half_mask(false));
    ADD_FAILURE() << "another mask was accepted";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("another pruning mask"));
  }
  SparseSum other(half_mask(false));
  EXPECT_THROW(sum.combine(other), InputError);
  NamedTensors outside = double_copy(1, 2, 3);
  outside[0].second[0][1] = 1e-9;
  EXPECT_THROW(sum.absorb(outside, mask), InputError);
  EXPECT_THROW(sum.absorb(double_copy(1, std::nan(""), 3), mask), InputError);
  EXPECT_THROW(sum.absorb({double_copy(1, 2, 3)[0]}, mask), InputError);
  EXPECT_THROW(sum.absorb({double_copy(1, 2, 3)[1]}, mask), InputError);
  EXPECT_THROW(SparseSum(mask).finish(), InputError);
  EXPECT_EQ(sum.copies(), 1U);
  // A weight of value 0 inside the mask exists all the same.
  sum.absorb(double_copy(0, 0, 1), mask);
  EXPECT_TRUE(torch::equal(values(sum.finish()), values(double_copy(.5, 1, 2))));
}

TEST(SparseSum, IdenticalCopiesAverageToThemselves) {
  const auto network = learning::toy_network("mlp", {{"hidden", {16}}}, 1);
  const NamedTensors weights = learning::prunable_weights(*network);
  const PruningMask mask = learning::prune(weights, learning::full_mask(weights), .7);
  mask.apply(weights);
  for (const int copies : {1, 3, 7}) {
    SparseSum sum(mask);
    for (int i = 0; i < copies; ++i) sum.absorb(learning::copied_state(*network), mask);
    EXPECT_TRUE(torch::equal(values(sum.finish()), learning::all_parameters(*network)));
  }
}

TEST(AverageOfPruned, IsDenserUntilItIsPrunedAgain) {
  const MaskedState one{double_copy(1, 2, 0), half_mask(true)};
  const MaskedState two{{{"w", torch::tensor({{0.0, 5.0}, {-.5, 0.0}}, torch::kDouble)},
                         {"bias", torch::tensor({1.0}, torch::kDouble)}},
                        half_mask(false)};
  const MaskedState average = average_of_pruned({one, two});
  EXPECT_EQ(average.mask.sparsity(), 0);
  EXPECT_TRUE(
      torch::equal(values(average.state), torch::tensor({.5, 2.5, -.25, 1.0, .5}, torch::kDouble)));
  const MaskedState again = pruned_again(average, .5);
  EXPECT_EQ(again.mask.sparsity(), .5);
  EXPECT_TRUE(
      torch::equal(values(again.state), torch::tensor({0.0, 2.5, 0.0, 1.0, .5}, torch::kDouble)));
  EXPECT_EQ(values(average.state)[0].item<double>(), .5);  // not changed
  EXPECT_THROW(average_of_pruned({}), InputError);
}

TEST(SparseSoup, OneCopyIsIterativeMagnitudePruning) {
  const Dataset data = learning::toy_data(96, 1);
  const auto dense = dense_network(data);
  const SparseSoupOptions options = small_options(1);
  const SparseSoup soup = sparse_soup(*dense, data, dense_recipe(), options);

  // The same by hand.
  const auto network = network_with(*dense, learning::copied_state(*dense));
  PruningMask mask = learning::full_mask(learning::prunable_weights(*network));
  for (std::uint64_t phase = 0; phase < 2; ++phase) {
    mask = learning::prune(learning::prunable_weights(*network), mask, 1 - std::sqrt(.1));
    TrainingRecipe recipe = dense_recipe();
    recipe.epochs = 1;
    recipe.optimizer.learning_rate = .02;
    recipe.schedule = {.kind = learning::ScheduleOptions::Kind::constant};
    recipe.seed = 5 + 1000 * phase;
    learning::train(*network, data, recipe, {.progress = Progress::Mode::never, .mask = &mask});
  }
  EXPECT_TRUE(torch::equal(values(soup.state), learning::all_parameters(*network)));
  EXPECT_EQ(soup.mask.hash(), mask.hash());
}

TEST(SparseSoup, EveryCopyAndTheSoupHaveTheMask) {
  const Dataset data = learning::toy_data(96, 1);
  const auto dense = dense_network(data);
  const torch::Tensor before = learning::all_parameters(*dense);
  const SparseSoup soup = sparse_soup(*dense, data, dense_recipe(), small_options(3));
  EXPECT_TRUE(torch::equal(before, learning::all_parameters(*dense)));

  EXPECT_NEAR(soup.mask.sparsity(), .9, 1.0 / static_cast<double>(soup.mask.weights()));
  EXPECT_EQ(soup.mask.largest_outside(soup.state), 0);
  ASSERT_EQ(soup.phases.size(), 2U);
  EXPECT_NEAR(soup.phases[0].sparsity, 1 - std::sqrt(.1), .5 / 640);
  EXPECT_EQ(soup.phases[0].pruned + soup.phases[1].pruned, soup.mask.weights() - soup.mask.kept());
  EXPECT_EQ(soup.phases[1].mask_hash, soup.mask.hash());
  EXPECT_THAT(soup.phases[1].ingredients, ElementsAre(0, 1, 2));
  ASSERT_EQ(soup.copies.size(), 3U);
  torch::Tensor sum = torch::zeros_like(values(soup.state), torch::kDouble);
  for (const NamedTensors& copy : soup.copies) {
    EXPECT_EQ(soup.mask.largest_outside(copy), 0);
    sum += values(copy);
  }
  EXPECT_TRUE(torch::equal(values(soup.state), (sum / 3).to(torch::kFloat)));
  // Copies saw other orders.
  EXPECT_FALSE(torch::equal(values(soup.copies[0]), values(soup.copies[1])));
  EXPECT_TRUE(std::isnan(soup.phases[1].soup_score));
}

TEST(SparseSoup, ReportsHowFarApartCopiesAre) {
  const Dataset data = learning::toy_data(16, 1);
  const auto dense = dense_network(data);
  SparseSoupOptions options = small_options(2);
  options.phases = 1;
  options.sparsity = 0;
  // The copies end at two orthogonal vectors of lengths 3 and 4.
  options.train = [](Network& network, const CopyTask& task) {
    const torch::NoGradGuard no_grad;
    for (auto& one : network.parameters()) one.zero_();
    network.parameters().front()[0][static_cast<std::int64_t>(task.copy)] = task.copy == 0 ? 3 : 4;
  };
  const SparseSoup soup = sparse_soup(*dense, data, dense_recipe(), options);
  EXPECT_EQ(soup.phases[0].pruned, 0U);
  EXPECT_NEAR(soup.phases[0].distance.mean, 5, 1e-12);
  EXPECT_NEAR(soup.phases[0].angle.most, 90, 1e-9);
  EXPECT_NEAR(soup.phases[0].to_average, 2.5, 1e-12);
}

TEST(SparseSoup, VariationsReachTheCopies) {
  const Dataset data = learning::toy_data(96, 1);
  const auto dense = dense_network(data);
  SparseSoupOptions options = small_options(3);
  options.copies[0].weight_decay = .25;
  options.copies[1].epochs = 4;
  options.copies[2].learning_rate = .5;
  std::vector<CopyTask> tasks;
  options.train = [&](Network&, const CopyTask& task) { tasks.push_back(task); };
  sparse_soup(*dense, data, dense_recipe(), options);
  ASSERT_EQ(tasks.size(), 6U);
  EXPECT_EQ(tasks[0].recipe.optimizer.weight_decay, .25);
  EXPECT_EQ(tasks[1].recipe.optimizer.weight_decay, 1e-4);
  EXPECT_EQ(tasks[1].recipe.epochs, 4U);
  EXPECT_EQ(tasks[2].recipe.optimizer.learning_rate, .5);
  EXPECT_EQ(tasks[2].recipe.seed, 7U);
  EXPECT_EQ(tasks[3].recipe.seed, 1005U);
}

TEST(SparseSoup, GreedyTakesNoCopyThatHurts) {
  const Dataset data = learning::toy_data(16, 1);
  const auto dense = dense_network(data);
  SparseSoupOptions options = small_options(4);
  options.phases = 1;
  options.greedy = true;
  // Copy j moves the first bias to 1.3, .6, 1.5, 0; the score is -(bias - 1)^2, so copies 0 and 1
  // average to .95 and any third makes it worse.
  options.train = [](Network& network, const CopyTask& task) {
    const torch::NoGradGuard no_grad;
    network.named_parameters()["layers.0.bias"][0] = std::vector{1.3, .6, 1.5, 0.0}[task.copy];
  };
  options.score = [](Network& network) {
    const double off = network.named_parameters()["layers.0.bias"][0].item<double>() - 1;
    return -off * off;
  };
  const SparseSoup soup = sparse_soup(*dense, data, dense_recipe(), options);
  EXPECT_THAT(soup.phases[0].ingredients, ElementsAre(0, 1));
  EXPECT_NEAR(soup.phases[0].soup_score, -.0025, 1e-6);
}

TEST(SparseSoup, LeavesOutCopiesThatFailed) {
  const Dataset data = learning::toy_data(16, 1);
  const auto dense = dense_network(data);
  SparseSoupOptions options = small_options(4);
  options.phases = 1;
  const auto set_bias = [](Network& network, double value) {
    const torch::NoGradGuard no_grad;
    network.named_parameters()["layers.0.bias"][0] = value;
  };
  options.train = [&](Network& network, const CopyTask& task) {
    if (task.copy == 1) throw learning::Diverged("the loss is nan", 0);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    set_bias(network, std::vector{1.0, 0.0, nan, -9.0}[task.copy]);
  };
  SparseSoup soup = sparse_soup(*dense, data, dense_recipe(), options);
  EXPECT_THAT(soup.phases[0].ingredients, ElementsAre(0, 3));
  EXPECT_TRUE(soup.copies[1].empty());
  EXPECT_TRUE(soup.copies[2].empty());

  options.score = [](Network& network) {
    return network.named_parameters()["layers.0.bias"][0].item<double>();
  };
  soup = sparse_soup(*dense, data, dense_recipe(), options);
  EXPECT_THAT(soup.phases[0].ingredients, ElementsAre(0));
  EXPECT_TRUE(std::isnan(soup.phases[0].scores[1]));

  options.train = [](Network&, const CopyTask&) { throw learning::Diverged("the loss is inf", 0); };
  try {
    sparse_soup(*dense, data, dense_recipe(), options);
    ADD_FAILURE() << "no copy was left";
  } catch (const InputError&) {
    ADD_FAILURE() << "not the user's input";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("every copy diverged"));
  }
}

TEST(SparseSoup, RefusesWhatMakesNoSense) {
  const Dataset data = learning::toy_data(16, 1);
  const auto dense = dense_network(data);
  const auto refused = [&](auto change) {
    SparseSoupOptions options = small_options(2);
    change(options);
    EXPECT_THROW(sparse_soup(*dense, data, dense_recipe(), options), InputError);
  };
  refused([](SparseSoupOptions& options) { options.sparsity = 1; });
  refused([](SparseSoupOptions& options) { options.sparsity = -.1; });
  refused([](SparseSoupOptions& options) { options.phases = 0; });
  refused([](SparseSoupOptions& options) { options.copies.clear(); });
  refused([](SparseSoupOptions& options) { options.greedy = true; });
  refused([](SparseSoupOptions& options) { options.copies[0].weight_decay = -1; });
  refused([](SparseSoupOptions& options) { options.retraining.epochs = 0; });
}

TEST(SparseSoup, LearnsTheToyProblemAtNinetyPercent) {
  const Dataset data = learning::toy_data(300, 1);
  const auto dense = dense_network(data);
  const SparseSoup soup = sparse_soup(*dense, data, dense_recipe(), small_options(3));
  EXPECT_GT(accuracy(*network_with(*dense, soup.state), learning::toy_data(400, 2)), .95);
}

// ---- pruning while training

TrainingRecipe long_recipe() {
  TrainingRecipe recipe = dense_recipe();
  recipe.epochs = 10;
  recipe.seed = 3;
  return recipe;
}

TEST(GradualPruning, ReachesTheTargetByTheCubicSchedule) {
  const Dataset data = learning::toy_data(200, 1);
  const auto start = learning::toy_network("mlp", {{"hidden", {16}}}, 1);
  for (const std::uint64_t copies : {1U, 3U}) {
    for (const bool recover : {false, true}) {
      const PrunedTraining trained = gradual_pruning(
          *start, data, long_recipe(),
          {.sparsity = .9, .interval = 2, .copies = copies, .allow_recovering = recover});
      // 640 weights: 333, 504, 567 and 576 of them.
      EXPECT_THAT(trained.sparsities, ElementsAre(333 / 640.0, 504 / 640.0, 567 / 640.0, .9));
      EXPECT_DOUBLE_EQ(trained.mask.sparsity(), .9);
      EXPECT_EQ(trained.mask.largest_outside(trained.state), 0);
      EXPECT_GT(accuracy(*network_with(*start, trained.state), learning::toy_data(400, 2)), .9);
    }
  }
}

TEST(DynamicPruning, KeepsDenseWeightsUntilTheEnd) {
  const Dataset data = learning::toy_data(200, 1);
  const auto start = learning::toy_network("mlp", {{"hidden", {16}}}, 1);
  for (const std::uint64_t copies : {1U, 3U}) {
    const PrunedTraining trained = dynamic_pruning(
        *start, data, long_recipe(), {.sparsity = .9, .interval = 2, .copies = copies});
    EXPECT_DOUBLE_EQ(trained.mask.sparsity(), .9);
    EXPECT_EQ(trained.mask.largest_outside(trained.state), 0);
    EXPECT_GT(accuracy(*network_with(*start, trained.state), learning::toy_data(400, 2)), .9);
  }
}

TEST(DynamicPruning, AStepMovesDenseWeightsByGradientsOfThePrunedNetwork) {
  // Two epochs of one step each: the first is dense, the second sees half of the weights.
  const Dataset data = learning::toy_data(20, 1);
  const auto start = learning::toy_network("mlp", {{"hidden", nlohmann::json::array()}}, 1);
  TrainingRecipe recipe = dense_recipe();
  recipe.epochs = 2;
  recipe.batch = 20;
  recipe.optimizer = {.learning_rate = .1, .momentum = 0};
  recipe.schedule = {.kind = learning::ScheduleOptions::Kind::constant};
  const auto network = network_with(*start, learning::copied_state(*start));
  const auto gradients_at = [&](const NamedTensors& state) {
    const auto at = network_with(*start, state);
    torch::nn::functional::cross_entropy(at->forward(data.inputs), data.labels).backward();
    NamedTensors gradients;
    for (const auto& one : at->named_parameters()) gradients.emplace_back(one.key(), one->grad());
    return gradients;
  };
  const auto moved = [](const NamedTensors& state, const NamedTensors& gradients) {
    NamedTensors result;
    for (std::size_t i = 0; i < state.size(); ++i) {
      result.emplace_back(state[i].first, (state[i].second - .1 * gradients[i].second).detach());
    }
    return result;
  };
  const NamedTensors one =
      moved(learning::copied_state(*start), gradients_at(learning::copied_state(*start)));
  const PruningMask full = learning::full_mask(learning::prunable_weights(*start));
  const MaskedState seen = pruned_again({one, full}, .5);
  const NamedTensors two = moved(one, gradients_at(seen.state));
  const MaskedState expected = pruned_again({two, full}, .5);

  const PrunedTraining trained =
      dynamic_pruning(*start, data, recipe, {.sparsity = .5, .interval = 1, .refresh = 1});
  EXPECT_TRUE(torch::allclose(values(trained.state), values(expected.state), 1e-5, 1e-6));
  EXPECT_EQ(trained.mask.hash(), expected.mask.hash());
}

TEST(BudgetedPruning, SpendsTheRestOfTheBudgetOnPhases) {
  const Dataset data = learning::toy_data(200, 1);
  const auto start = learning::toy_network("mlp", {{"hidden", {16}}}, 1);
  SparseSoupOptions options = small_options(2);
  options.phases = 3;
  const SparseSoup soup = budgeted_pruning(*start, data, long_recipe(), 4, options);
  ASSERT_EQ(soup.phases.size(), 3U);
  for (const SparsePhase& phase : soup.phases) {
    const double drop = phase.step.norm_drop / std::sqrt(phase.step.fraction);
    EXPECT_NEAR(phase.learning_rate, .05 * std::clamp(drop, .5, 1.0), 1e-12);
  }
  EXPECT_GT(accuracy(*network_with(*start, soup.state), learning::toy_data(400, 2)), .9);
  EXPECT_THROW(budgeted_pruning(*start, data, long_recipe(), 3, options), InputError);
  EXPECT_THROW(budgeted_pruning(*start, data, long_recipe(), 10, options), InputError);
}

TEST(PruningInTraining, RefusesWhatMakesNoSense) {
  const Dataset data = learning::toy_data(16, 1);
  const auto start = learning::toy_network("mlp", {{"hidden", {16}}}, 1);
  for (const GradualPruningOptions& options :
       {GradualPruningOptions{.sparsity = 1}, GradualPruningOptions{.interval = 0},
        GradualPruningOptions{.interval = 6}, GradualPruningOptions{.copies = 0},
        GradualPruningOptions{.refresh = 0}}) {
    EXPECT_THROW(gradual_pruning(*start, data, long_recipe(), options), InputError);
    EXPECT_THROW(dynamic_pruning(*start, data, long_recipe(), options), InputError);
  }
}

}  // namespace
}  // namespace amalgam::learned
