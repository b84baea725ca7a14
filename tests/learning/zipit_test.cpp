#include "amalgam/weights/learned/zipit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/batch_norm.hpp"
#include "amalgam/weights/learned/pleas_budget.hpp"
#include "tests/error_of.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learned {
namespace {

using learning::Dataset;
using learning::network_with_biases;
using learning::toy_data;
using testing::ElementsAre;
using testing::HasSubstr;
using Networks = std::vector<std::shared_ptr<Network>>;

torch::Tensor logits(Network& network, const Dataset& data) {
  const torch::NoGradGuard no_grad;
  return network.forward(data.inputs);
}

double largest_difference(const torch::Tensor& a, const torch::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

torch::Tensor in_double(const Network& network, const std::string& name) {
  return tensor_named(learning::state_of(network), name, "test").detach().to(torch::kDouble);
}

// Networks of a kind, and how their units correlate on a few images.
struct Family {
  explicit Family(Networks members)
      : networks(std::move(members)),
        data(toy_data(200, 5)),
        spec(permutation_spec(*networks.front())),
        moments(joint_moments(networks, spec, data)),
        correlations(joint_correlations(spec, moments)) {}
  Family(const std::string& architecture, const nlohmann::json& options, std::uint64_t count)
      : Family(made(architecture, options, count)) {}

  static Networks made(const std::string& architecture, const nlohmann::json& options,
                       std::uint64_t count) {
    Networks networks;
    for (std::uint64_t seed = 1; seed <= count; ++seed) {
      networks.push_back(network_with_biases(architecture, options, seed));
      networks.back()->eval();
    }
    return networks;
  }
  ZipItMerge zip(const ZipItOptions& options = {}) const {
    return zipit(networks, spec, correlations, options);
  }

  Networks networks;
  Dataset data;
  PermutationSpec spec;
  JointMoments moments;
  std::vector<torch::Tensor> correlations;
};

// The network with its units in a random order.
std::shared_ptr<Network> shuffled(Network& network, std::uint64_t seed) {
  const PermutationSpec spec = permutation_spec(network);
  Permutations order;
  for (const PermutationGroup& group : spec.groups) {
    order.push_back(random_permutation(group.units, seed, group.name));
  }
  auto moved = learning::network_with(network, permuted(spec, learning::state_of(network), order));
  moved->eval();
  return moved;
}

// A network without BatchNorm, none of whose units are constant: those are alike to no other.
std::shared_ptr<Network> living(const std::string& architecture, const nlohmann::json& options) {
  const auto network = network_with_biases(architecture, options, 1);
  network->eval();
  if (!learning::has_batch_norm(*network)) return network;
  const torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : learning::state_of(*network)) {
    if (name.find("bn") != std::string::npos && name.ends_with(".bias")) tensor += 3;
  }
  return learning::fold_batch_norm(*network);
}

// Units A0, A1, B0, B1: A0 goes with B1 and A1 with B0, or A0 with A1 and B0 with B1.
TEST(ZipIt, AveragesRowsAndAddsUpColumnsOfTheWorkedExample) {
  const Family family("mlp", {{"hidden", {2}}}, 2);
  const auto alike = [](std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) {
    torch::Tensor all = torch::zeros({4, 4}, torch::kDouble);
    for (const auto& [i, j] : {std::pair{a, b}, {b, a}, {c, d}, {d, c}}) all[i][j] = 1;
    return std::vector<torch::Tensor>{all};
  };
  const torch::Tensor first_a = in_double(*family.networks[0], "layers.0.weight");
  const torch::Tensor first_b = in_double(*family.networks[1], "layers.0.weight");
  const torch::Tensor second_a = in_double(*family.networks[0], "layers.1.weight");
  const torch::Tensor second_b = in_double(*family.networks[1], "layers.1.weight");

  const ZipItMerge crossed = zipit(family.networks, family.spec, alike(0, 3, 1, 2));
  EXPECT_THAT(crossed.groups[0].zip.into, ElementsAre(0, 1, 1, 0));
  EXPECT_LT(largest_difference(tensor_named(crossed.state, "layers.0.weight", "test")[0],
                               (first_a[0] + first_b[1]) / 2),
            1e-7);
  EXPECT_LT(largest_difference(tensor_named(crossed.state, "layers.1.weight", "test").select(1, 1),
                               (second_a.select(1, 1) + second_b.select(1, 0)) / 2),
            1e-7);

  const ZipItMerge within =
      zipit(family.networks, family.spec, alike(0, 1, 2, 3), {.matching = {.beta = 1}});
  EXPECT_THAT(within.groups[0].zip.into, ElementsAre(0, 0, 1, 1));
  EXPECT_THAT(within.groups[0].zip.within, ElementsAre(1, 1));
  EXPECT_LT(largest_difference(tensor_named(within.state, "layers.0.bias", "test")[1],
                               in_double(*family.networks[1], "layers.0.bias").mean()),
            1e-7);
  // Logits are means of the two networks', each of which takes its merged unit for both.
  EXPECT_LT(largest_difference(tensor_named(within.state, "layers.1.weight", "test").select(1, 1),
                               second_b.sum(1) / 2),
            1e-7);
}

// M W U with W block-diagonal, written out with matrices.
TEST(ZipIt, IsTheProductOfTheMatrices) {
  for (const std::uint64_t count : {2U, 3U}) {
    const Family family("mlp", {{"hidden", {8, 6}}}, count);
    const ZipItMerge merged = family.zip({.matching = {.beta = 1}});
    const auto unmerge = [&](std::size_t group) {
      const UnitZip& zip = merged.groups[group].zip;
      torch::Tensor matrix =
          torch::zeros({static_cast<std::int64_t>(zip.into.size()), zip.width}, torch::kDouble);
      for (std::size_t i = 0; i < zip.into.size(); ++i) {
        matrix[static_cast<std::int64_t>(i)][zip.into[i]] = 1;
      }
      return matrix;
    };
    const torch::Tensor into = unmerge(0);
    const torch::Tensor out = unmerge(1);
    std::vector<torch::Tensor> blocks;
    std::vector<torch::Tensor> biases;
    for (const auto& network : family.networks) {
      blocks.push_back(in_double(*network, "layers.1.weight"));
      biases.push_back(in_double(*network, "layers.1.bias"));
    }
    const torch::Tensor merge = (out / out.sum(0, true)).t();
    EXPECT_LT(largest_difference(tensor_named(merged.state, "layers.1.weight", "test"),
                                 merge.mm(torch::block_diag(blocks)).mm(into)),
              1e-6);
    EXPECT_LT(largest_difference(tensor_named(merged.state, "layers.1.bias", "test"),
                                 merge.mv(torch::cat(biases))),
              1e-6);
    EXPECT_EQ(merged.description.options["hidden"], (nlohmann::json{8, 6}));
    EXPECT_DOUBLE_EQ(merged.cost.compute, 1);
  }
}

// Flattened channels (cnn) and residual streams (resnet) included. With alpha 1 merged units find
// the equal unit of a third network too.
TEST(ZipIt, OfANetworkAndItsPermutationsIsTheNetwork) {
  for (const auto& [architecture, options] :
       {std::pair<const char*, nlohmann::json>{"mlp", {{"hidden", {8, 6}}}},
        {"cnn", {{"channels", {4}}, {"hidden", {6}}}},
        {"resnet", {{"width", 3}}}}) {
    const std::shared_ptr<Network> one = living(architecture, options);
    const torch::Tensor expected = logits(*one, toy_data(200, 5));
    for (const double alpha : {.3, 1.0}) {
      Networks networks{one, shuffled(*one, 5)};
      if (alpha == 1) networks.push_back(shuffled(*one, 6));
      const Family family(networks);
      for (const torch::Tensor& correlations : family.correlations) {
        ASSERT_GT(correlations.diagonal().min().item<double>(), .99) << "no unit is dead";
      }
      const ZipItMerge merged = family.zip({.matching = {.alpha = alpha}});
      EXPECT_LT(largest_difference(logits(*network_of(merged), family.data), expected),
                1e-5 * expected.abs().max().item<double>())
          << architecture << " " << alpha;
    }
  }
}

TEST(ZipIt, WithNothingZippedIsTheEnsemble) {
  for (const auto& [architecture, options] :
       {std::pair<const char*, nlohmann::json>{"mlp", {{"hidden", {8, 6}}}},
        {"cnn", {{"channels", {4}}, {"hidden", {6}}}}}) {
    const Family family(architecture, options, 3);
    const ZipItMerge merged = family.zip({.zipped = 0});
    torch::Tensor mean = torch::zeros({200, 4});
    for (const auto& network : family.networks) mean += logits(*network, family.data) / 3;
    EXPECT_LT(largest_difference(logits(*network_of(merged), family.data), mean), 1e-5);
    EXPECT_NEAR(merged.cost.compute, 3, 1e-12);
    const torch::Tensor apart = tensor_named(merged.state, "layers.1.weight", "test");
    if (architecture == std::string("mlp")) {
      EXPECT_EQ(apart.sizes(), (std::vector<std::int64_t>{18, 24}));
      EXPECT_EQ(apart.narrow(0, 6, 12).narrow(1, 0, 8).abs().max().item<double>(), 0);
    }
  }
}

// The first group is zipped, the second is not: its units read the merged ones of the first.
TEST(ZipIt, PartialZippingEndsInATailPerNetwork) {
  const auto one = network_with_biases("mlp", {{"hidden", {8, 6}}}, 1);
  one->eval();
  const auto other = shuffled(*one, 3);
  Family family({one, other});
  family.spec = with_own_outputs(family.spec);
  const ZipItMerge merged = family.zip({.zipped = 1, .heads = {"up", "down"}});
  EXPECT_EQ(merged.description.options["hidden"], (nlohmann::json{8, 12}));
  EXPECT_EQ(merged.description.head("down", "test").first, 4);
  const auto network = network_of(merged);
  const torch::Tensor both = logits(*network, family.data);
  EXPECT_LT(largest_difference(both.narrow(1, 0, 4), logits(*one, family.data)), 1e-5);
  EXPECT_LT(largest_difference(both.narrow(1, 4, 4), logits(*other, family.data)), 1e-5);
  // 36 x 8 once, 8 x 6 and 6 x 4 twice: 432 of 360.
  EXPECT_NEAR(merged.cost.compute, 432.0 / 360, 1e-12);
  EXPECT_THAT(zip_ratios(family.spec, learning::state_of(*one), 1.2), ElementsAre(0, 1));
}

TEST(ZipIt, ABudgetOfSeveralNetworksKeepsLaterGroupsApart) {
  const Family family("mlp", {{"hidden", {8, 6}}}, 3);
  const auto ratios = [&](double budget) {
    return zip_ratios(family.spec, learning::state_of(*family.networks[0]), budget, 3);
  };
  // With the second group apart: (288 + 3 (48 + 24)) / 360 = 1.4.
  EXPECT_THAT(ratios(1.39), ElementsAre(0, 0));
  EXPECT_THAT(ratios(1.4), ElementsAre(0, 1));
  EXPECT_THAT(ratios(3), ElementsAre(1, 1));
  EXPECT_THROW(ratios(3.1), InputError);
}

TEST(JointCorrelations, AreThoseOfTheActivations) {
  const Family family("mlp", {{"hidden", {8, 6}}}, 2);
  std::vector<torch::Tensor> seen;
  for (const auto& network : family.networks) {
    const torch::NoGradGuard no_grad;
    network->forward(family.data.inputs, [&](const torch::nn::Module&, const torch::Tensor& input,
                                             const torch::Tensor&) {
      if (input.dim() == 2 && input.size(1) == 8) seen.push_back(input.to(torch::kDouble));
    });
  }
  ASSERT_EQ(seen.size(), 2U);
  const torch::Tensor expected = torch::corrcoef(torch::cat(seen, 1).t()).nan_to_num(0);
  EXPECT_LT(largest_difference(family.correlations[0], expected), 1e-9);
}

// Of a channel every pixel is an example, where convolutions read it and where it is flattened.
TEST(JointMoments, AddUpOverPartsOfTheData) {
  const Family family("cnn", {{"channels", {4, 3}}, {"hidden", {6}}}, 2);
  JointMoments sums;
  for (const std::uint64_t first : {0U, 80U}) {
    const JointMoments part =
        joint_moments(family.networks, family.spec, family.data.range(first, first == 0 ? 80 : 120),
                      /*batch=*/33);
    for (const auto& [layer, moments] : part) sums[layer].combine(moments);
  }
  ASSERT_EQ(sums.size(), family.moments.size());
  for (const auto& [layer, moments] : family.moments) {
    EXPECT_EQ(sums[layer].rows, moments.rows);
    EXPECT_LT(largest_difference(sums[layer].products, moments.products),
              1e-9 * moments.products.abs().max().item<double>());
  }
  const PermutationGroup& channels = family.spec.groups[0];
  EXPECT_GT(family.moments.at(channels.consumers[0]).rows, 200U);
  EXPECT_EQ(family.moments.at(channels.consumers[0]).sums.size(0), 2 * channels.units);
}

TEST(JointMoments, LeaveTrainingModeAsItWas) {
  const Networks networks = Family::made("mlp", {{"hidden", {3}}}, 2);
  networks[0]->train();
  (void)joint_moments(networks, permutation_spec(*networks[1]), toy_data(10, 1));
  EXPECT_TRUE(networks[0]->is_training());
  EXPECT_FALSE(networks[1]->is_training());
}

TEST(ZipIt, RefusesWhatItCannotDo) {
  Family family("mlp", {{"hidden", {8, 6}}}, 2);
  const auto with = [&](const ZipItOptions& options) {
    return error_of([&] { (void)family.zip(options); });
  };
  EXPECT_THAT(with({.zipped = 3}), HasSubstr("3 groups of units are to be zipped"));
  EXPECT_THAT(with({.matching = {.alpha = 2}}), HasSubstr("alpha is 2"));
  EXPECT_THAT(error_of([&] {
                (void)zipit(std::span(family.networks).first(1), family.spec, family.correlations);
              }),
              HasSubstr("at least 2"));
  EXPECT_THAT(error_of([&] { (void)zipit(family.networks, family.spec, {}); }),
              HasSubstr("0 groups for 2"));
  EXPECT_THAT(error_of([&] { (void)joint_correlations(family.spec, {}); }),
              HasSubstr("layer 'layers.1'"));
  Dataset none = family.data;
  none.inputs = none.inputs.narrow(0, 0, 0);
  none.labels = none.labels.narrow(0, 0, 0);
  EXPECT_THAT(error_of([&] { (void)joint_moments(family.networks, family.spec, none); }),
              HasSubstr("no examples"));
  family.spec = with_own_outputs(family.spec);
  EXPECT_THAT(with({.heads = {"one"}}), HasSubstr("1 names of heads for 2"));
  const Networks narrower = {family.networks[0],
                             network_with_biases("mlp", {{"hidden", {8, 5}}}, 1)};
  EXPECT_THAT(error_of([&] { (void)joint_moments(narrower, family.spec, family.data); }),
              HasSubstr("layers.1.weight"));
  const Networks norms = Family::made("resnet", {{"width", 2}}, 2);
  const PermutationSpec spec = permutation_spec(*norms[0]);
  EXPECT_THAT(error_of([&] {
                (void)zipit(norms, spec,
                            joint_correlations(spec, joint_moments(norms, spec, family.data)));
              }),
              HasSubstr("BatchNorm"));
}

}  // namespace
}  // namespace amalgam::learned
