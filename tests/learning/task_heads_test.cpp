// Merging networks with a head per task: losses see the task's head, heads stay or are chosen.
#include "amalgam/weights/learned/task_heads.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "amalgam/core/error.hpp"
#include "amalgam/weights/learned/adamerging.hpp"
#include "amalgam/weights/learned/frank_wolfe.hpp"
#include "tests/learning/toy_heads.hpp"

namespace amalgam::learned {
namespace {

using learning::Dataset;
using learning::Network;
using ::testing::HasSubstr;

const std::vector<std::string> kClasses{"upper left", "upper right", "lower left", "lower right"};

std::shared_ptr<Network> two_heads(std::uint64_t seed, const char* architecture = "mlp",
                                   const nlohmann::json& options = {{"hidden", {6}}}) {
  return learning::toy_network_with_heads(
      architecture, options,
      {{{"name", "one"}, {"classes", kClasses}}, {{"name", "two"}, {"classes", kClasses}}}, seed);
}

Dataset task(std::uint64_t seed, const std::string& head) {
  return learning::for_head(learning::toy_data(40, seed), head);
}

const torch::Tensor& tensor(const NamedTensors& state, const std::string& name) {
  return std::ranges::find(state, name, &NamedTensors::value_type::first)->second;
}

struct Family {
  std::shared_ptr<Network> network = two_heads(1);
  NamedTensors base = learning::copied_state(*network);
  std::vector<NamedTensors> members{learning::copied_state(*two_heads(2)),
                                    learning::copied_state(*two_heads(3))};
  std::vector<Dataset> tasks{task(5, "two"), task(6, "one")};
};

TEST(TaskHeads, AreThoseOfTheMembersInTheOrderOfTheTasks) {
  const Family family;
  const auto& network = family.network->description();
  const NamedTensors heads = heads_of_members(network, family.base, family.members, family.tasks);
  ASSERT_EQ(heads.size(), 4U);
  EXPECT_TRUE(torch::equal(tensor(heads, "heads.two.weight"),
                           tensor(family.members[0], "heads.two.weight")));
  EXPECT_TRUE(
      torch::equal(tensor(heads, "heads.one.bias"), tensor(family.members[1], "heads.one.bias")));
  const NamedTensors replaced = with_tensors(family.base, heads);
  EXPECT_TRUE(torch::equal(tensor(replaced, "heads.one.weight"),
                           tensor(family.members[1], "heads.one.weight")));
  EXPECT_TRUE(
      torch::equal(tensor(replaced, "layers.0.weight"), tensor(family.base, "layers.0.weight")));
  EXPECT_EQ(only_heads(network, family.base).size() + without_heads(network, family.base).size(),
            family.base.size());
}

TEST(TaskHeads, SayWhatDoesNotFit) {
  const Family family;
  const auto error_with = [&](const std::vector<Dataset>& tasks) -> std::string {
    try {
      (void)heads_of_members(family.network->description(), family.base, family.members, tasks);
    } catch (const InputError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(error_with({task(5, "one")}), HasSubstr("1 tasks for 2 members"));
  EXPECT_THAT(error_with({task(5, "one"), task(6, "")}), HasSubstr("task 2 (toy) names no head"));
  EXPECT_THAT(error_with({task(5, "one"), task(6, "one")}), HasSubstr("named by two tasks"));
  EXPECT_THAT(error_with({task(5, "one"), task(6, "tow")}), HasSubstr("no head 'tow'"));
}

TEST(TaskHeads, LossesAreOfTheTasksHead) {
  const auto network = two_heads(4);
  const Dataset data = task(7, "two");
  const torch::Tensor all = torch::arange(data.count(), torch::kLong);
  const torch::Tensor logits = network->forward(data.inputs).narrow(1, 4, 4);
  EXPECT_NEAR(coefficient_loss(*network, data, all, CoefficientLoss::cross_entropy).item<double>(),
              torch::nn::functional::cross_entropy(logits, data.labels).item<double>(), 1e-6);
  EXPECT_NEAR(coefficient_loss(*network, data, all, CoefficientLoss::entropy).item<double>(),
              mean_entropy(logits).item<double>(), 1e-6);
}

// Where base and members have the same heads, whatever is learned of the others leaves them alone.
TEST(TaskHeads, StayWhileWhatTheyShareIsMerged) {
  Family family;
  const NamedTensors heads =
      heads_of_members(family.network->description(), family.base, family.members, family.tasks);
  const NamedTensors base = with_tensors(family.base, heads);
  std::vector<NamedTensors> pool;
  std::vector<NamedTensors> vectors;
  for (const NamedTensors& member : family.members) {
    pool.push_back(with_tensors(member, heads));
    vectors.push_back(subtract(pool.back(), base));
  }
  const AdaMerging adapted = adamerge(*family.network, base, vectors, family.tasks,
                                      {.granularity = Granularity::tensor, .steps = 5});
  const FrankWolfe moved =
      frank_wolfe(*family.network, base, pool, family.tasks, {.iterations = 3});
  for (const NamedTensors* state : {&adapted.state, &moved.state}) {
    for (const auto& [name, head] : heads) {
      EXPECT_TRUE(torch::equal(tensor(*state, name), head)) << name;
    }
    EXPECT_FALSE(torch::equal(tensor(*state, "layers.0.weight"), tensor(base, "layers.0.weight")));
  }
}

// Statistics of BatchNorm are no parameters, but belong to the result.
TEST(MergedPoint, KeepsTheStatisticsOfTheNetwork) {
  const auto network = learning::toy_network("resnet", {{"width", 2}}, 1);
  const torch::NoGradGuard no_grad;
  for (const auto& buffer : network->named_buffers()) {
    torch::Tensor(buffer.value()).fill_(buffer.key().ends_with("var") ? 2.5 : 0.25);
  }
  const NamedTensors state = learning::copied_state(*network);
  MergedPoint point(*network, nullptr, {state, state}, Granularity::whole);
  point.move_to(torch::full({1, 2}, .5, torch::kDouble));
  const NamedTensors merged = point.state();
  ASSERT_EQ(merged.size(), state.size());
  EXPECT_EQ(tensor(merged, "bn1.running_var")[0].item<float>(), 2.5F);
  EXPECT_EQ(tensor(merged, "bn1.running_mean")[0].item<float>(), .25F);
}

}  // namespace
}  // namespace amalgam::learned
