#include "amalgam/weights/learned/permutation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "amalgam/core/error.hpp"
#include "amalgam/weights/learned/matching.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learned {
namespace {

using learning::toy_data;
using learning::toy_description;
using learning::toy_network;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr auto kCnn = [] { return nlohmann::json{{"channels", {3, 5}}, {"hidden", {6}}}; };

std::vector<std::string> names_of(const PermutationGroup& group) {
  std::vector<std::string> names;
  for (const UnitAxis& axis : group.axes) {
    names.push_back(axis.tensor + ":" + std::to_string(axis.axis) + "/" +
                    std::to_string(axis.block));
  }
  return names;
}

void set_state(Network& network, const NamedTensors& state) {
  const torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : learning::state_of(network)) {
    tensor.copy_(tensor_named(state, name, "test"));
  }
}

Permutations random_order(const PermutationSpec& spec, std::uint64_t seed) {
  Permutations order;
  for (const PermutationGroup& group : spec.groups) {
    order.push_back(random_permutation(group.units, seed, group.name));
  }
  return order;
}

TEST(PermutationSpec, HasTheHiddenUnitsOfAnMlp) {
  const auto network = toy_network("mlp", {{"hidden", {7, 4}}}, 1);
  const PermutationSpec spec = permutation_spec(*network);
  ASSERT_EQ(spec.groups.size(), 2U);
  EXPECT_EQ(spec.groups[0].units, 7);
  EXPECT_THAT(names_of(spec.groups[0]),
              ElementsAre("layers.0.weight:0/1", "layers.0.bias:0/1", "layers.1.weight:1/1"));
  EXPECT_THAT(spec.groups[0].consumers, ElementsAre("layers.1"));
  EXPECT_EQ(spec.groups[1].units, 4);
  ASSERT_EQ(spec.layers.size(), 3U);
  EXPECT_FALSE(spec.layers[0].inputs.has_value());
  EXPECT_FALSE(spec.layers[2].outputs.has_value());
}

// Images of 6 x 6 are 1 x 1 after two blocks, 3 x 3 after one: 9 columns of the first linear layer
// belong to each channel.
TEST(PermutationSpec, FollowsChannelsThroughFlattening) {
  const auto two = toy_network("cnn", kCnn(), 1);
  const PermutationSpec spec = permutation_spec(*two);
  ASSERT_EQ(spec.groups.size(), 3U);
  EXPECT_EQ(spec.groups[0].name, "convolutions.0");
  EXPECT_THAT(
      names_of(spec.groups[1]),
      ElementsAre("convolutions.1.weight:0/1", "convolutions.1.bias:0/1", "layers.0.weight:1/1"));
  EXPECT_EQ(spec.layers[0].positions, 36);
  EXPECT_EQ(spec.layers[1].positions, 9);
  EXPECT_EQ(spec.layers[2].positions, 1);

  const auto one = toy_network("cnn", {{"channels", {3}}, {"hidden", {6}}}, 1);
  const PermutationSpec flat = permutation_spec(*one);
  EXPECT_THAT(
      names_of(flat.groups[0]),
      ElementsAre("convolutions.0.weight:0/1", "convolutions.0.bias:0/1", "layers.0.weight:1/9"));
}

TEST(PermutationSpec, OfALinearModelIsEmpty) {
  const auto network = toy_network("mlp", {{"hidden", nlohmann::json::array()}}, 1);
  EXPECT_TRUE(permutation_spec(*network).groups.empty());
}

// A network whose two layers write to one stream, as in a residual block.
class Residual : public Network {
 public:
  explicit Residual(bool softmax)
      : Network(toy_description("mlp", nlohmann::json::object())),
        first(register_module("first", std::make_shared<learning::Linear>(36, 5))),
        second(register_module("second", std::make_shared<learning::Linear>(5, 5))),
        last(register_module("last", std::make_shared<learning::Linear>(5, 4))),
        softmax_(softmax) {
    learning::initialise(*this, 1);
  }

 protected:
  torch::Tensor compute(const torch::Tensor& inputs,
                        const learning::LayerObserver& observer) override {
    const torch::Tensor stream = first->forward(inputs.flatten(1), observer);
    const torch::Tensor inner = softmax_ ? torch::softmax(stream, 1) : torch::relu(stream);
    return last->forward(torch::relu(stream + second->forward(inner, observer)), observer);
  }

 private:
  std::shared_ptr<learning::Linear> first;
  std::shared_ptr<learning::Linear> second;
  std::shared_ptr<learning::Linear> last;
  bool softmax_;
};

