// What PLeaS offers beside the exact fit of shared outputs: budgets shared out by scores, Adam, and
// heads of the networks' own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/validation.hpp"
#include "amalgam/weights/learned/linear_probe.hpp"
#include "amalgam/weights/learned/pleas.hpp"
#include "amalgam/weights/learned/pleas_budget.hpp"
#include "tests/error_of.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learned {
namespace {

using learning::Dataset;
using learning::toy_data;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;

torch::Tensor logits(Network& network, const Dataset& data) {
  const torch::NoGradGuard no_grad;
  return network.forward(data.inputs);
}

double largest_difference(const torch::Tensor& a, const torch::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

struct Pair {
  explicit Pair(const nlohmann::json& hidden)
      : left(learning::network_with_biases("mlp", {{"hidden", hidden}}, 1)),
        right(learning::network_with_biases("mlp", {{"hidden", hidden}}, 2)),
        data(toy_data(200, 5)),
        spec(permutation_spec(*left)),
        grams(pair_grams(*left, *right, data)),
        matching(match_activations(spec, grams)) {}

  NamedTensors state() const { return learning::state_of(*left); }

  std::shared_ptr<Network> left;
  std::shared_ptr<Network> right;
  Dataset data;
  PermutationSpec spec;
  PairGrams grams;
  Matching matching;
};

const Pair& two_groups() {
  static const Pair kPair({8, 6});
  return kPair;
}

double gained(const std::vector<double>& ratios, const std::vector<double>& weights) {
  double sum = 0;
  for (std::size_t g = 0; g < ratios.size(); ++g) sum += ratios[g] * weights[g];
  return sum;
}

// By trying everything on a grid.
double best_on_grid(const Pair& pair, double budget, const std::vector<double>& weights) {
  constexpr int kSteps = 400;
  double best = 0;
  for (int i = 0; i <= kSteps; ++i) {
    for (int j = 0; j <= kSteps; ++j) {
      const std::vector<double> ratios{i / double{kSteps}, j / double{kSteps}};
      if (gained(ratios, weights) > best &&
          merge_cost(pair.spec, pair.state(), ratios).compute <= budget) {
        best = gained(ratios, weights);
      }
    }
  }
  return best;
}

TEST(PleasBudget, IsSharedOutAsWellAsOnAGridOfAllRatios) {
  const Pair& pair = two_groups();
  for (const double budget : {1.1, 1.5, 1.9}) {
    for (const std::vector<double>& weights :
         {std::vector<double>{1, 1}, {1, 5}, {5, 1}, {1e-5, 1}}) {
      const std::vector<double> ratios = allocate_budget(pair.spec, pair.state(), budget, weights);
      EXPECT_LE(merge_cost(pair.spec, pair.state(), ratios).compute, budget + 1e-9);
      EXPECT_GE(gained(ratios, weights), best_on_grid(pair, budget, weights) - 1e-6)
          << budget << " " << weights[1];
    }
  }
}

TEST(PleasBudget, GoesToTheGroupThatGainsFromIt) {
  const Pair& pair = two_groups();
  const std::vector<double> second = allocate_budget(pair.spec, pair.state(), 1.1, {1e-5, 1});
  EXPECT_GT(second[1], second[0]);
  const PleasMerge merged = pleas(*pair.left, *pair.right, pair.spec, pair.matching, pair.grams,
                                  {.budget = 1.1, .weights = {1e-5, 1}});
  EXPECT_GT(merged.ratios[1], merged.ratios[0]);
  EXPECT_LE(merged.cost.compute, 1.1);
}

// Layers 36 x 8, 8 x 6 and 6 x 4 of 288, 48 and 24 multiplications, 360 in all. Keeping the second
// group apart doubles the last two: 432 / 360 = 1.2.
TEST(PleasBudget, ZipsFromTheFirstGroupOn) {
  const Pair& pair = two_groups();
  const auto zip = [&](double budget) { return zip_ratios(pair.spec, pair.state(), budget); };
  EXPECT_THAT(zip(1), ElementsAre(0, 0));
  EXPECT_THAT(zip(1.19), ElementsAre(0, 0));
  EXPECT_THAT(zip(1.2), ElementsAre(0, 1));
  EXPECT_THAT(zip(1.99), ElementsAre(0, 1));
  EXPECT_THAT(zip(2), ElementsAre(1, 1));
}

// At B = 1.2: .8 (only_separate - .5) - .2 (only_merged - .9).
TEST(PleasBudget, WeightsFollowFromScores) {
  const GroupScores scores{.all_merged = .5,
                           .all_separate = .9,
                           .only_separate = {.6, .4, .5},
                           .only_merged = {.8, .7, .95}};
  EXPECT_THAT(group_weights(scores, 1.2),
              ElementsAre(DoubleNear(.1, 1e-12), DoubleNear(1e-5, 1e-12), DoubleNear(1e-5, 1e-12)));
  EXPECT_THAT(group_weights(scores, 2),
              ElementsAre(DoubleNear(.1, 1e-12), DoubleNear(.2, 1e-12), DoubleNear(1e-5, 1e-12)));
}

TEST(PleasBudget, ScoresOfEverythingApartAreThoseOfTheMeanLogits) {
  const Pair& pair = two_groups();
  const torch::Tensor mean = (logits(*pair.left, pair.data) + logits(*pair.right, pair.data)) / 2;
  const GroupScores scores = group_scores(
      *pair.left, *pair.right, pair.spec, pair.matching, {},
      [&](Network& network) { return -largest_difference(logits(network, pair.data), mean); });
  EXPECT_NEAR(scores.all_separate, 0, 1e-5);
  EXPECT_LT(scores.all_merged, -.01);
  EXPECT_EQ(scores.only_separate.size(), 2U);
  EXPECT_LT(scores.only_merged[0], -.001);
}

TEST(PleasBudget, RefusesWhatIsNone) {
  const Pair& pair = two_groups();
  EXPECT_THROW(zip_ratios(pair.spec, pair.state(), 2.5), InputError);
  EXPECT_THROW(allocate_budget(pair.spec, pair.state(), .5, {1, 1}), InputError);
  EXPECT_THROW(allocate_budget(pair.spec, pair.state(), 1.5, {1}), InputError);
  EXPECT_THROW(allocate_budget(pair.spec, pair.state(), 1.5, {1, 0}), InputError);
  EXPECT_THROW(group_weights({}, 3), InputError);
}

TEST(PleasAdam, ComesToWhatLeastSquaresGive) {
  const Pair& pair = two_groups();
  const PleasOptions options{.ratios = {.5}, .ridge = 1e-9};
  const PleasMerge exact =
      pleas(*pair.left, *pair.right, pair.spec, pair.matching, pair.grams, options);
  const PleasMerge adam =
      pleas_by_adam(*pair.left, *pair.right, pair.spec, pair.matching, pair.data,
                    {.learning_rate = 1e-2, .steps = 1500, .batch = 64}, options);
  for (std::size_t i = 0; i < exact.layers.size(); ++i) {
    const PleasLayer& layer = adam.layers[i];
    EXPECT_NEAR(layer.energy, exact.layers[i].energy, 1e-6 * layer.energy);
    EXPECT_NEAR(layer.residual_before, exact.layers[i].residual_before, 1e-6 * layer.energy);
    EXPECT_GE(layer.residual, exact.layers[i].residual - 1e-9 * layer.energy) << "the least";
    // Of the first layer, whose targets are reached from the start, rounding is left.
    EXPECT_LE(layer.residual,
              exact.layers[i].residual + .02 * layer.residual_before + 1e-12 * layer.energy)
        << i;
  }
}

TEST(PleasAdam, LeavesZeroBlocksExactlyZero) {
  const Pair& pair = two_groups();
  const PleasMerge merged =
      pleas_by_adam(*pair.left, *pair.right, pair.spec, pair.matching, pair.data,
                    {.learning_rate = .1, .steps = 5}, {.ratios = {.5}});
  // 8 and 6 units: [4 | 4 | 4] and [3 | 3 | 3].
  const torch::Tensor weight = tensor_named(merged.state, "layers.1.weight", "test");
  EXPECT_EQ(weight.narrow(0, 3, 3).narrow(1, 8, 4).abs().max().item<double>(), 0.0);
  EXPECT_EQ(weight.narrow(0, 6, 3).narrow(1, 4, 4).abs().max().item<double>(), 0.0);
  EXPECT_GT(weight.narrow(0, 3, 3).narrow(1, 4, 4).abs().max().item<double>(), 0.0);
}

// Adam's first step is the learning rate against the sign of the gradient.
TEST(PleasAdam, StartsFromPartialMerging) {
  const Pair& pair = two_groups();
  const PleasMerge start =
      partial_merge(*pair.left, *pair.right, pair.spec, pair.matching, {.ratios = {0}});
  const auto after = [&](std::uint64_t seed) {
    return pleas_by_adam(*pair.left, *pair.right, pair.spec, pair.matching, pair.data,
                         {.learning_rate = 1e-3, .steps = 1, .seed = seed}, {.ratios = {0}});
  };
  const std::string name = "layers.1.weight";
  const torch::Tensor moved =
      tensor_named(after(1).state, name, "test") - tensor_named(start.state, name, "test");
  EXPECT_NEAR(moved.abs().max().item<double>(), 1e-3, 1e-6);
  EXPECT_NEAR(moved.abs().min().item<double>(), 1e-3, 1e-5);
  EXPECT_TRUE(torch::equal(tensor_named(after(1).state, name, "test"),
                           tensor_named(after(1).state, name, "test")));
}

TEST(PleasAdam, RefusesWhatItCannotDo) {
  const Pair& pair = two_groups();
  const auto with = [&](const PleasAdam& adam) {
    return error_of([&] {
      (void)pleas_by_adam(*pair.left, *pair.right, pair.spec, pair.matching, pair.data, adam);
    });
  };
  EXPECT_THAT(with({.learning_rate = 0}), HasSubstr("a rate of 0"));
  EXPECT_THAT(with({.learning_rate = std::nan("")}), HasSubstr("rate of nan"));
  EXPECT_THAT(with({.steps = 0}), HasSubstr("0 steps"));
  EXPECT_THAT(with({.batch = 0}), HasSubstr("0 examples"));
}

// A network like `like` but for its classes, with the trunk of `like` in another order of units.
std::shared_ptr<Network> with_other_classes(const Network& like, std::int64_t classes) {
  learning::NetworkDescription description = like.description();
  description.class_names.clear();
  for (std::int64_t i = 0; i < classes; ++i) {
    description.class_names.push_back("other " + std::to_string(i));
  }
  auto network = learning::make_network(description, "test");
  learning::initialise(*network, 9);
  const torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : learning::state_of(*network)) {
    const torch::Tensor from = tensor_named(learning::state_of(like), name, "test");
    if (from.sizes() == tensor.sizes()) torch::Tensor(tensor).copy_(from);
  }
  network->eval();
  return network;
}

struct OwnOutputs {
  OwnOutputs(std::shared_ptr<Network> first, std::shared_ptr<Network> second)
      : left(std::move(first)),
        right(std::move(second)),
        data(toy_data(200, 5)),
        spec(with_own_outputs(permutation_spec(*left))),
        grams(pair_grams(*left, *right, data)),
        matching(match_activations(spec, grams)) {}

