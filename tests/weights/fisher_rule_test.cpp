#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/weights/engine.hpp"
#include "amalgam/weights/planner.hpp"
#include "amalgam/weights/rules/registry.hpp"
#include "tests/weights/rule_checks.hpp"

namespace amalgam {
namespace {

using namespace amalgam::testing;

const Assignments kPlain{{"normalize", false}};

DriverTensor fisher_tensor(std::vector<Values> members, std::vector<Values> fishers,
                           Assignments parameters = {}, const Values& weights = {}) {
  DriverTensor tensor = vector_tensor(std::move(members), std::move(parameters));
  tensor.auxiliary = std::move(fishers);
  for (const double weight : weights) tensor.member_parameters.push_back({{"weight", weight}});
  return tensor;
}

std::vector<Values> positive_members(std::size_t n, std::size_t count, std::uint64_t seed) {
  std::vector<Values> members = random_members(n, count, seed);
  for (Values& member : members) {
    for (double& value : member) value *= value;
  }
  return members;
}

TEST(FisherRule, WeighsEveryElementByItsFisher) {
  EXPECT_EQ(run_rule(rules::fisher(), fisher_tensor({{2}, {6}}, {{1}, {3}}, kPlain)), (Values{5}));
  expect_near(
      run_rule(rules::fisher(), fisher_tensor({{2}, {6}}, {{1}, {3}}, kPlain, {0.25, 0.75})), {5.6},
      1e-15);
  EXPECT_EQ(run_rule(rules::fisher(), fisher_tensor({{2}, {6}}, {{0.5}, {0.5}}, kPlain)),
            (Values{4}));
}

TEST(FisherRule, TheFloorFavoursTheTarget) {
  DriverOptions wide;
  wide.as_double = true;
  const std::vector<Values> members{{2}, {6}};
  const std::vector<Values> fishers{{1e-9}, {1e-12}};
  expect_near(run_rule(rules::fisher(), fisher_tensor(members, fishers, kPlain), wide),
              {(1e-6 * 2 + 1e-12 * 6) / (1e-6 + 1e-12)}, 1e-12);
  expect_near(run_rule(rules::fisher(), fisher_tensor(members, fishers, kPlain), wide), {2.000004},
              1e-9);
  const Assignments all{{"normalize", false}, {"favor_target", false}};
  EXPECT_EQ(run_rule(rules::fisher(), fisher_tensor(members, fishers, all), wide), (Values{4}));
}

TEST(FisherRule, NormalisedFishersHaveNoScale) {
  const std::vector<Values> members = random_members(2, 100, 1);
  std::vector<Values> fishers = positive_members(2, 100, 2);
  for (Values& fisher : fishers) {
    for (double& value : fisher) value += 1;  // none at the floor
  }
  std::vector<Values> larger = fishers;
  for (double& value : larger[1]) value *= 1000;
  const auto plain = run_rule(rules::fisher(), fisher_tensor(members, fishers));
  expect_near(run_rule(rules::fisher(), fisher_tensor(members, larger)), plain, 1e-6);
  const Values moved = run_rule(rules::fisher(), fisher_tensor(members, larger, kPlain));
  for (std::size_t k = 0; k < 100; ++k) {
    EXPECT_LE(std::abs(moved[k] - members[1][k]), std::abs(plain[k] - members[1][k]) + 1e-12);
  }
}

TEST(FisherRule, NormIsOverTheWholeModelBeforeTheFloor) {
  // Norms over both tensors: 5 and 10. First tensor: (3/5 * 2 + 6/10 * 6) / (3/5 + 6/10) = 4.
  std::vector<DriverTensor> tensors{fisher_tensor({{2}, {6}}, {{3}, {6}}),
                                    fisher_tensor({{2}, {6}}, {{4}, {8}})};
  tensors[1].name = "v";
  auto merged = run_rule(rules::fisher(), tensors);
  expect_near(merged[0], {4}, 1e-12);
  expect_near(merged[1], {4}, 1e-12);
  // Target's norm 3 though it is raised to the floor 4 in the second tensor; the other's is 5:
  // (4/3 * 2 + 4/5 * 6) / (4/3 + 4/5) = 3.5.
  tensors[0].auxiliary = {{3}, {3}};
  tensors[1].auxiliary = {{0}, {4}};
  for (DriverTensor& tensor : tensors) tensor.parameters = {{"floor", 4.0}};
  merged = run_rule(rules::fisher(), tensors);
  expect_near(merged[1], {3.5}, 1e-12);
}

RC_GTEST_PROP(FisherRule, StaysBetweenItsMembersInAnyOrder, ()) {
  const auto seed = *rc::gen::inRange<std::uint64_t>(0, 1 << 30);
  const auto n = *rc::gen::inRange<std::size_t>(1, 6);
  const auto count = *rc::gen::inRange<std::size_t>(1, 300);
  const std::vector<Values> members = random_members(n, count, seed);
  const std::vector<Values> fishers = positive_members(n, count, seed + 1);
  const Assignments symmetric{{"favor_target", false}};
  const Values merged = run_rule(rules::fisher(), fisher_tensor(members, fishers, symmetric));
  const Values backwards =
      run_rule(rules::fisher(), fisher_tensor({members.rbegin(), members.rend()},
                                              {fishers.rbegin(), fishers.rend()}, symmetric));
  for (std::size_t k = 0; k < count; ++k) {
    double low = members[0][k];
    double high = low;
    for (const Values& member : members) {
      low = std::min(low, member[k]);
      high = std::max(high, member[k]);
    }
    RC_ASSERT(merged[k] >= low - 1e-14 && merged[k] <= high + 1e-14);
    RC_ASSERT(std::abs(merged[k] - backwards[k]) < 1e-12);
  }
}

TEST(FisherRule, WithoutInformationItIsTheWeightedAverage) {
  // The target has weight 0, the other a Fisher of exactly 0: 0/0 would be NaN.
  EXPECT_EQ(
      run_rule(rules::fisher(), fisher_tensor({{2, 2}, {6, 6}}, {{1, 1}, {0, 1}}, kPlain, {0, 1})),
      (Values{6, 6}));
  const Assignments no_floor{{"normalize", false}, {"floor", 0.0}};
  EXPECT_EQ(run_rule(rules::fisher(), fisher_tensor({{2}, {6}}, {{0}, {0}}, no_floor, {1, 3})),
            (Values{5}));
}

TEST(FisherRule, OneModelIsUnchanged) {
  const Values x = random_values(500, 3);
  expect_near(run_rule(rules::fisher(), fisher_tensor({x}, positive_members(1, 500, 4))), x, 1e-15);
}

TEST(FisherRule, RefusesWhatIsNoFisher) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const Assignments& parameters : {kPlain, Assignments{}}) {
    std::vector<Values> fishers(2, Values(300, 1.0));
    fishers[1][280] = -0.5;
    const std::string negative =
        merge_error(rules::fisher(), fisher_tensor(random_members(2, 300, 1), fishers, parameters));
    EXPECT_NE(negative.find("member 2 for tensor 'w' is -0.5 at index 280"), std::string::npos);
    fishers[1][280] = nan;
    EXPECT_NE(
        merge_error(rules::fisher(), fisher_tensor(random_members(2, 300, 1), fishers, parameters))
            .find("at index 280"),
        std::string::npos);
    EXPECT_NE(merge_error(rules::fisher(), fisher_tensor({{1}, {2}}, {}, parameters))
                  .find("a file for each member"),
              std::string::npos);
  }
  EXPECT_NE(merge_error(rules::fisher(), fisher_tensor({{1}, {2}}, {{1}, {0}}))
                .find("Fisher of member 2 is zero everywhere"),
            std::string::npos);
  EXPECT_NE(merge_error(rules::fisher(), fisher_tensor({{1}, {2}}, {{1}, {1}}, kPlain, {0, 0}))
                .find("all zero"),
            std::string::npos);
}

