#include "amalgam/weights/learned/regmean.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/layer_gradients.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learned {
namespace {

NamedTensors layer(const torch::Tensor& weight) { return {{"layer.weight", weight}}; }

GramSums gram(const torch::Tensor& products) { return {{"layer", {products, 1}}}; }

torch::Tensor merged(const NamedTensors& a, const GramSums& ga, const NamedTensors& b,
                     const GramSums& gb, double off_diagonal = 1) {
  return regmean({&a, &b}, {&ga, &gb}, {.off_diagonal = off_diagonal, .shares = {}})[0].second;
}

torch::Tensor matrix(std::vector<double> values, std::int64_t rows) {
  return torch::tensor(values, torch::kDouble).view({rows, -1});
}

TEST(RegMean, WorkedChecksOfTheCard) {
  EXPECT_NEAR(merged(layer(matrix({2}, 1)), gram(matrix({1}, 1)), layer(matrix({6}, 1)),
                     gram(matrix({3}, 1)))
                  .item<double>(),
              5, 1e-7);
  // Each input direction from the model that saw it.
  EXPECT_TRUE(torch::allclose(merged(layer(matrix({2, 9}, 1)), gram(matrix({1, 0, 0, 0}, 2)),
                                     layer(matrix({7, 6}, 1)), gram(matrix({0, 0, 0, 1}, 2))),
                              matrix({2, 6}, 1), 1e-7, 1e-7));
}

TEST(RegMean, EqualMembersStayWhateverTheyHaveSeen) {
  const torch::Tensor weight = torch::randn({4, 6}, torch::kDouble);
  const torch::Tensor x = torch::randn({3, 6}, torch::kDouble);  // not of full rank
  EXPECT_TRUE(torch::allclose(
      merged(layer(weight), gram(x.t().mm(x)), layer(weight), gram(2 * x.t().mm(x))), weight, 1e-9,
      1e-9));
}

TEST(RegMean, MinimisesTheDifferenceOfOutputs) {
  torch::manual_seed(1);
  const torch::Tensor x1 = torch::randn({50, 5}, torch::kDouble);
  const torch::Tensor x2 = torch::randn({50, 5}, torch::kDouble) * 3;
  const torch::Tensor w1 = torch::randn({2, 5}, torch::kDouble);
  const torch::Tensor w2 = torch::randn({2, 5}, torch::kDouble);
  GramSums g1{{"layer", {x1.t().mm(x1), 50}}};
  GramSums g2{{"layer", {x2.t().mm(x2), 50}}};
  const torch::Tensor best = merged(layer(w1), g1, layer(w2), g2);
  const auto cost = [&](const torch::Tensor& w) {
    return ((x1.mm((w - w1).t())).square().sum() + (x2.mm((w - w2).t())).square().sum())
        .item<double>();
  };
  for (int i = 0; i < 20; ++i) {
    EXPECT_LE(cost(best), cost(best + 1e-3 * torch::randn({2, 5}, torch::kDouble)) + 1e-6);
  }
}

TEST(RegMean, WithoutOffDiagonalsEveryColumnIsWeightedByItself) {
  const torch::Tensor g1 = matrix({1, .5, .5, 3}, 2);
  const torch::Tensor g2 = matrix({3, -.2, -.2, 1}, 2);
  EXPECT_TRUE(torch::allclose(
      merged(layer(matrix({2, 4}, 1)), gram(g1), layer(matrix({6, 8}, 1)), gram(g2), 0),
      matrix({(2 + 3 * 6) / 4., (3 * 4 + 8) / 4.}, 1), 1e-7, 1e-7));
}

TEST(RegMean, EverythingElseIsTheAverage) {
  const NamedTensors a{{"layer.bias", torch::tensor({1., 2.}, torch::kDouble)}};
  const NamedTensors b{{"layer.bias", torch::tensor({3., 6.}, torch::kDouble)}};
  const GramSums none = gram(matrix({1}, 1));
  const NamedTensors result = regmean({&a, &b}, {&none, &none}, {});
  EXPECT_TRUE(torch::allclose(result[0].second, torch::tensor({2., 4.}, torch::kDouble)));
}

TEST(RegMean, RefusesWhatDoesNotFit) {
  const NamedTensors a = layer(matrix({1, 2}, 1));
  const NamedTensors b = layer(matrix({1, 2, 3}, 1));
  const GramSums g = gram(torch::eye(2, torch::kDouble));
  const GramSums large = gram(torch::eye(3, torch::kDouble));
  EXPECT_THROW(regmean({&a, &b}, {&g, &g}, {}), InputError);
  EXPECT_THROW(regmean({&a, &a}, {&g, &large}, {}), InputError);
  EXPECT_THROW(regmean({&a, &a}, {&g}, {}), InputError);
  EXPECT_THROW(regmean({&a, &a}, {&g, &g}, {.off_diagonal = 2, .shares = {}}), InputError);
  EXPECT_THROW(regmean({&a, &a}, {&g, &g}, {.shares = {1, -1}}), InputError);
}

// The rows of a convolution's input are those that its flattened weight multiplies.
TEST(Gram, RowsTimesTheWeightAreTheOutputs) {
  const learning::Dataset data = learning::toy_data(3, 5);
  const auto network = learning::network_with_biases("cnn", {{"channels", {4, 5}}}, 1);
  const learning::LayerTrace trace(*network, data.inputs);
  for (const learning::LayerRecord& record : trace.layers()) {
    const torch::Tensor rows = learning::input_rows(*record.layer, record.input);
    torch::Tensor weight;
    torch::Tensor bias;
    for (const auto& [name, tensor] : learning::state_of(*network)) {
      if (name == record.name + ".weight") weight = tensor.flatten(1);
      if (name == record.name + ".bias") bias = tensor;
    }
    const torch::Tensor outputs = record.output.dim() == 4
                                      ? record.output.flatten(2).transpose(1, 2).flatten(0, 1)
                                      : record.output;
    EXPECT_TRUE(torch::allclose(rows.mm(weight.t()) + bias, outputs, 1e-4, 1e-5)) << record.name;
  }
  EXPECT_EQ(trace.layers().size(), 4U);
}

TEST(Gram, IsTheSameInAnyGroupingAndFromAFile) {
  const learning::Dataset data = learning::toy_data(30, 5);
  const auto network = learning::toy_network("mlp", {{"hidden", {5}}}, 1);
  const GramSums whole = learning::gram_sums(*network, data, 30);
  GramSums parts = learning::gram_sums(*network, data.range(0, 11));
  for (auto& [name, sum] : learning::gram_sums(*network, data.range(11, 19), 7)) {
    parts[name].combine(sum);
  }
  const GramSums again = learning::gram_sums_from(learning::to_tensors(parts), "file");
  ASSERT_EQ(again.size(), whole.size());
  for (const auto& [name, sum] : whole) {
    EXPECT_EQ(again.at(name).rows, sum.rows);
    // The last bits of hidden activations, which are float, depend on the size of the batch.
    const double tolerance = name == "layers.0" ? 1e-12 : 1e-6;
    EXPECT_TRUE(torch::allclose(again.at(name).products, sum.products, tolerance, tolerance));
  }
  EXPECT_THROW(learning::gram_sums_from({}, "file"), InputError);
}

}  // namespace
}  // namespace amalgam::learned
