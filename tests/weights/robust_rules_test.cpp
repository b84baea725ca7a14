#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "amalgam/core/log.hpp"
#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/robust.hpp"
#include "tests/weights/rule_checks.hpp"

namespace amalgam {
namespace {

using namespace amalgam::testing;

// The flag aggregator reports the quality of members; hundreds of runs of it are not to be read.
const bool kQuiet = [] {
  log::set_level(log::Level::warning);
  return true;
}();

std::vector<Values> scalars(const Values& values) {
  std::vector<Values> members;
  for (const double value : values) members.push_back({value});
  return members;
}

// The result on one coordinate.
double on_line(const MergeRule& rule, const Values& values, const Assignments& parameters) {
  return run_rule(rule, vector_tensor(scalars(values), parameters)).front();
}

SmallMatrix line_distances(const Values& values) {
  SmallMatrix distances(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    for (std::size_t j = 0; j < values.size(); ++j) {
      distances(i, j) = (values[i] - values[j]) * (values[i] - values[j]);
    }
  }
  return distances;
}

const Values kOutlier{0, 1, 2, 3, 100};
const Assignments kOneFault{{"f", 1.0}};

TEST(CoordinateRules, IgnoreAnOutlier) {
  EXPECT_EQ(on_line(rules::median(), kOutlier, {}), 2);
  EXPECT_EQ(on_line(rules::trimmed_mean(), kOutlier, kOneFault), 2);
  EXPECT_EQ(on_line(rules::meamed(), kOutlier, kOneFault), 1.5);
  EXPECT_EQ(on_line(rules::phocas(), kOutlier, kOneFault), 1.5);
}

TEST(CoordinateRules, MedianOfAnEvenNumberIsTheMeanOfTheMiddleTwo) {
  EXPECT_EQ(on_line(rules::median(), {7, 1, 3, 2}, {}), 2.5);
  EXPECT_EQ(on_line(rules::median(), {7}, {}), 7);
  EXPECT_EQ(on_line(rules::median(), {7, 8}, {}), 7.5);
}

TEST(CoordinateRules, WithoutFaultsTheyAreTheMean) {
  const Assignments none{{"f", 0.0}};
  for (const MergeRule* rule : {&rules::trimmed_mean(), &rules::meamed(), &rules::phocas()}) {
    EXPECT_EQ(on_line(*rule, {1, 2, 9}, none), 4) << rule->info().name;
    EXPECT_EQ(on_line(*rule, {5}, none), 5) << rule->info().name;
  }
}

TEST(CoordinateRules, OfEquallyNearValuesTheLowestMembersAreKept) {
  // Median 2; the four nearest of five: 1 and 3 at distance 1, then 0 and 4 at distance 2.
  EXPECT_EQ(on_line(rules::meamed(), {0, 1, 2, 3, 4}, kOneFault), 1.5);
  EXPECT_EQ(on_line(rules::meamed(), {4, 3, 2, 1, 0}, kOneFault), 2.5);
  EXPECT_EQ(on_line(rules::phocas(), {4, 3, 2, 1, 0}, kOneFault), 2.5);
  // Several equal values on the limit: of 5, 5 and -1, -1 around 2, the first two.
  EXPECT_EQ(on_line(rules::meamed(), {2, 5, -1, 5, -1}, {{"f", 2.0}}), 2);
}

TEST(CoordinateRules, TrimmingEqualValuesDropsExactlyF) {
  EXPECT_EQ(on_line(rules::trimmed_mean(), {1, 1, 1, 7, 1}, kOneFault), 1);
  EXPECT_EQ(on_line(rules::trimmed_mean(), {1, 1, 4, 4, 4, 4}, kOneFault), 3.25);
  EXPECT_EQ(on_line(rules::trimmed_mean(), {4, 1, 4, 1, 4, 4}, {{"f", 2.0}}), 4);
}

TEST(CoordinateRules, WorkOnDifferencesFromABase) {
  // Differences 2^-24 and 1 in float, though 1 + 2^-24 is no float.
  DriverTensor tensor = vector_tensor({{0x1p-24}, {1}, {5}}, {}, Values{0});
  EXPECT_EQ(run_rule(rules::median(), tensor).front(), 1);
  tensor.base = Values{-1};  // 2^-24 + 1 rounds to 1
  tensor.members = {{0x1p-24}, {-3}, {4}};
  EXPECT_EQ(run_rule(rules::median(), tensor).front(), 0);
}

TEST(CoordinateRules, NotANumberComesOutAsSuchAndInfinityIsAnOutlier) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  const Values merged =
      run_rule(rules::median(), vector_tensor({{1, 1, 1}, {2, nan, 2}, {3, 3, infinity}}));
  EXPECT_EQ(merged[0], 2);
  EXPECT_TRUE(std::isnan(merged[1]));
  EXPECT_EQ(merged[2], 2);
}

// What the rules mean, by sorting indices.
double reference(const std::string& name, const Values& values, std::size_t f) {
  const std::size_t n = values.size();
  const auto order = [&](const auto& key) {
    std::vector<std::size_t> indices(n);
    std::iota(indices.begin(), indices.end(), 0);
    std::stable_sort(indices.begin(), indices.end(),
                     [&](std::size_t a, std::size_t b) { return key(a) < key(b); });
    return indices;
  };
  const auto mean_of = [&](std::vector<std::size_t> indices, std::size_t from, std::size_t to) {
    std::sort(indices.begin() + static_cast<long>(from), indices.begin() + static_cast<long>(to));
    double sum = 0;
    for (std::size_t i = from; i < to; ++i) sum += values[indices[i]];
    return sum / static_cast<double>(to - from);
  };
  const auto sorted = order([&](std::size_t i) { return values[i]; });
  const double median = mean_of(sorted, (n - 1) / 2, n / 2 + 1);
  if (name == "median") return median;
  const double trimmed = mean_of(sorted, f, n - f);
  if (name == "trimmed_mean") return trimmed;
  const double centre = name == "meamed" ? median : trimmed;
  return mean_of(order([&](std::size_t i) { return std::abs(values[i] - centre); }), 0, n - f);
}

RC_GTEST_PROP(CoordinateRules, AgreeWithSortingBitForBit, ()) {
  const auto n = *rc::gen::inRange<std::size_t>(1, 20);
  const auto f = *rc::gen::inRange<std::size_t>(0, (n + 1) / 2);
  const auto count = *rc::gen::inRange<std::size_t>(1, 200);
  const auto seed = *rc::gen::inRange<std::uint64_t>(0, 1 << 30);
  const bool ties = *rc::gen::arbitrary<bool>();
  std::vector<Values> members = random_members(n, count, seed);
  if (ties) {
    for (Values& member : members) {
      for (double& value : member) value = std::round(value);
    }
  }
  DriverOptions options;
  options.as_double = *rc::gen::arbitrary<bool>();
  for (const MergeRule* rule :
       {&rules::median(), &rules::trimmed_mean(), &rules::meamed(), &rules::phocas()}) {
    const std::string& name = rule->info().name;
    Assignments parameters;
    if (name != "median") parameters.emplace_back("f", static_cast<double>(f));
    const Values merged = run_rule(*rule, vector_tensor(members, parameters), options);
    for (std::size_t k = 0; k < count; ++k) {
      Values values;
      for (const Values& member : members) values.push_back(member[k]);
      RC_ASSERT(merged[k] == reference(name, values, f));
    }
  }
}

TEST(KrumRule, ScoresAreSquaredDistancesToTheNearest) {
  EXPECT_EQ(krum_scores(line_distances(kOutlier), 1), (Values{5, 2, 2, 5, 19013}));
  EXPECT_EQ(on_line(rules::krum(), kOutlier, kOneFault), 1);
}

TEST(KrumRule, PicksAMemberBitForBit) {
  std::vector<Values> members = random_members(7, 300, 4);
  members[2] = random_values(300, 77, 50);
  const Values merged =
      run_rule(rules::krum(), vector_tensor(members, {{"f", 2.0}}, random_values(300, 5)));
  EXPECT_NE(std::find(members.begin(), members.end(), merged), members.end());
  EXPECT_NE(merged, members[2]);
}

TEST(MultiKrumRule, AveragesTheBest) {
  EXPECT_EQ(on_line(rules::multi_krum(), kOutlier, kOneFault), 1.5);
  EXPECT_EQ(on_line(rules::multi_krum(), kOutlier, {{"f", 1.0}, {"m", 1.0}}), 1);
  EXPECT_NEAR(on_line(rules::multi_krum(), kOutlier, {{"f", 1.0}, {"m", 3.0}}), 1, 1e-15);
}

TEST(BulyanRule, SelectsByRepeatedKrumThenAveragesAroundTheMedian) {
  const Values values{0, 1, 2, 3, 4, 5, 100};
  EXPECT_EQ(bulyan_selection(line_distances(values), 1), (std::vector<std::size_t>{2, 3, 1, 4, 0}));
  EXPECT_EQ(on_line(rules::bulyan(), values, kOneFault), 2);
}

TEST(BulyanRule, WithoutFaultsEveryMemberIsSelected) {
  EXPECT_EQ(on_line(rules::bulyan(), {1, 2, 9}, {{"f", 0.0}}), 4);
}

TEST(RobustRules, TooFewMembersForFIsAnErrorThatStatesTheBound) {
  const auto error = [&](const MergeRule& rule, std::size_t members, double f) {
    return merge_error(rule, vector_tensor(scalars(Values(members, 1.0)), {{"f", f}}));
  };
  EXPECT_NE(error(rules::krum(), 4, 1).find("at least 2f + 3 = 5 members, but there are 4"),
            std::string::npos);
  EXPECT_NE(error(rules::multi_krum(), 6, 2).find("2f + 3 = 7"), std::string::npos);
  EXPECT_NE(error(rules::bulyan(), 6, 1).find("4f + 3 = 7"), std::string::npos);
  for (const MergeRule* rule : {&rules::trimmed_mean(), &rules::meamed(), &rules::phocas()}) {
    EXPECT_NE(error(*rule, 4, 2).find("2f + 1 = 5 members, but there are 4"), std::string::npos);
    EXPECT_EQ(error(*rule, 5, 2), "no error");
  }
  EXPECT_NE(
      merge_error(rules::multi_krum(), vector_tensor(scalars(kOutlier), {{"f", 1.0}, {"m", 6.0}}))
          .find("m = 6"),
      std::string::npos);
}

TEST(RobustRules, ScopeSaysWhatIsDecidedOnTogether) {
  // Sums of the two smallest squared distances: in the first tensor alone member 4 has the least
  // (.01 + .16), in the second member 1 (.0001 + .0625); over both, member 4 (.3601 + .7076).
  std::vector<DriverTensor> tensors{vector_tensor(scalars({-9, 1, 2, 1.5, 1.6})),
                                    vector_tensor(scalars({1, 1.25, 2, 500, 1.26}))};
  tensors[1].name = "v";
  const auto expect_picks = [&](const std::string& scope, double first, double second) {
    for (DriverTensor& tensor : tensors) tensor.parameters = {{"f", 1.0}, {"scope", scope}};
    const std::vector<Values> merged = run_rule(rules::krum(), tensors);
    expect_near(merged[0], {first}, 1e-6);
    expect_near(merged[1], {second}, 1e-6);
  };
  expect_picks("tensor", 1.6, 1.25);
  expect_picks("layer", 1.6, 1.26);
  expect_picks("model", 1.6, 1.26);
}

TEST(RobustRules, ParametersOfADecisionTakenTogetherMustAgree) {
  std::vector<DriverTensor> tensors{vector_tensor(scalars(kOutlier), {{"f", 1.0}}),
                                    vector_tensor(scalars(kOutlier), {{"f", 0.0}})};
  tensors[1].name = "v";
  try {
    run_rule(rules::krum(), tensors);
    FAIL();
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("parameter 'f' differs between tensors 'w' and 'v'"),
              std::string::npos);
  }
}

