// Twin-Merging of networks with a head per task, and what its router is said to have done.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/weights/learned/task_heads.hpp"
#include "amalgam/weights/learned/twin_file.hpp"
#include "amalgam/weights/learned/twin_merging.hpp"
#include "amalgam/weights/learned/twin_routing.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/error_of.hpp"
#include "tests/learning/toy_heads.hpp"

namespace amalgam::learned {
namespace {

using learning::Dataset;
using learning::for_head;
using learning::Network;
using learning::toy_data;
using testing::HasSubstr;

const std::vector<std::string> kClasses{"upper left", "upper right", "lower left", "lower right"};

std::shared_ptr<Network> two_heads(std::uint64_t seed) {
  return learning::toy_network_with_heads(
      "mlp", {{"hidden", {6}}},
      {{{"name", "one"}, {"classes", kClasses}}, {{"name", "two"}, {"classes", kClasses}}}, seed);
}

// Two experts, the first for head "two"; routed by what their tasks' inputs look like.
struct Family {
  Family() {
    for (std::size_t k = 0; k < 2; ++k) {
      tasks.push_back(for_head(toy_data(60, 5 + k), k == 0 ? "two" : "one"));
    }
    tasks[1].inputs = 1 - tasks[1].inputs;
  }

  TwinModel merged(double density) const {
    TwinOptions options{.heads = heads_of_members(network->description(), base, experts, tasks),
                        .compression = {.density = density}};
    TwinModel model = twin_merge(*network, base, experts, {"a", "b"}, options);
    model.heads = {"two", "one"};
    return model;
  }

  std::shared_ptr<Network> network = two_heads(1);
  NamedTensors base = learning::copied_state(*network);
  std::vector<NamedTensors> experts{learning::copied_state(*two_heads(2)),
                                    learning::copied_state(*two_heads(3))};
  std::vector<Dataset> tasks;
};

torch::Tensor all_to(std::int64_t task, std::int64_t count) {
  torch::Tensor shares = torch::zeros({count, 2}, torch::kDouble);
  shares.select(1, task).fill_(1);
  return shares;
}

TEST(TwinHeads, AreEachExpertsOwnAndInNoModule) {
  const Family family;
  const TwinModel model = family.merged(1);
  for (const ExclusiveModule& module : model.modules) {
    for (const ExclusiveTensor& tensor : module) {
      EXPECT_FALSE(tensor.name.starts_with("heads.")) << tensor.name;
    }
  }
  const auto find = [](const NamedTensors& state, const std::string& name) {
    return std::ranges::find(state, name, &NamedTensors::value_type::first)->second;
  };
  const NamedTensors shared = learning::state_of(*model.shared);
  EXPECT_TRUE(
      torch::equal(find(shared, "heads.two.weight"), find(family.experts[0], "heads.two.weight")));
  EXPECT_TRUE(
      torch::equal(find(shared, "heads.one.bias"), find(family.experts[1], "heads.one.bias")));
}

// With whole modules the task's columns are those of its expert, whoever's head the others are.
TEST(TwinHeads, WithWholeModulesATaskHasItsExpertsLogits) {
  const Family family;
  TwinNetwork twin(family.merged(1));
  const torch::NoGradGuard no_grad;
  for (std::int64_t k = 0; k < 2; ++k) {
    const Dataset& task = family.tasks[static_cast<std::size_t>(k)];
    const auto expert =
        learning::network_with(*family.network, family.experts[static_cast<std::size_t>(k)]);
    const torch::Tensor expected =
        learning::logits_of_head(*expert, task, expert->forward(task.inputs));
    const torch::Tensor found = learning::logits_of_head(
        twin, task, twin.forward_with(task.inputs, all_to(k, task.count())));
    EXPECT_LT((found - expected).abs().max().item<double>(), 1e-4) << k;
  }
}

TEST(TwinHeads, AreKeptInTheManifest) {
  const TemporaryFolder folder;
  const Family family;
  const std::filesystem::path place = folder.path() / "twin";
  save_twin(place, family.merged(.5), false);
  EXPECT_EQ(load_twin(place).heads, (std::vector<std::string>{"two", "one"}));
  nlohmann::json manifest = nlohmann::json::parse(std::ifstream(place / kTwinManifest));
  const auto with_heads = [&](const nlohmann::json& heads) {
    manifest["heads"] = heads;
    std::ofstream(place / kTwinManifest) << manifest;
    return error_of([&] { (void)load_twin(place); });
  };
  EXPECT_THAT(with_heads({"two"}), HasSubstr("heads is [\"two\"]; expected a head for each task"));
  EXPECT_THAT(with_heads({"two", "three"}), HasSubstr("no head 'three'"));
}

TEST(TwinRouting, SaysWhetherTheRouterChoosesTheHead) {
  const Family family;
  TwinModel model = family.merged(.5);
  fit_router(model, family.tasks, {.epochs = 60, .batch = 32, .learning_rate = .01, .dropout = 0});
  TwinNetwork twin(std::move(model));
  for (std::size_t k = 0; k < 2; ++k) {
    const RoutingReport report = routing_report(twin, family.tasks[k]);
    EXPECT_GT(report.shares[k], .6);
    EXPECT_NEAR(report.shares[0] + report.shares[1], 1, 1e-6);
    EXPECT_LT(report.entropy, .65);
    ASSERT_TRUE(report.chooses_head);
    EXPECT_GT(report.chooses_head->to(torch::kDouble).mean().item<double>(), .7);
    // The same inputs for the other head: chosen for exactly those that were not.
    const Dataset other = for_head(family.tasks[k], k == 0 ? "one" : "two");
    EXPECT_TRUE(torch::equal(routing_report(twin, other).chooses_head->logical_not(),
                             *report.chooses_head));
  }
}

TEST(TwinRouting, CountsInputsThatGetNoExpert) {
  const Family family;
  TwinModel model = family.merged(.5);
  fit_router(model, family.tasks, {.epochs = 1, .batch = 32});
  model.routing.least = 1;  // nobody is as sure as that
  TwinNetwork twin(std::move(model));
  const RoutingReport report = routing_report(twin, family.tasks[0]);
  EXPECT_EQ(report.without_expert, 1);
  EXPECT_EQ(report.entropy, 0);
  EXPECT_EQ(report.chooses_head->sum().item<std::int64_t>(), 0);
}

// log 2; 0; and -(.665241 log .665241 + .244728 log .244728 + .090031 log .090031).
TEST(TwinRouting, EntropyOfSharesIsInNats) {
  const auto of = [](std::vector<double> shares) {
    return share_entropy(torch::tensor(shares, torch::kDouble).unsqueeze(0))[0].item<double>();
  };
  EXPECT_NEAR(of({.5, .5}), std::log(2.0), 1e-12);
  EXPECT_EQ(of({1, 0, 0}), 0);
  EXPECT_NEAR(of({.665241, .244728, .090031}), .832395, 1e-5);
}

TEST(TwinRouting, RefusesModelsWithoutARouter) {
  const Family family;
  TwinNetwork twin(family.merged(.5));
  EXPECT_FALSE(twin.routes());
  EXPECT_THAT(error_of([&] { (void)routing_report(twin, family.tasks[0]); }),
              HasSubstr("no router"));
  TwinModel model = family.merged(.5);
  model.heads = {"two"};
  EXPECT_THAT(error_of([&] { TwinNetwork wrong(model); }), HasSubstr("1 heads for 2 tasks"));
}

}  // namespace
}  // namespace amalgam::learned
