#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/batch_norm.hpp"
#include "amalgam/weights/learned/pleas.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learned {
namespace {

using learning::Dataset;
using learning::network_with_biases;
using learning::toy_data;
using learning::toy_network;
using testing::ElementsAre;

torch::Tensor logits(Network& network, const Dataset& data) {
  const torch::NoGradGuard no_grad;
  return network.forward(data.inputs.to(torch::kDouble));
}

double largest_difference(const torch::Tensor& a, const torch::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

std::shared_ptr<Network> folded_resnet(std::uint64_t seed) {
  auto network = network_with_biases("resnet", {{"width", 3}}, seed);
  network->to(torch::kDouble);
  network->eval();
  return learning::fold_batch_norm(*network);
}

TEST(FoldBatchNorm, LeavesTheFunctionAsItIs) {
  const auto network = network_with_biases("resnet", {{"depth", 14}, {"width", 3}}, 4);
  network->to(torch::kDouble);
  network->train();
  const auto folded = learning::fold_batch_norm(*network);
  EXPECT_TRUE(network->is_training());
  network->eval();
  EXPECT_FALSE(learning::has_batch_norm(*folded));
  const Dataset data = toy_data(20, 1);
  const torch::Tensor expected = logits(*network, data);
  EXPECT_LT(largest_difference(expected, logits(*folded, data)),
            1e-9 * expected.abs().max().item<double>());
  EXPECT_THROW(learning::fold_batch_norm(*folded), InputError);
}

class ResnetPleas : public testing::Test {
 protected:
  ResnetPleas()
      : left_(folded_resnet(1)),
        right_(folded_resnet(2)),
        data_(toy_data(200, 5)),
        spec_(permutation_spec(*left_)),
        grams_(pair_grams(*left_, *right_, data_)),
        matching_(match_activations(spec_, grams_)) {}

  std::shared_ptr<Network> left_;
  std::shared_ptr<Network> right_;
  Dataset data_;
  PermutationSpec spec_;
  PairGrams grams_;
  Matching matching_;
};

TEST_F(ResnetPleas, WithRatioOneIsTheEnsemble) {
  const torch::Tensor mean = (logits(*left_, data_) + logits(*right_, data_)) / 2;
  const double scale = mean.abs().max().item<double>();
  const PleasMerge partial = partial_merge(*left_, *right_, spec_, matching_, {.ratios = {1}});
  EXPECT_EQ(partial.description.options["widths"], (nlohmann::json{6, 12, 24}));
  EXPECT_EQ(partial.description.options["inner"], (nlohmann::json{6, 12, 24}));
  EXPECT_EQ(partial.description.options["blocks"], (nlohmann::json{1, 1, 1}));
  EXPECT_LT(largest_difference(logits(*network_of(partial), data_), mean), 1e-6 * scale);
  const PleasMerge fitted = pleas(*left_, *right_, spec_, matching_, grams_, {.ratios = {1}});
  EXPECT_LT(largest_difference(logits(*network_of(fitted), data_), mean), 1e-6 * scale);
}

TEST_F(ResnetPleas, OfANetworkAndItsPermutationIsTheNetwork) {
  Permutations order;
  for (const PermutationGroup& group : spec_.groups) {
    order.push_back(random_permutation(group.units, 3, group.name));
  }
  const auto moved =
      learning::network_with(*left_, permuted(spec_, learning::state_of(*left_), order));
  const Matching found = match_weights(spec_, *left_, *moved, {.seed = 1});
  EXPECT_EQ(found.partners, inverse(order));
  const torch::Tensor expected = logits(*left_, data_);
  const PleasMerge merged = partial_merge(*left_, *moved, spec_, found, {});
  EXPECT_LT(largest_difference(logits(*network_of(merged), data_), expected),
            1e-6 * expected.abs().max().item<double>());
  // Without the permutation the average is another function.
  const PleasMerge naive = partial_merge(*left_, *moved, spec_, without_permutation(found), {});
  EXPECT_GT(largest_difference(logits(*network_of(naive), data_), expected),
            1e-2 * expected.abs().max().item<double>());
}

TEST_F(ResnetPleas, LeastSquaresBringsEveryLayerNearer) {
  const PleasMerge merged = pleas(*left_, *right_, spec_, matching_, grams_, {.ratios = {0.5}});
  ASSERT_EQ(merged.layers.size(), 10U) << "seven convolutions, two projections, one linear layer";
  double before = 0;
  double after = 0;
  for (const PleasLayer& layer : merged.layers) {
    before += layer.residual_before;
    after += layer.residual;
    // Where nothing is left to fit, rounding is.
    EXPECT_LE(layer.residual, layer.residual_before * (1 + 1e-9) + 1e-12) << layer.name;
  }
  EXPECT_LT(after, 0.9 * before);
  EXPECT_NO_THROW(network_of(merged));
}

TEST(PleasOfResnets, NeedsBatchNormToBeFolded) {
  const auto left = network_with_biases("resnet", {{"width", 2}}, 1);
  const auto right = network_with_biases("resnet", {{"width", 2}}, 2);
  const PermutationSpec spec = permutation_spec(*left);
  const Matching matching = match_weights(spec, *left, *right);
  try {
    partial_merge(*left, *right, spec, matching, {});
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("BatchNorm"));
  }
}

}  // namespace
}  // namespace amalgam::learned