  void expect_own_logits(const PleasMerge& merged, double tolerance) {
    const auto network = network_of(merged);
    EXPECT_EQ(network->description().heads.size(), 2U);
    const torch::Tensor both = logits(*network, data);
    const std::int64_t first = left->description().classes();
    EXPECT_LT(largest_difference(both.narrow(1, 0, first), logits(*left, data)), tolerance);
    EXPECT_LT(largest_difference(both.narrow(1, first, both.size(1) - first), logits(*right, data)),
              tolerance);
  }

  std::shared_ptr<Network> left;
  std::shared_ptr<Network> right;
  Dataset data;
  PermutationSpec spec;
  PairGrams grams;
  Matching matching;
};

TEST(PleasHeads, EverythingApartGivesBothNetworksLogits) {
  for (const char* architecture : {"mlp", "cnn"}) {
    const auto left = learning::network_with_biases(architecture, nlohmann::json::object(), 1);
    const auto right = with_other_classes(
        *learning::network_with_biases(architecture, nlohmann::json::object(), 2), 3);
    OwnOutputs pair(left, right);
    const PleasMerge merged =
        partial_merge(*pair.left, *pair.right, pair.spec, pair.matching, {.ratios = {1}});
    pair.expect_own_logits(merged, 1e-4);
    EXPECT_NEAR(merged.cost.compute, 2, 1e-12);
  }
}

TEST(PleasHeads, ReadTheirOwnNetworksUnitsInTheirOrder) {
  const auto left = learning::network_with_biases("mlp", {{"hidden", {8, 6}}}, 1);
  const auto same = with_other_classes(*left, 3);
  // The same trunk with its units in another order, under another head.
  const PermutationSpec spec = permutation_spec(*same);
  const Permutations order{random_permutation(8, 1, "first"), random_permutation(6, 1, "second")};
  const auto right =
      learning::network_with(*same, permuted(spec, learning::state_of(*same), order));
  OwnOutputs pair(left, right);
  pair.expect_own_logits(
      partial_merge(*pair.left, *pair.right, pair.spec, pair.matching, {.ratios = {0}}), 1e-5);
  pair.expect_own_logits(
      pleas(*pair.left, *pair.right, pair.spec, pair.matching, pair.grams, {.ratios = {.5}}), 1e-2);
  // By weights too: what computes the logits has no part in it.
  const Matching by_weights = match_weights(pair.spec, *pair.left, *pair.right);
  pair.expect_own_logits(
      partial_merge(*pair.left, *pair.right, pair.spec, by_weights, {.ratios = {0}}), 1e-5);
}

TEST(PleasHeads, AreNotFittedAndHaveTheirNames) {
  const auto left = learning::network_with_biases("mlp", {{"hidden", {8, 6}}}, 1);
  OwnOutputs pair(
      left, with_other_classes(*learning::network_with_biases("mlp", {{"hidden", {8, 6}}}, 2), 3));
  const PleasMerge merged = pleas(*pair.left, *pair.right, pair.spec, pair.matching, pair.grams,
                                  {.ratios = {0}, .heads = {"digits", "letters"}});
  EXPECT_EQ(merged.layers.size(), 2U) << "the trunk's";
  EXPECT_EQ(merged.description.head("letters", "test").classes, 3);
  EXPECT_EQ(merged.description.class_names[5], "other 1");
  EXPECT_TRUE(torch::equal(tensor_named(merged.state, "heads.digits.weight", "test"),
                           tensor_named(learning::state_of(*left), "layers.2.weight", "test")));
}

TEST(PleasHeads, RefusesWhatDoesNotGoTogether) {
  const auto left = learning::network_with_biases("mlp", {{"hidden", {8, 6}}}, 1);
  const auto right = with_other_classes(*left, 3);
  OwnOutputs pair(left, right);
  EXPECT_THAT(error_of([&] { check_pair(*left, *right); }), HasSubstr("layers.2.weight"));
  const auto named = [&](const std::array<std::string, 2>& heads) {
    return error_of(
        [&] { (void)partial_merge(*left, *right, pair.spec, pair.matching, {.heads = heads}); });
  };
  EXPECT_THAT(named({"a", "a"}), HasSubstr("another name"));
  EXPECT_THAT(named({"a", ""}), HasSubstr("heads[1].name"));
  const auto narrower = learning::network_with_biases("mlp", {{"hidden", {8, 5}}}, 1);
  EXPECT_THAT(error_of([&] { check_pair(*left, *narrower, true); }), HasSubstr("layers.1.weight"));
}

TEST(LinearProbe, LearnsTheHeadAndNothingElse) {
  const auto network = learning::toy_network("mlp", {{"hidden", {16}}}, 3);
  const torch::Tensor trunk =
      tensor_named(learning::copied_state(*network), "layers.0.weight", "test");
  const Dataset train = toy_data(400, 1);
  const double loss = fit_linear_probe(*network, train, {.epochs = 100, .learning_rate = 5e-2});
  EXPECT_LT(loss, .2);
  EXPECT_GT(learning::validate(*network, toy_data(200, 2)).accuracy, .85);
  EXPECT_TRUE(
      torch::equal(trunk, tensor_named(learning::state_of(*network), "layers.0.weight", "test")));
}

TEST(LinearProbe, RefusesWhatIsNone) {
  const auto network = learning::toy_network("mlp", {{"hidden", {4}}}, 3);
  const Dataset data = toy_data(10, 1);
  EXPECT_THROW(fit_linear_probe(*network, data, {.epochs = 0}), InputError);
  EXPECT_THROW(fit_linear_probe(*network, data, {.learning_rate = -1}), InputError);
  Dataset other = data;
  other.head = "none";
  EXPECT_THROW(fit_linear_probe(*network, other), InputError);
}

}  // namespace
}  // namespace amalgam::learned