TEST(PermutationSpec, JoinsWhatAResidualAdditionJoins) {
  Residual network(false);
  const PermutationSpec spec = permutation_spec(network);
  ASSERT_EQ(spec.groups.size(), 1U);
  EXPECT_THAT(names_of(spec.groups[0]),
              ElementsAre("first.weight:0/1", "first.bias:0/1", "second.weight:0/1",
                          "second.bias:0/1", "second.weight:1/1", "last.weight:1/1"));
}

TEST(PermutationSpec, RefusesAnOperationWithoutARule) {
  Residual network(true);
  try {
    permutation_spec(network);
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("Softmax"));
  }
}

TEST(Permuted, NetworksComputeTheSame) {
  for (const std::string architecture : {"mlp", "cnn"}) {
    const nlohmann::json options =
        architecture == "mlp" ? nlohmann::json{{"hidden", {9, 5}}} : kCnn();
    for (const bool wide : {false, true}) {
      const auto network = learning::network_with_biases(architecture, options, 2);
      const auto other = toy_network(architecture, options, 3);
      if (wide) {
        network->to(torch::kDouble);
        other->to(torch::kDouble);
      }
      const PermutationSpec spec = permutation_spec(*network);
      set_state(*other, permuted(spec, learning::state_of(*network), random_order(spec, 5)));
      const torch::Tensor images = toy_data(20, 1).inputs.to(wide ? torch::kDouble : torch::kFloat);
      const torch::NoGradGuard no_grad;
      const double moved =
          (network->forward(images) - other->forward(images)).abs().max().item<double>();
      EXPECT_LT(moved, wide ? 1e-12 : 1e-5) << architecture;
      EXPECT_FALSE(
          torch::equal(learning::all_parameters(*network), learning::all_parameters(*other)));
      EXPECT_NO_THROW(check_specification(*network, spec, 1));
    }
  }
}

TEST(Permuted, IsUndoneByTheInverse) {
  const auto network = learning::network_with_biases("cnn", kCnn(), 2);
  const PermutationSpec spec = permutation_spec(*network);
  const NamedTensors state = learning::state_of(*network);
  const Permutations order = random_order(spec, 4);
  const NamedTensors back = permuted(spec, permuted(spec, state, order), inverse(order));
  for (std::size_t i = 0; i < state.size(); ++i) {
    EXPECT_TRUE(torch::equal(state[i].second, back[i].second)) << state[i].first;
  }
}

TEST(CheckSpecification, SeesAForgottenAxis) {
  const auto network = learning::network_with_biases("cnn", kCnn(), 2);
  PermutationSpec spec = permutation_spec(*network);
  spec.groups[1].axes.pop_back();
  EXPECT_THROW(check_specification(*network, spec, 1), Error);
}

TEST(Permuted, RefusesWhatIsNoPermutation) {
  const auto network = toy_network("mlp", {{"hidden", {3}}}, 1);
  const PermutationSpec spec = permutation_spec(*network);
  const NamedTensors state = learning::state_of(*network);
  EXPECT_THROW(permuted(spec, state, {{0, 1}}), InputError);
  EXPECT_THROW(permuted(spec, state, {{0, 1, 1}}), InputError);
  EXPECT_THROW(permuted(spec, state, {{0, 1, 3}}), InputError);
  EXPECT_THROW(permuted(spec, state, {}), InputError);
}

// <w, w'> is largest where w' = w (Cauchy-Schwarz), so one sweep finds the planted order.
TEST(WeightMatching, RecoversAPlantedPermutation) {
  for (const std::uint64_t seed : {1, 2, 3}) {
    const auto network = learning::network_with_biases("mlp", {{"hidden", {12}}}, seed);
    const auto other = toy_network("mlp", {{"hidden", {12}}}, 99);
    const PermutationSpec spec = permutation_spec(*network);
    const Permutations planted = random_order(spec, seed);
    set_state(*other, permuted(spec, learning::state_of(*network), planted));
    const Matching matching = match_weights(spec, *network, *other, {.seed = seed});
    EXPECT_EQ(matching.partners, inverse(planted));
    // At first, after the sweep that found it, after the sweep that found nothing better.
    ASSERT_EQ(matching.objective.size(), 3U);
    EXPECT_DOUBLE_EQ(matching.objective[1], matching.objective[2]);
  }
}

