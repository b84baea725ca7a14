#include "amalgam/weights/learned/pleas.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "amalgam/core/error.hpp"
#include "amalgam/weights/learned/pleas_budget.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learned {
namespace {

using learning::Dataset;
using learning::toy_data;
using learning::toy_network;
using testing::ElementsAre;
using testing::IsEmpty;

void set_state(Network& network, const NamedTensors& state) {
  const torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : learning::state_of(network)) {
    tensor.copy_(tensor_named(state, name, "test"));
  }
}

torch::Tensor logits(Network& network, const Dataset& data) {
  const torch::NoGradGuard no_grad;
  return network.forward(data.inputs);
}

double largest_difference(const torch::Tensor& a, const torch::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

// Two networks of a kind, matched by activations.
struct Pair {
  Pair(const std::string& architecture, const nlohmann::json& options)
      : left(learning::network_with_biases(architecture, options, 1)),
        right(learning::network_with_biases(architecture, options, 2)),
        data(toy_data(300, 5)),
        spec(permutation_spec(*left)),
        grams(pair_grams(*left, *right, data)),
        matching(match_activations(spec, grams)) {}

  std::shared_ptr<Network> left;
  std::shared_ptr<Network> right;
  Dataset data;
  PermutationSpec spec;
  PairGrams grams;
  Matching matching;
};

const Pair& mlp_pair() {
  static const Pair kPair("mlp", {{"hidden", {8, 6}}});
  return kPair;
}
const Pair& cnn_pair() {
  static const Pair kPair("cnn", {{"channels", {4}}, {"hidden", {6}}});
  return kPair;
}

TEST(SplitUnits, KeepsExactCounts) {
  const std::vector<std::int64_t> partners{3, 2, 1, 0};
  const std::vector<double> scores{.9, .1, .5, .7};
  const UnitSplit half = split_units(partners, scores, separate_units(4, .5));
  EXPECT_THAT(half.merged, ElementsAre(0, 3));
  EXPECT_THAT(half.partners, ElementsAre(3, 0));
  EXPECT_THAT(half.left, ElementsAre(1, 2));
  EXPECT_THAT(half.right, ElementsAre(1, 2));
  EXPECT_EQ(half.width(), 6);
  const UnitSplit quarter = split_units(partners, scores, separate_units(4, .25));
  EXPECT_THAT(quarter.left, ElementsAre(1));
  EXPECT_EQ(quarter.width(), 5);
  const UnitSplit all = split_units(partners, scores, separate_units(4, 1));
  EXPECT_THAT(all.merged, IsEmpty());
  EXPECT_EQ(all.width(), 8);
}

TEST(SplitUnits, MergesLowerUnitsOfEqualScores) {
  const UnitSplit split = split_units({0, 1, 2, 3}, std::vector<double>(4, .5), 2);
  EXPECT_THAT(split.merged, ElementsAre(0, 1));
}

TEST(SplitUnits, RoundsHalvesToEven) {
  EXPECT_EQ(separate_units(5, .5), 2);
  EXPECT_EQ(separate_units(7, .5), 4);
  EXPECT_THROW(separate_units(5, 1.01), InputError);
  EXPECT_THROW(separate_units(5, -.1), InputError);
}

// One layer between two groups of equal ratio: (1 + r)^2 - 2 r^2 = 1 + 2 r - r^2.
TEST(MergeCost, LeavesOutZeroBlocks) {
  PermutationSpec spec;
  spec.groups.resize(2);
  spec.layers.push_back({.name = "l", .outputs = 1, .inputs = 0});
  const NamedTensors state{{"l.weight", torch::zeros({10, 20})}};
  const MergeCost cost = merge_cost(spec, state, {.5, .5});
  EXPECT_DOUBLE_EQ(cost.compute, 1.75);
  EXPECT_DOUBLE_EQ(cost.dense_compute, 2.25);
  EXPECT_DOUBLE_EQ(cost.parameters, (200 * 2.25 + 10 * 1.5) / 210);
  EXPECT_DOUBLE_EQ(merge_cost(spec, state, {0, 0}).compute, 1);
  EXPECT_DOUBLE_EQ(merge_cost(spec, state, {1, 1}).compute, 2);
  EXPECT_NEAR(uniform_ratio(spec, state, 1.2), 0.105573, 1e-6);
  EXPECT_NEAR(uniform_ratio(spec, state, 1.55), 0.329180, 1e-6);
  EXPECT_NEAR(uniform_ratio(spec, state, 1.8), 0.552786, 1e-6);
  EXPECT_NEAR(uniform_ratio(spec, state, 1), 0, 1e-9);
  EXPECT_DOUBLE_EQ(uniform_ratio(spec, state, 2), 1);
  EXPECT_THROW(uniform_ratio(spec, state, .9), InputError);
  EXPECT_THROW(uniform_ratio(spec, state, 2.1), InputError);
}

TEST(PartialMerge, WithRatioOneIsTheEnsemble) {
  for (const Pair* pair : {&mlp_pair(), &cnn_pair()}) {
    const auto merged = network_of(
        partial_merge(*pair->left, *pair->right, pair->spec, pair->matching, {.ratios = {1}}));
    const Dataset other = toy_data(20, 77);
    const torch::Tensor mean = (logits(*pair->left, other) + logits(*pair->right, other)) / 2;
    EXPECT_LT(largest_difference(logits(*merged, other), mean), 1e-5);
  }
}

TEST(PartialMerge, OfEveryUnitAveragesThePermutedNetwork) {
  const Pair& pair = cnn_pair();
  const PleasMerge merged =
      partial_merge(*pair.left, *pair.right, pair.spec, pair.matching, {.ratios = {0}});
  const NamedTensors left = learning::state_of(*pair.left);
  const NamedTensors right =
      permuted(pair.spec, learning::state_of(*pair.right), pair.matching.partners);
  for (std::size_t i = 0; i < left.size(); ++i) {
    EXPECT_EQ(merged.state[i].first, left[i].first);
    EXPECT_TRUE(
        torch::allclose(merged.state[i].second, (left[i].second + right[i].second) / 2, 0, 1e-7));
  }
  EXPECT_EQ(merged.description.options["channels"], (std::vector<int>{4}));
  EXPECT_DOUBLE_EQ(merged.cost.compute, 1);
}

// Fitting to the targets of r = 1 changes nothing: they are reached exactly.
TEST(Pleas, WithRatioOneIsTheEnsemble) {
  const Pair& pair = mlp_pair();
  const PleasMerge merged =
      pleas(*pair.left, *pair.right, pair.spec, pair.matching, pair.grams, {.ratios = {1}});
  for (const PleasLayer& layer : merged.layers) EXPECT_LT(layer.residual, 1e-6 * layer.energy);
  const Dataset other = toy_data(20, 77);
  const torch::Tensor mean = (logits(*pair.left, other) + logits(*pair.right, other)) / 2;
  EXPECT_LT(largest_difference(logits(*network_of(merged), other), mean), 1e-5);
}

TEST(Pleas, OfANetworkAndItsPermutationIsTheNetwork) {
  for (const Pair* pair : {&mlp_pair(), &cnn_pair()}) {
    const auto other = learning::network_with_biases(pair->left->description().architecture,
                                                     pair->left->description().options, 9);
    Permutations planted;
    for (const PermutationGroup& group : pair->spec.groups) {
      planted.push_back(random_permutation(group.units, 6, group.name));
    }
    set_state(*other, permuted(pair->spec, learning::state_of(*pair->left), planted));
    const PairGrams grams = pair_grams(*pair->left, *other, pair->data);
    const Matching matching = match_weights(pair->spec, *pair->left, *other);
    const torch::Tensor expected = logits(*pair->left, pair->data);
    for (const double ratio : {0.0, 0.5}) {
      const PleasOptions options{.ratios = {ratio}};
      EXPECT_LT(
          largest_difference(
              expected,
              logits(*network_of(partial_merge(*pair->left, *other, pair->spec, matching, options)),
                     pair->data)),
          1e-5);
      EXPECT_LT(
          largest_difference(expected, logits(*network_of(pleas(*pair->left, *other, pair->spec,
                                                                matching, grams, options)),
                                              pair->data)),
          1e-5);
    }
  }
}

TEST(Pleas, KeepsBlocksBetweenSeparateUnitsExactlyZero) {
  const Pair& pair = mlp_pair();
  for (const bool solved : {false, true}) {
    const PleasOptions options{.ratios = {.5}};
    const PleasMerge merged =
        solved ? pleas(*pair.left, *pair.right, pair.spec, pair.matching, pair.grams, options)
               : partial_merge(*pair.left, *pair.right, pair.spec, pair.matching, options);
    // layers.1 leads from 4 merged + 4 + 4 to 3 merged + 3 + 3 units.
    const torch::Tensor& weight = tensor_named(merged.state, "layers.1.weight", "test");
    ASSERT_EQ(weight.sizes(), (std::vector<std::int64_t>{9, 12}));
    EXPECT_EQ(weight.narrow(0, 3, 3).narrow(1, 8, 4).abs().max().item<double>(), 0);
    EXPECT_EQ(weight.narrow(0, 6, 3).narrow(1, 4, 4).abs().max().item<double>(), 0);
    EXPECT_GT(weight.narrow(0, 3, 3).narrow(1, 4, 4).abs().min().item<double>(), 0);
    EXPECT_EQ(merged.description.options["hidden"], (std::vector<int>{12, 9}));
  }
}

// What least squares minimise, from the activations themselves: layers.1 of the mlp, half of whose
// units are merged.
TEST(Pleas, SolvesTheRegressionOfTheLayers) {
  const Pair& pair = mlp_pair();
  const PleasMerge merged = pleas(*pair.left, *pair.right, pair.spec, pair.matching, pair.grams,
                                  {.ratios = {.5}, .ridge = 1e-12});
  const auto run = [&](Network& network) {
    std::pair<torch::Tensor, torch::Tensor> seen;
    const torch::NoGradGuard no_grad;
    network.forward(pair.data.inputs, [&](const torch::nn::Module&, const torch::Tensor& input,
                                          const torch::Tensor& output) {
      if (input.size(-1) == 8 && input.dim() == 2) {
        seen = {input.to(torch::kDouble), output.to(torch::kDouble)};
      }
    });
    return seen;
  };
  const auto [left_in, left_out] = run(*pair.left);
  const auto [right_in, right_out] = run(*pair.right);
  const auto split = [&](std::size_t g) {
    return split_units(pair.matching.partners[g], pair.matching.scores(g),
                       pair.spec.groups[g].units / 2);
  };
  const auto pick = [](const torch::Tensor& columns, const std::vector<std::int64_t>& units) {
    return columns.index_select(1, torch::tensor(units, torch::kLong));
  };
  const auto mixed = [&](const torch::Tensor& a, const torch::Tensor& b, const UnitSplit& units) {
    return std::vector<torch::Tensor>{(pick(a, units.merged) + pick(b, units.partners)) / 2,
                                      pick(a, units.left), pick(b, units.right)};
  };
  const std::vector<torch::Tensor> x = mixed(left_in, right_in, split(0));
  const std::vector<torch::Tensor> y = mixed(left_out, right_out, split(1));
  const torch::Tensor one = torch::ones({left_in.size(0), 1}, torch::kDouble);
  const torch::Tensor& weight =
      tensor_named(merged.state, "layers.1.weight", "test").to(torch::kDouble);
  const auto expect_rows = [&](std::int64_t first, const torch::Tensor& inputs,
                               const torch::Tensor& targets, const torch::Tensor& columns) {
    const torch::Tensor best =
        std::get<0>(torch::linalg_lstsq(torch::cat({inputs, one}, 1), targets, c10::nullopt,
                                        std::string("gelsd")))
            .t();
    const torch::Tensor found = weight.narrow(0, first, 3).index_select(1, columns);
    const torch::Tensor all =
        inputs.mm(found.t()) +
        tensor_named(merged.state, "layers.1.bias", "test").narrow(0, first, 3).to(torch::kDouble);
    const torch::Tensor ideal = torch::cat({inputs, one}, 1).mm(best.t());
    EXPECT_LT(largest_difference(all, ideal), 1e-3) << first;
  };
  const torch::Tensor index = torch::arange(12, torch::kLong);
  expect_rows(0, torch::cat(x, 1), y[0], index);
  expect_rows(3, torch::cat({x[0], x[1]}, 1), y[1], index.narrow(0, 0, 8));
  expect_rows(6, torch::cat({x[0], x[2]}, 1), y[2],
              torch::cat({index.narrow(0, 0, 4), index.narrow(0, 8, 4)}));
  EXPECT_LT(merged.layers[1].residual, merged.layers[1].residual_before);
}

// Of inputs x = 1, 2, 3 and targets y = 2, 4.1, 5.9 the slope is 27.9 / 14, from the sums
// (10.2, 5) of the first two and (17.7, 9) of the last. Here x = (a + b) / 2 and y = (a + 3 b) / 2
// for the networks' inputs a = 1, 1.9, 3.1 and b = 1, 2.1, 2.9 and their weights 1 and 3; the
// constant is given as uncorrelated, so that the bias is 0.
TEST(Pleas, SolvesTheWorkedScalar) {
  const auto left = toy_network("mlp", {{"hidden", {1}}}, 1);
  const auto right = toy_network("mlp", {{"hidden", {1}}}, 2);
  {
    const torch::NoGradGuard no_grad;
    left->parameters()[2].fill_(1);
    right->parameters()[2].fill_(3);
  }
  const auto sums = [](const std::vector<double>& a, const std::vector<double>& b) {
    const auto product = [](const std::vector<double>& x, const std::vector<double>& y) {
      double sum = 0;
      for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
      torch::Tensor gram = torch::zeros({2, 2}, torch::kDouble);
      gram[0][0] = sum;
      gram[1][1] = static_cast<double>(x.size());
      return gram;
    };
    return PairGram{product(a, a), product(b, b), product(a, b), 1, a.size()};
  };
  const PermutationSpec spec = permutation_spec(*left);
  PairGrams grams = pair_grams(*left, *right, toy_data(100, 1));
  grams["layers.1"] = sums({1, 1.9}, {1, 2.1});
  grams["layers.1"].combine(sums({3.1}, {2.9}));
  const PleasMerge merged =
      pleas(*left, *right, spec, match_activations(spec, grams), grams, {.ridge = 0});
  const torch::Tensor& weight = tensor_named(merged.state, "layers.1.weight", "test");
  EXPECT_NEAR(weight.min().item<double>(), 27.9 / 14, 1e-6);
  EXPECT_NEAR(weight.max().item<double>(), 27.9 / 14, 1e-6);
  EXPECT_EQ(tensor_named(merged.state, "layers.1.bias", "test").abs().max().item<double>(), 0);
}

TEST(Pleas, OfALinearModelAveragesIt) {
  const auto left = learning::network_with_biases("mlp", {{"hidden", nlohmann::json::array()}}, 1);
  const auto right = learning::network_with_biases("mlp", {{"hidden", nlohmann::json::array()}}, 2);
  const PermutationSpec spec = permutation_spec(*left);
  const PairGrams grams = pair_grams(*left, *right, toy_data(200, 1));
  const PleasMerge merged =
      pleas(*left, *right, spec, match_activations(spec, grams), grams, {.ridge = 0});
  EXPECT_LT(largest_difference(merged.state[0].second,
                               (left->parameters()[0] + right->parameters()[0]) / 2),
            1e-5);
  EXPECT_TRUE(merged.groups.empty());
}

TEST(Pleas, StackedFitWithoutPermutationIsRegression) {
  const Pair& pair = mlp_pair();
  const PleasMerge merged =
      pleas(*pair.left, *pair.right, pair.spec, without_permutation(pair.matching), pair.grams,
            {.ridge = 1e-9, .fit = PleasOptions::Fit::stacked});
  // RegMean: W = (sum W_i G_i)(sum G_i)^-1, here with the bias as a column.
  const auto with_bias = [](const Network& network) {
    const NamedTensors state = learning::state_of(network);
    return torch::cat({tensor_named(state, "layers.1.weight", "test"),
                       tensor_named(state, "layers.1.bias", "test").unsqueeze(1)},
                      1)
        .detach()
        .to(torch::kDouble);
  };
  const PairGram& sums = pair.grams.at("layers.1");
  const torch::Tensor moment =
      with_bias(*pair.left).mm(sums.left) + with_bias(*pair.right).mm(sums.right);
  const torch::Tensor gram = sums.left + sums.right;
  const torch::Tensor expected =
      torch::linalg_solve(gram + 1e-9 * gram.diagonal().mean() * torch::eye(9, torch::kDouble),
                          moment.t())
          .t();
  EXPECT_LT(largest_difference(tensor_named(merged.state, "layers.1.weight", "test"),
                               expected.narrow(1, 0, 8)),
            1e-4);
}

TEST(Pleas, KeepsThePartialMergeWhereTheRidgeOutweighsTheData) {
  const Pair& pair = cnn_pair();
  const PleasMerge start =
      partial_merge(*pair.left, *pair.right, pair.spec, pair.matching, {.ratios = {.5}});
  const PleasMerge merged = pleas(*pair.left, *pair.right, pair.spec, pair.matching, pair.grams,
                                  {.ratios = {.5}, .ridge = 1e9});
  for (std::size_t i = 0; i < start.state.size(); ++i) {
    EXPECT_LT(largest_difference(start.state[i].second, merged.state[i].second), 1e-6);
  }
}

TEST(Pleas, MeetsABudget) {
  const Pair& pair = mlp_pair();
  const PleasMerge merged =
      pleas(*pair.left, *pair.right, pair.spec, pair.matching, pair.grams, {.budget = 1.5});
  EXPECT_LE(merged.cost.compute, 1.5);
  EXPECT_GT(merged.cost.compute, 1.3);
  std::int64_t entries = 0;
  for (const auto& [name, tensor] : merged.state) entries += tensor.numel();
  EXPECT_NEAR(
      merged.cost.parameters * static_cast<double>(learning::all_parameters(*pair.left).numel()),
      static_cast<double>(entries), 1e-6);
}

TEST(Pleas, RefusesWhatItCannotDo) {
  const Pair& pair = mlp_pair();
  const auto with = [&](const PleasOptions& options) {
    return pleas(*pair.left, *pair.right, pair.spec, pair.matching, pair.grams, options);
  };
  EXPECT_THROW(with({.ratios = {1.5}}), InputError);
  EXPECT_THROW(with({.ratios = {.1, .2, .3}}), InputError);
  EXPECT_THROW(with({.ratios = {.1}, .budget = 1.2}), InputError);
  EXPECT_THROW(with({.budget = 2.5}), InputError);
  EXPECT_THROW(with({.ridge = -1}), InputError);
  EXPECT_THROW(pleas(*pair.left, *pair.right, pair.spec, pair.matching, {}), InputError);
  // Ten images cannot determine 36 weights.
  const PairGrams few = pair_grams(*pair.left, *pair.right, toy_data(10, 1));
  EXPECT_THROW(pleas(*pair.left, *pair.right, pair.spec, pair.matching, few, {.ridge = 0}),
               InputError);
  EXPECT_TRUE(
      pleas(*pair.left, *pair.right, pair.spec, pair.matching, few).layers.front().underdetermined);
}

}  // namespace
}  // namespace amalgam::learned