TEST(GeometricMedianRule, OfThreePointsOnALineIsTheMiddleOne) {
  expect_near(run_rule(rules::geometric_median(),
                       vector_tensor({{0, 0}, {1, 0}, {10, 0}}, {{"iterations", 10000.0}})),
              {1, 0}, 1e-5);
}

TEST(GeometricMedianRule, OfATriangleIsItsFermatPoint) {
  // (0,0), (4,0), (2,3): on the axis of symmetry, where both base points are seen at 60 degrees
  // from the vertical: y = 2 tan 30.
  expect_near(run_rule(rules::geometric_median(),
                       vector_tensor({{0, 0}, {4, 0}, {2, 3}}, {{"iterations", 1000.0}})),
              {2, 2 / std::sqrt(3.0)}, 1e-6);
}

TEST(GeometricMedianRule, MatchesWeiszfeldOnTheVectorsThemselves) {
  const std::size_t count = 400;
  std::vector<Values> members = random_members(6, count, 3);
  for (double& value : members[5]) value += 100;
  Values z(count);
  for (const Values& member : members) {
    for (std::size_t k = 0; k < count; ++k) z[k] += member[k] / 6;
  }
  for (int iteration = 0; iteration < 100; ++iteration) {
    Values next(count);
    double total = 0;
    for (const Values& member : members) {
      double square = 0;
      for (std::size_t k = 0; k < count; ++k) square += (member[k] - z[k]) * (member[k] - z[k]);
      const double weight = 1 / std::max(1e-6, std::sqrt(square));
      total += weight;
      for (std::size_t k = 0; k < count; ++k) next[k] += weight * member[k];
    }
    for (std::size_t k = 0; k < count; ++k) z[k] = next[k] / total;
  }
  expect_near(run_rule(rules::geometric_median(), vector_tensor(members)), z, 1e-6);
}