TEST(WeightMatching, NeverLosesAndRepeatsItself) {
  const auto left = learning::network_with_biases("cnn", kCnn(), 1);
  const auto right = learning::network_with_biases("cnn", kCnn(), 2);
  const PermutationSpec spec = permutation_spec(*left);
  const Matching matching = match_weights(spec, *left, *right, {.seed = 7});
  EXPECT_GT(matching.objective.back(), matching.objective.front());
  EXPECT_TRUE(std::ranges::is_sorted(matching.objective));
  const Matching again = match_weights(spec, *left, *right, {.seed = 7});
  EXPECT_EQ(matching.partners, again.partners);
  EXPECT_EQ(matching.objective, again.objective);
}

TEST(ActivationMatching, RecoversAPlantedPermutation) {
  const auto network = learning::network_with_biases("cnn", kCnn(), 4);
  const auto other = toy_network("cnn", kCnn(), 99);
  const PermutationSpec spec = permutation_spec(*network);
  const Permutations planted = random_order(spec, 3);
  set_state(*other, permuted(spec, learning::state_of(*network), planted));
  const PairGrams grams = pair_grams(*network, *other, toy_data(64, 1));
  const Matching matching = match_activations(spec, grams);
  for (std::size_t g = 0; g < spec.groups.size(); ++g) {
    EXPECT_NEAR(matching.matched(g), 0, 1e-3) << "the same activations";
  }
  const Matching correlated = match_activations(spec, grams, ActivationSimilarity::correlation);
  for (std::size_t g = 0; g < spec.groups.size(); ++g) {
    for (const double score : correlated.scores(g)) {
      EXPECT_TRUE(std::abs(score - 1) < 1e-5 || score == 0) << "dead units have correlation 0";
    }
  }
}

// Distances worked out from the activations themselves.
TEST(ActivationMatching, SumsSquaredDistancesOverPixels) {
  const auto left = learning::network_with_biases("cnn", kCnn(), 1);
  const auto right = learning::network_with_biases("cnn", kCnn(), 2);
  const PermutationSpec spec = permutation_spec(*left);
  const learning::Dataset data = toy_data(30, 1);
  const Matching matching = match_activations(spec, pair_grams(*left, *right, data, 7));
  const torch::NoGradGuard no_grad;
  const auto second_inputs = [&](Network& network) {
    torch::Tensor found;
    network.forward(data.inputs,
                    [&](const learning::Layer&, const torch::Tensor& input, const torch::Tensor&) {
                      if (input.dim() == 4 && input.size(1) == 3) found = input;
                    });
    return found.transpose(0, 1).flatten(1).to(torch::kDouble);
  };
  const torch::Tensor a = second_inputs(*left);
  const torch::Tensor b = second_inputs(*right);
  const torch::Tensor expected = -torch::cdist(a, b).square();
  EXPECT_TRUE(torch::allclose(matching.similarity[0], expected, 1e-5, 1e-5));
}

TEST(PairGrams, AddUp) {
  const auto left = learning::network_with_biases("cnn", kCnn(), 1);
  const auto right = learning::network_with_biases("cnn", kCnn(), 2);
  const learning::Dataset data = toy_data(50, 1);
  const PairGrams whole = pair_grams(*left, *right, data);
  PairGrams parts = pair_grams(*left, *right, data.range(0, 13));
  combine(parts, pair_grams(*left, *right, data.range(13, 37)));
  for (const auto& [name, sum] : whole) {
    EXPECT_EQ(sum.rows, parts.at(name).rows);
    EXPECT_TRUE(torch::allclose(sum.left, parts.at(name).left));
    EXPECT_TRUE(torch::allclose(sum.cross, parts.at(name).cross));
    EXPECT_TRUE(torch::allclose(sum.right, parts.at(name).right));
  }
}

TEST(PairGrams, RefuseNetworksThatDiffer) {
  const auto left = toy_network("mlp", {{"hidden", {3}}}, 1);
  const learning::Dataset data = toy_data(4, 1);
  const auto message = [&](Network& right) -> std::string {
    try {
      pair_grams(*left, right, data);
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(message(*toy_network("mlp", {{"hidden", {4}}}, 1)), HasSubstr("layers.0.weight"));
  EXPECT_THAT(message(*toy_network("mlp", {{"hidden", {3, 3}}}, 1)), HasSubstr("layers.1.weight"));
  const auto broken = toy_network("mlp", {{"hidden", {3}}}, 2);
  {
    const torch::NoGradGuard no_grad;
    broken->parameters()[1][0] = std::nan("");
  }
  EXPECT_THAT(message(*broken), HasSubstr("layers.0.bias"));
}

}  // namespace
}  // namespace amalgam::learned
