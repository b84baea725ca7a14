#include "amalgam/weights/learned/sparse_training.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/validation.hpp"
#include "amalgam/weights/learned/prune_recipe.hpp"
#include "amalgam/weights/learned/reparameterisation.hpp"
#include "tests/error_of.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learned {
namespace {

using learning::Dataset;
using learning::Network;
using learning::toy_data;
using learning::toy_network;
using learning::TrainingRecipe;
using testing::HasSubstr;

TrainingRecipe recipe_with(const std::string& prune, const std::string& optimizer = "") {
  return learning::parse_recipe(
      learning::yaml_to_json("{network: {architecture: mlp, hidden: [16]}, epochs: 12, batch: 32, "
                             "optimizer: {learning_rate: 0.1, weight_decay: 0.001" +
                                 optimizer + "}, prune: " + prune + "}",
                             "test"),
      "test");
}

PrunedTraining trained(const TrainingRecipe& recipe, const SparseTrainingOptions& options) {
  return sparse_training(*toy_network("mlp", {{"hidden", {16}}}, 3), toy_data(400, 1), recipe,
                         options);
}

class SparseMethods : public testing::TestWithParam<SparseMethod> {};

// 36 * 16 + 16 * 4 = 640 weights, of which 128 stay.
TEST_P(SparseMethods, ReachTheSparsityAndLearn) {
  const SparseTrainingOptions options{.method = GetParam(), .sparsity = .8};
  const PrunedTraining pruned = trained(recipe_with("{sparsity: 0.8}"), options);
  EXPECT_GE(pruned.mask.sparsity(), .8 - 1e-12);
  if (pruned.sparsities[0] <= .8) EXPECT_EQ(pruned.mask.kept(), 128U);
  EXPECT_EQ(pruned.mask.largest_outside(pruned.state), 0.0);
  const auto network =
      learning::network_with(*toy_network("mlp", {{"hidden", {16}}}, 3), pruned.state);
  EXPECT_GT(learning::validate(*network, toy_data(300, 2)).accuracy, .9);
}

TEST_P(SparseMethods, GiveTheSameBitsAgain) {
  const SparseTrainingOptions options{.method = GetParam(), .sparsity = .5};
  const TrainingRecipe recipe = recipe_with("{sparsity: 0.5}");
  const PrunedTraining once = trained(recipe, options);
  const PrunedTraining again = trained(recipe, options);
  EXPECT_EQ(once.mask.hash(), again.mask.hash());
  for (std::size_t i = 0; i < once.state.size(); ++i) {
    EXPECT_TRUE(torch::equal(once.state[i].second, again.state[i].second));
  }
}

INSTANTIATE_TEST_SUITE_P(All, SparseMethods,
                         testing::Values(SparseMethod::compression, SparseMethod::sparse_momentum,
                                         SparseMethod::top_weights, SparseMethod::soft_threshold,
                                         SparseMethod::continuous, SparseMethod::unit_threshold),
                         [](const auto& method) {
                           return sparse_method_names()[static_cast<std::size_t>(method.param)];
                         });

// Against training by the same recipe without a method, and pruning then.
TEST(SparseTraining, PruningAtTheEndCostsLittleWhereTheRestHasDecayed) {
  const TrainingRecipe recipe = recipe_with("{sparsity: 0.9}");
  const Dataset test = toy_data(300, 2);
  const auto plain = toy_network("mlp", {{"hidden", {16}}}, 3);
  TrainingRecipe decaying = recipe;
  decaying.optimizer.weight_decay = .01;
  learning::train(*plain, toy_data(400, 1), decaying, {.progress = Progress::Mode::never});
  const NamedTensors weights = learning::prunable_weights(*plain);
  learning::prune_to(weights, learning::full_mask(weights), .9, {}).apply(weights);
  const double without = learning::validate(*plain, test).loss;
  for (const SparseMethod method : {SparseMethod::compression, SparseMethod::sparse_momentum}) {
    const PrunedTraining pruned = trained(decaying, {.method = method, .sparsity = .9});
    const auto network = learning::network_with(*plain, pruned.state);
    EXPECT_LT(learning::validate(*network, test).loss, without)
        << sparse_method_names()[static_cast<std::size_t>(method)];
  }
}

TEST(Reparameterisation, SoftThresholdFollowsTheChainRule) {
  const auto method =
      make_reparameterisation({.method = SparseMethod::soft_threshold, .initial = -1.0});
  torch::Tensor dense = torch::tensor({{1.0, -0.5, 0.1}, {-2.0, 0.26, 0.3}}, torch::kDouble);
  torch::Tensor beside = method->beside(dense);
  const torch::Tensor gradient = torch::tensor({{1.0, 2.0, 3.0}, {4.0, 5.0, 6.0}}, torch::kDouble);
  // sigmoid(-1) = 0.268941.
  const torch::Tensor made = method->effective(dense, beside);
  EXPECT_NEAR(made[0][0].item<double>(), 1 - .26894142, 1e-8);
  EXPECT_NEAR(made[0][1].item<double>(), -.5 + .26894142, 1e-8);
  EXPECT_EQ(made[1][1].item<double>(), 0);
  EXPECT_EQ(method->kept(dense, beside).sum().item<std::int64_t>(), 4);

  torch::Tensor w = dense.clone().requires_grad_(true);
  torch::Tensor s = beside.clone().requires_grad_(true);
  method->effective(w, s).backward(gradient);
  const WeightGradients found = method->gradients(dense, beside, gradient);
  EXPECT_TRUE(torch::allclose(found.dense, w.grad(), 0, 1e-12));
  EXPECT_TRUE(torch::allclose(found.beside, s.grad(), 0, 1e-12));
}

TEST(Reparameterisation, ContinuousFollowsTheChainRuleAndSharpens) {
  const auto method = make_reparameterisation(
      {.method = SparseMethod::continuous, .initial = -.1, .penalty = .01, .final_beta = 100});
  const torch::Tensor dense = torch::tensor({{1.0, -0.5}, {-2.0, 0.3}}, torch::kDouble);
  torch::Tensor beside = method->beside(dense);
  EXPECT_TRUE(torch::allclose(method->effective(dense, beside), dense, 0, 1e-12))
      << "new weights are not changed";
  method->advance(5, 10);  // beta 10
  beside = torch::tensor({{.2, -.3}, {.05, 0.0}}, torch::kDouble);
  EXPECT_NEAR(method->effective(dense, beside)[0][0].item<double>(),
              (1 + std::exp(.1)) / (1 + std::exp(-2.0)), 1e-12);
  EXPECT_EQ(method->kept(dense, beside).sum().item<std::int64_t>(), 2);

  const torch::Tensor gradient = torch::tensor({{1.0, 2.0}, {3.0, 4.0}}, torch::kDouble);
  torch::Tensor w = dense.clone().requires_grad_(true);
  torch::Tensor m = beside.clone().requires_grad_(true);
  ((method->effective(w, m) * gradient).sum() + .01 * (10 * m).sigmoid().sum()).backward();
  const WeightGradients found = method->gradients(dense, beside, gradient);
  EXPECT_TRUE(torch::allclose(found.dense, w.grad(), 0, 1e-12));
  EXPECT_TRUE(torch::allclose(found.beside, m.grad(), 0, 1e-12));
}

// One unit with t = .2 and weights .5, -.3, .1, 1.3: distances .3, .1, .1 and 1.1 from the step
// have the slopes .8, 1.6, 1.6 and 0.
TEST(Reparameterisation, UnitThresholdEstimatesTheSlopeOfTheStep) {
  const auto method =
      make_reparameterisation({.method = SparseMethod::unit_threshold, .penalty = .5});
  const torch::Tensor dense = torch::tensor({{.5, -.3, .1, 1.3}}, torch::kDouble);
  torch::Tensor beside = torch::tensor({.2}, torch::kDouble);
  EXPECT_TRUE(torch::equal(method->effective(dense, beside),
                           torch::tensor({{.5, -.3, 0.0, 1.3}}, torch::kDouble)));
  const WeightGradients found =
      method->gradients(dense, beside, torch::ones({1, 4}, torch::kDouble));
  EXPECT_TRUE(torch::allclose(
      found.dense, torch::tensor({{1 + .5 * .8, 1 + .3 * 1.6, .1 * 1.6, 1.0}}, torch::kDouble), 0,
      1e-12));
  // -(.5 * .8 - .3 * 1.6 + .1 * 1.6) - .5 exp(-.2)
  EXPECT_NEAR(found.beside[0].item<double>(), -.08 - .5 * std::exp(-.2), 1e-12);
}

TEST(Reparameterisation, ThresholdsThatPruneALayerAwayStartAgain) {
  const auto method = make_reparameterisation({.method = SparseMethod::unit_threshold});
  const torch::Tensor dense = torch::tensor({{.5, -.3}}, torch::kDouble);
  torch::Tensor beside = torch::tensor({9.0}, torch::kDouble);
  EXPECT_TRUE(torch::equal(method->effective(dense, beside), dense));
  EXPECT_EQ(beside[0].item<double>(), 0);
}

TEST(SparseTraining, RefusesWhatTheMethodDoesNotHave) {
  const auto refusal = [](const std::string& optimizer, const SparseTrainingOptions& options) {
    return error_of([&] { (void)trained(recipe_with("{sparsity: 0.8}", optimizer), options); });
  };
  EXPECT_THAT(refusal(", name: adam", {}), HasSubstr("needs the optimizer sgd"));
  EXPECT_THAT(refusal(", momentum: 0", {.method = SparseMethod::sparse_momentum}),
              HasSubstr("needs momentum"));
  TrainingRecipe without_decay = recipe_with("{sparsity: 0.8}");
  without_decay.optimizer.weight_decay = 0;
  EXPECT_THAT(
      error_of([&] { (void)trained(without_decay, {.method = SparseMethod::compression}); }),
      HasSubstr("needs weight decay"));
  EXPECT_THAT(refusal("", {.sparsity = 1}), HasSubstr("sparsity"));
  EXPECT_THAT(refusal("", {.method = SparseMethod::continuous, .penalty = -1}),
              HasSubstr("penalty -1"));
  EXPECT_THAT(refusal("", {.method = SparseMethod::continuous, .final_beta = .5}),
              HasSubstr("final beta 0.5"));
}

TEST(PruneRecipe, ReadsMethodsOfSparseTraining) {
  const auto prune = [](const std::string& text) {
    return prune_recipe(recipe_with(text), "r.yml").value();
  };
  const PruneRecipe read =
      prune("{method: continuous, sparsity: 0.9, initial: -0.1, penalty: 0.001, final_beta: 50}");
  EXPECT_EQ(read.method, PruneRecipe::Method::sparse);
  EXPECT_EQ(read.sparse.method, SparseMethod::continuous);
  EXPECT_EQ(read.sparse.initial, -.1);
  EXPECT_EQ(read.sparse.penalty, .001);
  EXPECT_EQ(read.sparse.final_beta, 50);
  EXPECT_EQ(prune("{method: unit_threshold, sparsity: 0.5}").sparse.method,
            SparseMethod::unit_threshold);
  EXPECT_THAT(error_of([&] { (void)prune("{method: top_weights, sparsity: 0.9, penalty: 1}"); }),
              HasSubstr("unknown key 'prune.penalty'"));
  EXPECT_THAT(error_of([&] { (void)prune("{method: top_weight, sparsity: 0.9}"); }),
              HasSubstr("did you mean 'top_weights'"));
}

}  // namespace
}  // namespace amalgam::learned