TEST(GeometricMedianRule, OfEqualMembersOrOneIsTheMember) {
  const Values x = random_values(30, 1);
  expect_near(run_rule(rules::geometric_median(), vector_tensor({x})), x, 0);
  expect_near(run_rule(rules::geometric_median(), vector_tensor({x, x, x})), x, 1e-15);
  EXPECT_TRUE(run_rule(rules::geometric_median(), vector_tensor({{}, {}})).empty());
}

TEST(GeometricMedianRule, NearEqualMembersAreToldApart) {
  // Differences of 2^-22 on values near 1: squares of norms would not see them.
  const double e = 0x1p-22;
  const Assignments fine{{"nu", 1e-12}, {"iterations", 10000.0}};
  const Values merged = run_rule(rules::geometric_median(),
                                 vector_tensor({{1, 1}, {1 + e, 1}, {1 + 10 * e, 1}}, fine));
  EXPECT_NEAR((merged[0] - 1) / e, 1, 1e-3);
}

struct Case {
  const MergeRule* rule;
  Assignments parameters;
};
std::vector<Case> all_robust() {
  return {{&rules::median(), {}},        {&rules::trimmed_mean(), kOneFault},
          {&rules::meamed(), kOneFault}, {&rules::phocas(), kOneFault},
          {&rules::krum(), kOneFault},   {&rules::multi_krum(), kOneFault},
          {&rules::bulyan(), kOneFault}, {&rules::geometric_median(), {}},
          {&rules::flag(), {}}};
}