// Merges the models "a" (all 2) and "b" (all 6), whose Fishers are below the floor but for one
// element of "b", by a recipe through planning and the engine.
Values merged_by(const std::string& recipe) {
  const std::map<std::string, Values> models{
      {"a", {2, 2}}, {"b", {6, 6}}, {"fa", {1e-9, 1e-9}}, {"fb", {1e-9, 1}}};
  const MergePlan plan = plan_merge(
      parse_recipe("merge_method: fisher\n" + recipe, "r.yml").front(),
      [&](const ModelReference& reference) {
        std::vector<MemoryTensor> tensors;
        tensors.push_back(make_tensor("w", {2}, models.at(reference.path)));
        return OpenedModel(std::make_shared<MemorySource>(reference.path, std::move(tensors)));
      });
  std::vector<TensorInfo> outputs;
  for (const PlanTensor& tensor : plan.tensors) outputs.push_back(tensor.output);
  MemorySink sink(outputs);
  run_merge(plan, sink, {});
  return values_of(*sink.take("out"), "w");
}

TEST(FisherRule, TheBaseIsTheTargetIfOneIsNamed) {
  const std::string models =
      "models: [{model: a, parameters: {fisher: fa}}, {model: b, parameters: {fisher: fb}}]\n"
      "parameters: {normalize: false}\n";
  // The target's Fisher counts as 1e-6 where it is less, the other's as 1e-9.
  expect_near(merged_by(models), {2 + 4 * 1e-3 / 1.001, 6 - 4 * 1e-6}, 1e-6);
  expect_near(merged_by(models + "base_model: b\n"), {6 - 4 * 1e-3 / 1.001, 6}, 1e-6);
  try {
    merged_by(models + "base_model: fa\n");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("expected 'fa' among the models"), std::string::npos);
  }
}

TEST(FisherRule, GivesTheSameBitsForAnyThreads) {
  const std::size_t count = 2 * kBlockElements * kLeafBlocks + 5;
  expect_thread_invariance(
      rules::fisher(), fisher_tensor(random_members(3, count, 1), positive_members(3, count, 2)));
}

TEST(FisherRule, EmptyAndScalarTensors) {
  EXPECT_TRUE(run_rule(rules::fisher(), fisher_tensor({{}, {}}, {{}, {}})).empty());
  DriverTensor scalar = fisher_tensor({{2}, {6}}, {{1}, {3}}, kPlain);
  scalar.shape = {};
  EXPECT_EQ(run_rule(rules::fisher(), scalar), (Values{5}));
}

}  // namespace
}  // namespace amalgam
