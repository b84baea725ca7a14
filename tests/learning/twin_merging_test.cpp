#include "amalgam/weights/learned/twin_merging.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/weights/learned/twin_file.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learned {
namespace {

using learning::Dataset;
using learning::network_with_biases;
using learning::toy_data;

struct Kind {
  std::string architecture;
  nlohmann::json options;
};

const std::vector<std::string> kTasks{"a", "b", "c"};

class TwinMerging : public testing::TestWithParam<Kind> {
 protected:
  std::shared_ptr<learning::Network> network(std::uint64_t seed) const {
    return network_with_biases(GetParam().architecture, GetParam().options, seed);
  }
  NamedTensors state(std::uint64_t seed) const { return learning::state_of(*network(seed)); }
  TwinModel merged(double density, const std::string& scaling = "0.3") const {
    return twin_merge(*network(1), state(1), {state(2), state(3), state(4)}, kTasks,
                      {.parameters = {"weight=" + scaling}, .compression = {.density = density}});
  }
  torch::Tensor logits_of(std::uint64_t seed, const torch::Tensor& inputs) const {
    const torch::NoGradGuard no_grad;
    auto net = network(seed);
    net->eval();
    return net->forward(inputs);
  }
};

torch::Tensor rows(std::vector<double> shares, std::int64_t count) {
  return torch::tensor(shares, torch::kDouble).unsqueeze(0).expand({count, -1});
}

// Check 1: whole differences to the shared model bring every expert back, whatever lambda is.
TEST_P(TwinMerging, WithWholeModulesAndOneTaskIsThatExpert) {
  const torch::Tensor inputs = toy_data(9, 5).inputs;
  for (const char* scaling : {"0.3", "0.8"}) {
    TwinNetwork twin(merged(1, scaling));
    const torch::Tensor logits = twin.forward_with(inputs, rows({0, 1, 0}, 9));
    EXPECT_LT((logits - logits_of(3, inputs)).abs().max().item<double>(), 1e-4);
  }
}

// Check 2: on the simplex the shared model cancels.
TEST_P(TwinMerging, WithWholeModulesAndEqualSharesIsTheAverage) {
  const TwinNetwork twin(merged(1));
  const NamedTensors made = twin.materialised(torch::full({3}, 1.0 / 3.0, torch::kDouble));
  const auto a = state(2);
  const auto b = state(3);
  const auto c = state(4);
  for (std::size_t i = 0; i < made.size(); ++i) {
    if (made[i].first.find("running") != std::string::npos) continue;  // the shared model's
    const torch::Tensor mean = (a[i].second + b[i].second + c[i].second) / 3;
    EXPECT_LT((made[i].second - mean).abs().max().item<double>(), 1e-5) << made[i].first;
  }
}

// Check 3.
TEST_P(TwinMerging, WithoutModulesIsTheSharedModelForEveryShare) {
  TwinNetwork twin(merged(0));
  const torch::Tensor inputs = toy_data(5, 5).inputs;
  const torch::NoGradGuard no_grad;
  const torch::Tensor shared = twin.model().shared->forward(inputs);
  EXPECT_TRUE(torch::equal(twin.forward_with(inputs, rows({.2, .3, .5}, 5)), shared));
}

// Check 6: the factored forward pass with other shares for every input.
TEST_P(TwinMerging, ComputesWhatTheMaterialisedModelComputes) {
  for (const double density : {.1, .5, 1.0}) {
    TwinNetwork twin(merged(density));
    const torch::Tensor inputs = toy_data(6, 8).inputs;
    RandomStream random(3, "shares");
    torch::Tensor shares = torch::empty({6, 3}, torch::kDouble);
    for (std::int64_t i = 0; i < 18; ++i) shares.view(-1)[i] = random.uniform();
    const torch::Tensor together = twin.forward_with(inputs, shares);
    for (std::int64_t n = 0; n < 6; ++n) {
      const torch::NoGradGuard no_grad;
      const auto single = learning::network_with(*network(1), twin.materialised(shares[n]));
      const torch::Tensor expected = single->forward(inputs.narrow(0, n, 1))[0];
      EXPECT_LT((together[n] - expected).abs().max().item<double>(),
                1e-5 * (1 + expected.abs().max().item<double>()))
          << density;
    }
  }
}

// Check 10.
TEST_P(TwinMerging, SavedAndLoadedGivesTheSameBits) {
  const TemporaryFolder folder;
  TwinModel model = merged(.3);
  std::vector<Dataset> tasks;
  for (std::uint64_t k = 0; k < 3; ++k) tasks.push_back(toy_data(40, k));
  fit_router(model, tasks, {.hidden = 8, .epochs = 2});
  model.routing.temperature = 2;
  save_twin(folder.path() / "twin", model, false);
  TwinNetwork before(std::move(model));
  const auto after = load_network_or_twin(folder.path() / "twin");
  const Dataset data = toy_data(30, 9);
  EXPECT_TRUE(
      torch::equal(learning::predict_logits(before, data), learning::predict_logits(*after, data)));
  EXPECT_THROW(save_twin(folder.path() / "twin", before.model(), false), InputError);
}

INSTANTIATE_TEST_SUITE_P(
    Networks, TwinMerging,
    testing::Values(Kind{"mlp", {{"hidden", {16, 12}}}},
                    Kind{"cnn", {{"channels", {4, 6}}, {"hidden", {10}}}},
                    Kind{"vit",
                         {{"patch", 3}, {"width", 8}, {"depth", 1}, {"attention_heads", 2}}}),
    [](const auto& info) { return info.param.architecture; });

TEST(TwinModules, OfAnotherSharedModelAreRefused) {
  const TemporaryFolder folder;
  const auto make = [](std::uint64_t seed) {
    const auto base = network_with_biases("mlp", {{"hidden", {8}}}, seed);
    return twin_merge(*base, learning::state_of(*base),
                      {learning::state_of(*network_with_biases("mlp", {{"hidden", {8}}}, 90)),
                       learning::state_of(*network_with_biases("mlp", {{"hidden", {8}}}, 91))},
                      {"x", "y"});
  };
  save_twin(folder.path() / "one", make(1), false);
  save_twin(folder.path() / "two", make(2), false);
  std::filesystem::copy_file(folder.path() / "two/module-1.safetensors",
                             folder.path() / "one/module-1.safetensors",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_THROW(load_twin(folder.path() / "one"), InputError);
  std::filesystem::copy_file(folder.path() / "two/shared.safetensors",
                             folder.path() / "one/shared.safetensors",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_THROW(load_twin(folder.path() / "one"), InputError);
  EXPECT_NO_THROW(load_twin(folder.path() / "two"));
}

TEST(TwinMerge, OfOneExpertIsThatExpert) {
  const auto expert = network_with_biases("mlp", {{"hidden", {8}}}, 4);
  const TwinModel model = twin_merge(*expert, {}, {learning::state_of(*expert)}, {"only"}, {});
  TwinNetwork twin(model);
  const torch::NoGradGuard no_grad;
  const torch::Tensor inputs = toy_data(4, 1).inputs;
  EXPECT_TRUE(torch::equal(twin.forward_with(inputs, rows({1}, 4)), expert->forward(inputs)));
}

TEST(TwinMerge, RefusesWhatDoesNotFit) {
  const auto base = network_with_biases("mlp", {{"hidden", {8}}}, 1);
  const NamedTensors state = learning::state_of(*base);
  const NamedTensors wider = learning::state_of(*network_with_biases("mlp", {{"hidden", {9}}}, 1));
  EXPECT_THROW(twin_merge(*base, state, {state, wider}, {"x", "y"}), InputError);
  EXPECT_THROW(twin_merge(*base, state, {state}, {"x", "y"}), InputError);
  EXPECT_THROW(twin_merge(*base, state, {}, {}), InputError);
  EXPECT_THROW(
      twin_merge(*base, state, {state, state}, {"x", "y"}, {.compression = {.density = 1.5}}),
      InputError);
  NamedTensors broken = learning::copied_state(*base);
  broken[0].second.view(-1)[0] = std::nan("");
  EXPECT_THROW(twin_merge(*base, state, {state, broken}, {"x", "y"}), InputError);
  TwinNetwork routerless(twin_merge(*base, state, {state, state}, {"x", "y"}));
  EXPECT_THROW(routerless.forward(toy_data(2, 1).inputs), InputError);
  routerless.fix_shares(torch::tensor({1.0, 0.0}, torch::kDouble));
  EXPECT_NO_THROW(routerless.forward(toy_data(2, 1).inputs));
  EXPECT_THROW(routerless.forward_with(toy_data(2, 1).inputs, rows({1, 0, 0}, 2)), InputError);
}

torch::Tensor random_tensor(const std::vector<std::int64_t>& shape, std::uint64_t seed) {
  torch::Tensor tensor = torch::empty(shape);
  RandomStream random(seed, "tensor");
  for (std::int64_t i = 0; i < tensor.numel(); ++i) tensor.view(-1)[i] = random.normal();
  return tensor;
}

// Check 5.
TEST(Compress, StoresAsManyNumbersAsTheFactorsHave) {
  const ExclusiveModule square = compress({{"w", random_tensor({60, 60}, 1)}}, {.density = .1});
  EXPECT_EQ(numbers_of(square), 6 * 120 + 6);  // and the six singular values
  const ExclusiveModule wide = compress({{"w", random_tensor({60, 240}, 1)}}, {.density = .1});
  EXPECT_EQ(numbers_of(wide), 6 * 300 + 6);
  // Factors of more than half of the rank of a square matrix are no smaller than it.
  const ExclusiveModule whole = compress({{"w", random_tensor({60, 60}, 1)}}, {.density = .5});
  EXPECT_FALSE(whole.front().factored());
  EXPECT_EQ(
      compress({{"w", random_tensor({60, 60}, 1)}}, {.density = .001}).front().singular.size(0), 1);
  EXPECT_EQ(compress({{"w", random_tensor({60, 60}, 1)}}, {.rank = 3}).front().singular.size(0), 3);
}

TEST(Compress, KeepsTheLargestOrRandomEntries) {
  const torch::Tensor difference = torch::tensor({{3.F, -1.F}, {2.F, -4.F}});
  const auto largest =
      compress({{"w", difference}}, {.kind = Compression::magnitude, .density = .5});
  EXPECT_TRUE(torch::equal(largest.front().whole, torch::tensor({{3.F, 0.F}, {0.F, -4.F}})));
  const torch::Tensor ones = torch::ones({100, 100});
  const auto dropped = compress({{"w", ones}}, {.kind = Compression::drop, .density = .25});
  EXPECT_NEAR(dropped.front().whole.mean().item<double>(), 1, .07);
  EXPECT_EQ(dropped.front().whole.max().item<double>(), 4);
  // Vectors stay whole.
  const auto bias =
      compress({{"b", difference[0]}}, {.kind = Compression::magnitude, .density = .5});
  EXPECT_TRUE(torch::equal(bias.front().whole, difference[0]));
}

// Check 7.
TEST(Route, IsSoftOrCutOff) {
  const torch::Tensor scores = torch::tensor({{2.0, 1.0, 0.0}}, torch::kDouble);
  const auto near = [](const torch::Tensor& shares, std::vector<double> expected) {
    return (shares[0] - torch::tensor(expected, torch::kDouble)).abs().max().item<double>() < 1e-6;
  };
  EXPECT_TRUE(near(route(scores), {.665241, .244728, .090031}));
  EXPECT_TRUE(near(route(scores, {.threshold = .1}), {.731059, .268941, 0}));
  EXPECT_TRUE(near(route(scores, {.top = 1}), {1, 0, 0}));
  EXPECT_TRUE(near(route(scores, {.top = 2}), {.731059, .268941, 0}));
  EXPECT_TRUE(near(route(scores, {.temperature = 2}), {.506480, .307196, .186324}));
  EXPECT_TRUE(near(route(scores, {.threshold = .9}), {.665241, .244728, .090031}));
  EXPECT_TRUE(near(route(scores, {.least = .7}), {0, 0, 0}));
  EXPECT_THROW(route(scores, {.temperature = 0}), InputError);
  EXPECT_THROW(route(scores, {.threshold = 1}), InputError);
}

std::vector<torch::Tensor> separable_features(std::int64_t count, bool shuffled) {
  std::vector<torch::Tensor> tasks;
  for (std::int64_t k = 0; k < 4; ++k) {
    torch::Tensor rows = random_tensor({count, 4}, static_cast<std::uint64_t>(10 + k)) * .1;
    for (std::int64_t n = 0; n < count; ++n) {
      rows[n][shuffled ? (n * 7 + n / 4 + k) % 4 : k] += 1;
    }
    tasks.push_back(rows);
  }
  return tasks;
}

// Check 8.
TEST(Router, LearnsWhatCanBeToldApart) {
  const RouterOptions options{.hidden = 16, .epochs = 30, .batch = 64, .learning_rate = 5e-3};
  EXPECT_GT(train_router(separable_features(250, false), options).accuracy, .99);
  EXPECT_NEAR(train_router(separable_features(250, true), options).accuracy, .25, .12);
}

TEST(Router, IsAFunctionOfItsSeed) {
  const auto features = separable_features(30, false);
  const RouterOptions options{.hidden = 8, .epochs = 3, .batch = 16, .seed = 5};
  const auto one = train_router(features, options);
  torch::rand({3});  // libtorch's own generator has no say
  const auto two = train_router(features, options);
  EXPECT_TRUE(torch::equal(one.router->forward(features[0]), two.router->forward(features[0])));
}

TEST(Router, RefusesTasksWithoutExamples) {
  auto features = separable_features(5, false);
  features[2] = features[2].narrow(0, 0, 1);
  EXPECT_THROW(train_router(features), InputError);
  features[2] = torch::zeros({5, 3});
  EXPECT_THROW(train_router(features), InputError);
  EXPECT_THROW(train_router({}), InputError);
  features[2] = torch::full({5, 4}, std::nan(""));
  EXPECT_THROW(train_router(features), InputError);
}

TEST(NearestCentroid, ChoosesTheTaskWhoseMeanIsNearest) {
  const auto features = separable_features(20, false);
  EXPECT_TRUE(torch::equal(nearest_centroid(features, features[3]).argmax(1),
                           torch::full({20}, 3, torch::kLong)));
}

}  // namespace
}  // namespace amalgam::learned
