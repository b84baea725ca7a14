#include "amalgam/learning/fisher.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "amalgam/core/error.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learning {
namespace {

std::map<std::string, torch::Tensor> fisher(Network& network, const Dataset& data,
                                            const FisherOptions& options = {}) {
  std::map<std::string, torch::Tensor> result;
  for (const auto& [name, tensor] : fisher_diagonal(network, data, options)) result[name] = tensor;
  return result;
}

// A network without hidden layer on one pixel per example, in double, with weights and biases
// given.
std::shared_ptr<Network> one_pixel(const std::vector<double>& weights,
                                   const std::vector<double>& biases) {
  NetworkDescription description;
  description.architecture = "mlp";
  description.options = {{"hidden", nlohmann::json::array()}};
  description.input_shape = {1, 1, 1};
  description.input_mean = {0};
  description.input_deviation = {1};
  for (std::size_t k = 0; k < weights.size(); ++k) {
    description.class_names.push_back(std::to_string(k));
  }
  auto network = make_network(description, "test");
  network->to(torch::kDouble);
  const torch::NoGradGuard no_grad;
  network->named_parameters()["layers.0.weight"].copy_(
      torch::tensor(weights, torch::kDouble).unsqueeze(1));
  network->named_parameters()["layers.0.bias"].copy_(torch::tensor(biases, torch::kDouble));
  return network;
}

Dataset pixels(const std::vector<float>& values, const std::vector<std::int64_t>& labels,
               std::size_t classes) {
  Dataset data;
  data.source = "pixels";
  data.inputs = torch::tensor(values).view({-1, 1, 1, 1});
  data.labels = torch::tensor(labels, torch::kLong);
  for (std::size_t k = 0; k < classes; ++k) data.class_names.push_back(std::to_string(k));
  return data;
}

// p = sigmoid(w x) with x = 2, w = 0.5 as a softmax of logits (0, w x): F_w = x^2 p (1 - p).
TEST(Fisher, OfALogisticUnitIsItsClosedForm) {
  const auto network = one_pixel({0, 0.5}, {0, 0});
  const auto exact = fisher(*network, pixels({2}, {1}, 2));
  EXPECT_NEAR(exact.at("layers.0.weight")[1][0].item<double>(), 0.786448, 1e-6);
  const auto empirical = fisher(*network, pixels({2}, {1}, 2), {.kind = FisherKind::empirical});
  EXPECT_NEAR(empirical.at("layers.0.weight")[1][0].item<double>(), 0.289318, 1e-6);
}

// On biases alone F_k = p_k (1 - p_k).
TEST(Fisher, OfSoftmaxBiasesIsTheVarianceOfEachClass) {
  const auto network = one_pixel({0, 0, 0}, {std::log(0.7), std::log(0.2), std::log(0.1)});
  const torch::Tensor bias = fisher(*network, pixels({0}, {0}, 3)).at("layers.0.bias");
  EXPECT_NEAR(bias[0].item<double>(), 0.21, 1e-12);
  EXPECT_NEAR(bias[1].item<double>(), 0.16, 1e-12);
  EXPECT_NEAR(bias[2].item<double>(), 0.09, 1e-12);
}

// With equal probabilities and labels 1 and 0, the gradients of two examples with pixel 2 are +1
// and -1 on the weight: squared and averaged 1. Squaring their sum would give 0.
TEST(Fisher, SquaresEachExampleBeforeSumming) {
  const auto network = one_pixel({0, 0}, {0, 0});
  const auto result = fisher(*network, pixels({2, 2}, {1, 0}, 2), {.kind = FisherKind::empirical});
  EXPECT_DOUBLE_EQ(result.at("layers.0.weight")[1][0].item<double>(), 1.0);
}

// The definition, one example and one class at a time, by libtorch's autograd.
std::map<std::string, torch::Tensor> by_definition(Network& network, const Dataset& data,
                                                   bool empirical) {
  std::map<std::string, torch::Tensor> sums;
  for (const auto& one : network.named_parameters())
    sums[one.key()] = torch::zeros_like(one.value());
  for (std::int64_t n = 0; n < data.count(); ++n) {
    const torch::Tensor log_probs =
        torch::log_softmax(network.forward(data.inputs.narrow(0, n, 1).to(torch::kDouble)), 1)[0];
    for (std::int64_t k = 0; k < log_probs.size(0); ++k) {
      if (empirical && k != data.labels[n].item<std::int64_t>()) continue;
      const auto gradients =
          torch::autograd::grad({log_probs[k]}, network.parameters(), {}, /*retain_graph=*/true);
      const double weight = empirical ? 1.0 : std::exp(log_probs[k].item<double>());
      std::size_t i = 0;
      for (const auto& one : network.named_parameters()) {
        sums[one.key()] += weight * gradients[i++].square();
      }
    }
  }
  for (auto& [name, sum] : sums) sum /= static_cast<double>(data.count());
  return sums;
}

TEST(Fisher, EqualsTheDefinitionForEveryArchitecture) {
  const Dataset data = toy_data(11, 5);
  for (const auto& [architecture, options] :
       {std::pair<std::string, nlohmann::json>{"mlp", {{"hidden", {7, 5}}}},
        {"cnn", {{"channels", {3, 4}}, {"kernel", 3}, {"hidden", {6}}}},
        {"cnn", {{"channels", {2}}, {"kernel", 5}, {"hidden", nlohmann::json::array()}}},
        {"resnet", {{"width", 2}}},
        {"resnet", {{"width", 2}, {"batch_norm", false}}},
        {"vit", {{"patch", 3}, {"width", 8}, {"depth", 2}, {"attention_heads", 2}}}}) {
    const auto network = network_with_biases(architecture, options, 4);
    network->to(torch::kDouble);
    network->eval();
    for (const FisherKind kind : {FisherKind::exact, FisherKind::empirical}) {
      const auto expected = by_definition(*network, data, kind == FisherKind::empirical);
      const auto result = fisher(*network, data, {.kind = kind, .batch = 4});
      ASSERT_EQ(result.size(), expected.size());
      for (const auto& [name, tensor] : expected) {
        EXPECT_TRUE(torch::allclose(result.at(name), tensor, 1e-9, 1e-14)) << name;
      }
    }
  }
}

// A network with a parameter in no layer, and a layer that is used twice.
class Unusual : public Network {
 public:
  Unusual()
      : Network(toy_description("mlp", nlohmann::json::object())),
        scale_(register_parameter("scale", torch::ones({36}))),
        first_(register_module("first", std::make_shared<Linear>(36, 36))),
        last_(register_module("last", std::make_shared<Linear>(36, 4))) {
    initialise(*this, 1);
  }

