#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "amalgam/weights/rule.hpp"
#include "tests/weights/rule_checks.hpp"
#include "tests/weights/rule_driver.hpp"
#include "tests/weights/task_vector_reference.hpp"

// Numbers worked by hand, and what each method of the task-vector family promises.
namespace amalgam::testing {
namespace {

DriverTensor task_vectors(std::vector<Values> differences, Assignments member = {},
                          Assignments rule = {}) {
  DriverTensor tensor;
  tensor.shape = {differences.front().size()};
  tensor.base = Values(differences.front().size(), 0.0);
  member.insert(member.begin(), {"weight", 1.0});
  tensor.member_parameters.assign(differences.size(), member);
  tensor.members = std::move(differences);
  tensor.parameters = std::move(rule);
  return tensor;
}

Values merged(std::string_view method, const DriverTensor& tensor, bool as_double = true) {
  return run_rule(find_merge_rule(method), tensor, {.as_double = as_double});
}

const Values kFirst = {4, -1, 0.5, 2};
const Values kSecond = {-2, 3, 1, 0.1};

TEST(TaskArithmetic, AddsTheWeightedTaskVectors) {
  expect_near(merged("task_arithmetic", task_vectors({kFirst, kSecond})), {2, 2, 1.5, 2.1}, 1e-15);
  // Divided by the sum of the weights, then times lambda.
  expect_near(merged("task_arithmetic",
                     task_vectors({kFirst, kSecond}, {}, {{"normalize", true}, {"lambda", 3.0}})),
              {3, 3, 2.25, 3.15}, 1e-15);
}

TEST(TaskArithmetic, WeightsThatSumToZeroAreNotDividedBy) {
  DriverTensor tensor = task_vectors({kFirst, kSecond}, {}, {{"normalize", true}});
  tensor.member_parameters = {{{"weight", 0.5}}, {{"weight", -0.5}}};
  expect_near(merged("task_arithmetic", tensor), {3, -2, -0.25, 0.95}, 1e-15);
}

TEST(TaskArithmetic, WithLambdaOneNthIsTheAverage) {
  DriverTensor tensor = vector_tensor(random_members(5, 1000, 3), {}, random_values(1000, 4));
  tensor.member_parameters.assign(5, {{"weight", 1.0}});
  const Values average = merged("linear", tensor);
  tensor.parameters = {{"lambda", 0.2}};
  expect_near(merged("task_arithmetic", tensor), average, 1e-12);
}

TEST(TiesRule, WorkedExamples) {
  const Assignments half = {{"density", 0.5}};
  EXPECT_EQ(merged("ties", task_vectors({kFirst, kSecond}, half)), (Values{4, 3, 0, 2}));
  const Values positive = {2, 3, 1, 0.1};
  EXPECT_EQ(merged("ties", task_vectors({kFirst, positive}, half)), (Values{3, 3, 0, 2}));
  EXPECT_EQ(merged("ties", task_vectors({kFirst, positive}, half, {{"normalize", false}})),
            (Values{6, 3, 0, 2}));
}

TEST(TiesRule, PaperDialectTrimsElectsAndAverages) {
  const Values first = {0.5, -0.1, 0.3, 0.02, -0.4};
  const Values second = {-0.6, 0.2, 0.35, -0.01, 0.1};
  const Assignments member = {{"density", 0.6}};
  const auto with = [&](Assignments rule) {
    rule.emplace_back("dialect", std::string("paper"));
    return merged("ties", task_vectors({first, second}, member, std::move(rule)));
  };
  // Kept (.5, 0, .3, 0, -.4) and (-.6, .2, .35, 0, 0); totals (-.1, .2, .65, 0, -.4).
  expect_near(with({}), {-0.6, 0.2, 0.325, 0, -0.4}, 1e-15);
  expect_near(with({{"disjoint", std::string("sum")}}), {-0.6, 0.2, 0.65, 0, -0.4}, 1e-15);
  expect_near(with({{"disjoint", std::string("max")}}), {-0.6, 0.2, 0.35, 0, -0.4}, 1e-15);
  expect_near(with({{"lambda", 0.5}}), {-0.3, 0.1, 0.1625, 0, -0.2}, 1e-15);
}

TEST(TiesRule, CountsKeptByFloorOrByRoundingHalfToEven) {
  // Five elements at density .5 are 2.5: floor 2, half to even 2; at .7, 3.5: 3 and 4.
  const auto kept = [&](double density, const std::string& how) {
    const Values out =
        merged("ties", task_vectors({{5, 4, 3, 2, 1}}, {{"density", density}}, {{"kept", how}}));
    return std::count_if(out.begin(), out.end(), [](double value) { return value != 0; });
  };
  EXPECT_EQ(kept(0.5, "floor"), 2);
  EXPECT_EQ(kept(0.5, "round_half_even"), 2);
  EXPECT_EQ(kept(0.7, "floor"), 3);
  EXPECT_EQ(kept(0.7, "round_half_even"), 4);
  EXPECT_EQ(kept(0.01, "floor"), 1);
}

TEST(TiesRule, ElectsByMassOrByCount) {
  const std::vector<Values> columns = {{0.9}, {-0.3}, {-0.3}};
  expect_near(merged("ties", task_vectors(columns)), {0.9}, 1e-15);
  expect_near(merged("ties", task_vectors(columns, {}, {{"elect", std::string("count")}})), {-0.3},
              1e-15);
}

TEST(TiesRule, ABalanceTakesPlusOrTheMajority) {
  const Assignments majority = {{"zero_sign", std::string("majority")}};
  const auto first_with = [&](const std::vector<Values>& members, const Assignments& rule) {
    return merged("ties", task_vectors(members, {}, rule)).front();
  };
  const std::vector<Values> mostly_plus = {{0.4, 1, 1}, {-0.4, 1, 1}};
  const std::vector<Values> mostly_minus = {{0.4, -1, -1}, {-0.4, -1, -1}};
  const std::vector<Values> alone = {{0.4}, {-0.4}};
  EXPECT_EQ(first_with(mostly_plus, majority), 0.4);
  EXPECT_EQ(first_with(mostly_minus, majority), -0.4);
  EXPECT_EQ(first_with(mostly_minus, {}), 0.4);
  EXPECT_EQ(first_with(alone, majority), 0.4);
}

TEST(TiesRule, OfEqualTaskVectorsIsTheTaskVector) {
  const Values d = random_values(500, 8);
  expect_near(
      merged("ties", task_vectors({d, d, d}, {{"density", 1.0}}, {{"lambda", 0.5}})),
      [&] {
        Values half = d;
        for (double& value : half) value *= 0.5;
        return half;
      }(),
      1e-15);
}

TEST(TiesRule, KeepsExactlyKWithTiesByLowestIndex) {
  // Three magnitudes; of the many equal ones the first are kept. k = floor(.5 * 10) = 5.
  const Values d = {1, -2, 2, 0.5, 2, -2, 2, 0.5, 2, 2};
  EXPECT_EQ(merged("ties", task_vectors({d}, {{"density", 0.5}})),
            (Values{0, -2, 2, 0, 2, -2, 2, 0, 0, 0}));
}

RC_GTEST_PROP(TiesRule, KeepsExactlyKOfQuantisedTaskVectors, ()) {
  const auto count = *rc::gen::inRange<std::size_t>(1, 20000);
  const auto levels = *rc::gen::inRange(1, 6);
  const double density = *rc::gen::inRange(1, 100) / 100.0;
  Values d(count);
  for (std::size_t i = 0; i < count; ++i) {
    d[i] = 1.0 + static_cast<double>((i * 2654435761U) % static_cast<unsigned>(levels));
  }
  const Values out = merged("ties", task_vectors({d}, {{"density", density}}), false);
  const auto kept = std::max<std::size_t>(
      1, static_cast<std::size_t>(std::floor(density * static_cast<double>(count))));
  RC_ASSERT(static_cast<std::size_t>(std::count_if(
                out.begin(), out.end(), [](double value) { return value != 0; })) == kept);
  // Nothing dropped is larger than what is kept, or equal and earlier.
  double least = 1e9;
  std::size_t last = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (out[i] != 0 && d[i] <= least) {
      least = d[i];
      last = i;
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (out[i] == 0) RC_ASSERT(d[i] < least || (d[i] == least && i > last));
  }
}

TEST(TiesRule, PermutingMembersChangesNothing) {
  // Dyadic values, so that sums are exact in any order.
  std::vector<Values> members = random_members(4, 3000, 9);
  for (Values& member : members) {
    for (double& value : member) value = std::round(value * 64) / 64;
  }
  const Values out = merged("ties", task_vectors(members, {{"density", 0.3}}), false);
  std::reverse(members.begin(), members.end());
  EXPECT_EQ(merged("ties", task_vectors(members, {{"density", 0.3}}), false), out);
}

TEST(TiesRule, ModelScopeTakesOneThresholdOverAllTensors) {
  // Magnitudes 10, 9 | 8, 1, 2, 3: of six, three are kept: all of the first tensor, one of the
  // second. By tensor: one of the first, two of the second.
  std::vector<DriverTensor> tensors = {task_vectors({{10, -9}}, {{"density", 0.5}}),
                                       task_vectors({{8, 1, 2, 3}}, {{"density", 0.5}})};
  const MergeRule& rule = find_merge_rule("ties");
  EXPECT_EQ(run_rule(rule, tensors), (std::vector<Values>{{10, 0}, {8, 0, 0, 3}}));
  for (DriverTensor& tensor : tensors) tensor.parameters = {{"scope", std::string("model")}};
  EXPECT_EQ(run_rule(rule, tensors), (std::vector<Values>{{10, -9}, {8, 0, 0, 0}}));
  // Blocks of float and double in one unit.
  EXPECT_EQ(run_rule(rule, tensors, {.double_tensors = {0}}),
            (std::vector<Values>{{10, -9}, {8, 0, 0, 0}}));
}

TEST(TiesRule, ModelScopeCountsTiedTensorsOnce) {
  // Without the copy there are six elements, of which three are kept; the copy gets the same mask.
  std::vector<DriverTensor> tensors = {task_vectors({{5, 5, 5, 5}}, {{"density", 0.5}}),
                                       task_vectors({{1, 1}}, {{"density", 0.5}}),
                                       task_vectors({{5, 5, 5, 5}}, {{"density", 0.5}})};
  tensors[2].tied = true;
  for (DriverTensor& tensor : tensors) tensor.parameters = {{"scope", std::string("model")}};
  EXPECT_EQ(run_rule(find_merge_rule("ties"), tensors),
            (std::vector<Values>{{5, 5, 5, 0}, {0, 0}, {5, 5, 5, 0}}));
}

TEST(TiesRule, ModelScopeRefusesDensitiesThatDiffer) {
  std::vector<DriverTensor> tensors = {task_vectors({{10, 9}}, {{"density", 0.5}}),
                                       task_vectors({{8, 1}}, {{"density", 0.25}})};
  tensors[1].name = "other";
  for (DriverTensor& tensor : tensors) tensor.parameters = {{"scope", std::string("model")}};
  try {
    run_rule(find_merge_rule("ties"), tensors);
    FAIL() << "no error";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("'density' of member 1"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("'other'"));
  }
}

TEST(TiesRule, RefusesNormalizeThatContradictsDisjoint) {
  const MergeRule& rule = find_merge_rule("ties");
  const DriverTensor contradiction =
      task_vectors({kFirst}, {}, {{"normalize", true}, {"disjoint", std::string("sum")}});
  EXPECT_THAT(merge_error(rule, contradiction),
              ::testing::HasSubstr("normalize: true contradicts disjoint: sum"));
  const DriverTensor agreement =
      task_vectors({kFirst}, {}, {{"normalize", false}, {"disjoint", std::string("max")}});
  EXPECT_EQ(merged("ties", agreement), kFirst);
}

TEST(TiesRule, SettlesLargeTensorsInTwoPasses) {
  DriverTensor tensor = vector_tensor(random_members(1, 6'000'000, 10), {}, Values(6'000'000, 0));
  tensor.member_parameters = {{{"weight", 1.0}, {"density", 0.2}}};
  std::size_t passes = 0;
  const Values out = run_rule(find_merge_rule("ties"), tensor, {.passes = &passes});
  EXPECT_EQ(passes, 2U);
  EXPECT_EQ(std::count_if(out.begin(), out.end(), [](double value) { return value != 0; }),
            1'200'000);
  std::vector<double> magnitudes;
  for (const double value : tensor.members[0]) magnitudes.push_back(std::abs(value));
  std::nth_element(magnitudes.begin(), magnitudes.begin() + 1'199'999, magnitudes.end(),
                   std::greater<>());
  double least = 1e9;
  for (const double value : out) {
    if (value != 0) least = std::min(least, std::abs(value));
  }
  EXPECT_EQ(least, magnitudes[1'199'999]);
}

TEST(DareTies, MergekitAndPaperRescale) {
  // The tensor (1, -2, 3, -4) where the mask keeps the last two: L1 before 10, after 7.
  std::uint64_t seed = 0;
  const auto mask_is_wanted = [&] {
    for (std::uint64_t e = 0; e < 4; ++e) {
      if ((reference::uniform("w", seed, 0, e) < 0.5) != (e >= 2)) return false;
    }
    return true;
  };
  while (!mask_is_wanted()) ++seed;
  const auto with = [&](Assignments rule) {
    return run_rule(find_merge_rule("dare_ties"),
                    task_vectors({{1, -2, 3, -4}}, {{"density", 0.5}}, std::move(rule)),
                    {.as_double = true, .seed = seed});
  };
  expect_near(with({}), {0, 0, 30.0 / 7, -40.0 / 7}, 1e-14);
  expect_near(with({{"rescale", std::string("inverse_density")}}), {0, 0, 6, -8}, 1e-14);
  expect_near(with({{"rescale", std::string("l2")}}),
              {0, 0, 3 * std::sqrt(30.0) / 5, -4 * std::sqrt(30.0) / 5}, 1e-14);
  expect_near(with({{"rescale", false}}), {0, 0, 3, -4}, 1e-14);
  // The paper's dialect trims the survivors to the largest fifth, at least one.
  expect_near(with({{"dialect", std::string("paper")}}), {0, 0, 0, -8}, 1e-14);
}

TEST(DareTies, PaperDialectKeepsEverySurvivorAtTheUsualDensities) {
  // Density .1 and a trim to .2: fewer survive than the trim would keep.
  DriverTensor tensor = vector_tensor(random_members(1, 4000, 12),
                                      {{"dialect", std::string("paper")}}, Values(4000, 0));
  tensor.member_parameters = {{{"weight", 1.0}, {"density", 0.1}}};
  const Values out = run_rule(find_merge_rule("dare_ties"), tensor, {.seed = 3});
  for (std::size_t e = 0; e < out.size(); ++e) {
    const bool kept = reference::uniform("w", 3, 0, e) < 0.1;
    ASSERT_EQ(out[e], kept ? tensor.members[0][e] * 10.0 : 0.0);
  }
}

TEST(Breadcrumbs, DropsTheLargestAndTheSmallest) {
  const Values d = {1, -2, 3, -4, 5, -6, 7, -8, 9, -10};
  const auto with = [&](double density, double gamma) {
    return merged("breadcrumbs", task_vectors({d}, {{"density", density}, {"gamma", gamma}}));
  };
  // Kept 5, top 2 dropped, bottom 3 dropped.
  EXPECT_EQ(with(0.5, 0.2), (Values{0, 0, 0, -4, 5, -6, 7, -8, 0, 0}));
  // Nothing dropped at the top (mergekit's slice would drop everything).
  EXPECT_EQ(with(0.5, 0.01), (Values{0, 0, 0, 0, 0, -6, 7, -8, 9, -10}));
  // Density wins where both do not fit: kept 9, so only one is dropped at the top.
  EXPECT_EQ(with(0.9, 0.5), (Values{1, -2, 3, -4, 5, -6, 7, -8, 9, 0}));
}

TEST(Breadcrumbs, TiesGoByLowestIndexAtBothEnds) {
  const Values d = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  // The two first are the largest, the next five are kept.
  EXPECT_EQ(merged("breadcrumbs", task_vectors({d}, {{"density", 0.5}, {"gamma", 0.2}})),
            (Values{0, 0, 1, 1, 1, 1, 1, 0, 0, 0}));
}

TEST(TaskVectorFamilyParameters, AreDeclaredWithDocs) {
  for (const std::string_view name :
       {"task_arithmetic", "ties", "dare_linear", "dare_ties", "breadcrumbs", "breadcrumbs_ties",
        "della", "della_linear", "sce", "arcee_fusion", "nearswap", "ram", "ramplus_tl",
        "passthrough"}) {
    const MergeRule& rule = find_merge_rule(name);
    EXPECT_EQ(rule.info().name, name);
    EXPECT_FALSE(rule.info().summary.empty());
    EXPECT_FALSE(rule.info().source.empty());
    for (const ParameterInfo& parameter : rule.info().parameters) {
      EXPECT_GT(parameter.doc.size(), 10U) << name << ": " << parameter.name;
      EXPECT_EQ(parameter.kind == ParameterInfo::Kind::choice, !parameter.choices.empty());
    }
    Parameters defaults = rule_parameters(rule.info(), {}, false);
    if (name == "nearswap") defaults.set("t", 1.0);
    EXPECT_FALSE(rule.passes(defaults).empty());
  }
}

}  // namespace
}  // namespace amalgam::testing