RC_GTEST_PROP(RobustRules, DoNotDependOnTheOrderOfMembers, ()) {
  const auto seed = *rc::gen::inRange<std::uint64_t>(0, 1 << 30);
  const auto count = *rc::gen::inRange<std::size_t>(9, 200);
  const std::vector<Values> members = random_members(7, count, seed);
  std::vector<Values> turned = members;
  std::rotate(turned.begin(), turned.begin() + 3, turned.end());
  const Values base = random_values(count, seed + 17);
  for (const auto& [rule, parameters] : all_robust()) {
    // Bulyan's last selections have no neighbours left to score by and take the lowest member.
    if (rule == &rules::bulyan()) continue;
    const Values a = run_rule(*rule, vector_tensor(members, parameters, base));
    const Values b = run_rule(*rule, vector_tensor(turned, parameters, base));
    for (std::size_t k = 0; k < count; ++k) RC_ASSERT(std::abs(a[k] - b[k]) < 1e-6);
  }
}

RC_GTEST_PROP(RobustRules, ScaleWithTheirMembers, ()) {
  const auto seed = *rc::gen::inRange<std::uint64_t>(0, 1 << 30);
  std::vector<Values> members = random_members(7, 40, seed);
  std::vector<Values> larger = members;
  for (Values& member : larger) {
    for (double& value : member) value *= 4;
  }
  const Values zero(40);
  for (const auto& [rule, parameters] : all_robust()) {
    const Values a = run_rule(*rule, vector_tensor(members, parameters, zero));
    const Values b = run_rule(*rule, vector_tensor(larger, parameters, zero));
    for (std::size_t k = 0; k < 40; ++k) RC_ASSERT(std::abs(4 * a[k] - b[k]) < 1e-6);
  }
}

TEST(RobustRules, EqualMembersAreTheirOwnAggregate) {
  const Values x = random_values(200, 5);
  const std::vector<Values> members(7, x);
  for (const auto& [rule, parameters] : all_robust()) {
    expect_near(run_rule(*rule, vector_tensor(members, parameters, random_values(200, 6))), x,
                1e-6);
  }
}

TEST(RobustRules, OneHugeMemberDoesNotMoveTheResultFar) {
  std::vector<Values> members = random_members(7, 100, 5, 0.01);
  members[4] = random_values(100, 55, 1e6);
  for (const auto& [rule, parameters] : all_robust()) {
    const Values merged = run_rule(*rule, vector_tensor(members, parameters, Values(100)));
    for (const double value : merged) ASSERT_LT(std::abs(value), 0.1) << rule->info().name;
  }
}

TEST(RobustRules, GiveTheSameBitsForAnyThreads) {
  const std::size_t count = 2 * kBlockElements * kLeafBlocks + 5;
  const std::vector<Values> members = random_members(7, count, 8);
  const Values base = random_values(count, 99);
  for (const auto& [rule, parameters] : all_robust()) {
    expect_thread_invariance(*rule, vector_tensor(members, parameters, base));
  }
}

TEST(RobustRules, ARejectedMemberCannotLeakNotANumber) {
  std::vector<Values> members = scalars(kOutlier);
  members[4] = {std::numeric_limits<double>::quiet_NaN()};
  EXPECT_EQ(run_rule(rules::krum(), vector_tensor(members, kOneFault)).front(), 1);
  EXPECT_EQ(run_rule(rules::multi_krum(), vector_tensor(members, kOneFault)).front(), 1.5);
}

}  // namespace
}  // namespace amalgam