 protected:
  torch::Tensor compute(const torch::Tensor& inputs, const LayerObserver& observer) override {
    const torch::Tensor once = torch::tanh(first_->forward(inputs.flatten(1), observer));
    return last_->forward(torch::tanh(first_->forward(once, observer)) * scale_, observer);
  }

 private:
  torch::Tensor scale_;
  std::shared_ptr<Linear> first_;
  std::shared_ptr<Linear> last_;
};

TEST(Fisher, EqualsTheDefinitionOutsideLayersAndInLayersUsedTwice) {
  Unusual network;
  network.to(torch::kDouble);
  const Dataset data = toy_data(7, 5);
  for (const FisherKind kind : {FisherKind::exact, FisherKind::empirical}) {
    const auto expected = by_definition(network, data, kind == FisherKind::empirical);
    const auto result = fisher(network, data, {.kind = kind, .batch = 3});
    for (const auto& [name, tensor] : expected) {
      EXPECT_GT(tensor.max().item<double>(), 0) << name;
      EXPECT_TRUE(torch::allclose(result.at(name), tensor, 1e-9, 1e-14)) << name;
    }
  }
}

// Of a linear layer alone, f_o = w_o x + b_o: x^2 for every weight and 1 for every bias, whatever
// the outputs and labels are.
TEST(Fisher, OfGaussianOutputsIsTheMeanSquareOfTheInputs) {
  const auto network = one_pixel({.3, -2}, {1, 0});
  const auto result = fisher(*network, pixels({2, 1}, {0, 1}, 2), {.kind = FisherKind::gaussian});
  for (std::int64_t o = 0; o < 2; ++o) {
    EXPECT_DOUBLE_EQ(result.at("layers.0.weight")[o][0].item<double>(), (4.0 + 1) / 2);
    EXPECT_DOUBLE_EQ(result.at("layers.0.bias")[o].item<double>(), 1);
  }
}

// On the biases p (1 - p) = 1/4 of two equal classes, and 1 of outputs.
TEST(Fisher, OfGaussianOutputsIsNoFisherOfClasses) {
  const auto network = one_pixel({0, 0}, {0, 0});
  const Dataset data = pixels({2}, {0}, 2);
  EXPECT_DOUBLE_EQ(fisher(*network, data).at("layers.0.bias")[0].item<double>(), .25);
  EXPECT_DOUBLE_EQ(
      fisher(*network, data, {.kind = FisherKind::gaussian}).at("layers.0.bias")[0].item<double>(),
      1);
}

// Over all classes it is exact, in any order, also in a network with parameters outside its layers.
TEST(Fisher, OfTheTopClassesIsExactWhenAllAreTop) {
  const Dataset data = toy_data(7, 5);
  const auto expect_exact = [&](Network& network) {
    network.to(torch::kDouble);
    const auto exact = fisher(network, data);
    for (const std::uint64_t top : {4U, 100U}) {
      const auto result = fisher(network, data, {.kind = FisherKind::top, .top = top, .batch = 3});
      for (const auto& [name, tensor] : exact) {
        EXPECT_TRUE(torch::allclose(result.at(name), tensor, 1e-10, 1e-15)) << name;
      }
    }
  };
  expect_exact(*network_with_biases("cnn", {{"channels", {3}}, {"hidden", {5}}}, 4));
  Unusual unusual;
  expect_exact(unusual);
  EXPECT_THROW(fisher(unusual, data, {.kind = FisherKind::top, .top = 0}), InputError);
}

// p = (.7, .2, .1), the top two of weights 7/9 and 2/9, on the biases: sum_c q_c ([c = k] - p_k)^2.
TEST(Fisher, OfTheTopClassesSharesTheirProbability) {
  const auto network = one_pixel({0, 0, 0}, {std::log(0.7), std::log(0.2), std::log(0.1)});
  const torch::Tensor bias =
      fisher(*network, pixels({0}, {0}, 3), {.kind = FisherKind::top, .top = 2})
          .at("layers.0.bias");
  EXPECT_NEAR(bias[0].item<double>(), 7 / 9.0 * .09 + 2 / 9.0 * .49, 1e-12);
  EXPECT_NEAR(bias[1].item<double>(), 7 / 9.0 * .04 + 2 / 9.0 * .64, 1e-12);
  EXPECT_NEAR(bias[2].item<double>(), .01, 1e-12);
}

TEST(Fisher, SampledConvergesToExact) {
  NetworkDescription description = toy_description("mlp", {{"hidden", {8}}});
  description.class_names = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
  const auto network = make_network(description, "test");
  initialise(*network, 3);
  Dataset data = toy_data(200, 6);
  data.class_names = description.class_names;
  const auto sum = [&](const FisherOptions& options) {
    double total = 0;
    for (const auto& [name, tensor] : fisher_diagonal(*network, data, options)) {
      total += tensor.sum().item<double>();
    }
    return total;
  };
  const double exact = sum({});
  EXPECT_NEAR(sum({.kind = FisherKind::sampled, .samples = 100}) / exact, 1.0, 0.05);
  EXPECT_EQ(sum({.kind = FisherKind::sampled, .samples = 2, .seed = 1}),
            sum({.kind = FisherKind::sampled, .samples = 2, .seed = 1}));
  EXPECT_NE(sum({.kind = FisherKind::sampled, .samples = 2, .seed = 1}),
            sum({.kind = FisherKind::sampled, .samples = 2, .seed = 2}));
}

TEST(Fisher, LeavesTheNetworkAsItWas) {
  const auto network = toy_network("cnn", {{"channels", {2}}}, 1);
  network->train();
  const torch::Tensor before = all_parameters(*network);
  fisher(*network, toy_data(5, 1));
  EXPECT_TRUE(network->is_training());
  EXPECT_TRUE(torch::equal(before, all_parameters(*network)));
  for (const auto& one : network->parameters()) EXPECT_FALSE(one.grad().defined());
}

TEST(Fisher, RefusesNoExamples) {
  const auto network = toy_network("mlp", nlohmann::json::object(), 1);
  Dataset none = toy_data(1, 1);
  none.inputs = none.inputs.narrow(0, 0, 0);
  none.labels = none.labels.narrow(0, 0, 0);
  EXPECT_THROW(fisher(*network, none), InputError);
}

}  // namespace
}  // namespace amalgam::learning
