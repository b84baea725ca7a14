#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <numeric>

#include "amalgam/weights/rules/registry.hpp"
#include "tests/weights/rule_checks.hpp"

namespace amalgam {
namespace {

using namespace amalgam::testing;

Values wise_ft_of(const Values& base, const Values& tuned, double alpha) {
  return run_rule(rules::wise_ft(), vector_tensor({tuned}, {{"alpha", alpha}}, base));
}

TEST(WiseFtRule, EndsAreTheModelsBitForBit) {
  Values base = random_values(300, 1);
  Values tuned = random_values(300, 2);
  base[0] = -0.0;
  tuned[1] = -0.0;
  EXPECT_EQ(wise_ft_of(base, tuned, 0), base);
  EXPECT_TRUE(std::signbit(wise_ft_of(base, tuned, 0)[0]));
  EXPECT_EQ(wise_ft_of(base, tuned, 1), tuned);
  EXPECT_TRUE(std::signbit(wise_ft_of(base, tuned, 1)[1]));
}

TEST(WiseFtRule, InterpolatesInDouble) {
  EXPECT_EQ(wise_ft_of({2}, {6}, 0.25), (Values{3}));
  EXPECT_EQ(run_rule(rules::wise_ft(), vector_tensor({{6}}, {}, Values{2})), (Values{4}));
  // (1 + (1 + 2^-23)) / 2 has 24 bits after the point: no float.
  EXPECT_EQ(wise_ft_of({1}, {1 + 0x1p-23}, 0.5), (Values{1 + 0x1p-24}));
}

TEST(WiseFtRule, GoesBeyondTheModelsOnlyWhenAsked) {
  const DriverTensor tensor = vector_tensor({{6}}, {{"alpha", 1.5}}, Values{2});
  EXPECT_NE(merge_error(rules::wise_ft(), tensor).find("extrapolate: true"), std::string::npos);
  const Assignments beyond{{"alpha", 1.5}, {"extrapolate", true}};
  EXPECT_EQ(run_rule(rules::wise_ft(), vector_tensor({{6}}, beyond, Values{2})), (Values{8}));
}

DriverTensor matrix(std::vector<Values> members, Assignments parameters = {}) {
  DriverTensor tensor = vector_tensor(std::move(members), std::move(parameters));
  tensor.shape = {tensor.members.front().size(), 1};
  return tensor;
}

double mean(const Values& x) {
  double sum = 0;
  for (const double value : x) sum += value;
  return sum / static_cast<double>(x.size());
}
double variance(const Values& x) {
  const double centre = mean(x);
  double sum = 0;
  for (const double value : x) sum += (value - centre) * (value - centre);
  return sum / static_cast<double>(x.size() - 1);
}

TEST(VarianceCorrectedRule, RescalesAboutTheMeanToTheMembersVariance) {
  // Mean (2.5, 2, 2, 2.5): variance 1/12 about 2.25. Members': 5/3 and 2, together 11/6;
  // the factor is sqrt(22).
  const Values merged = run_rule(rules::variance_corrected(), matrix({{1, 2, 3, 4}, {4, 2, 1, 1}}));
  expect_near(merged, {3.422604, 1.077396, 1.077396, 3.422604}, 1e-6);
  EXPECT_NEAR(mean(merged), 2.25, 1e-12);
  EXPECT_NEAR(variance(merged), 11.0 / 6, 1e-6);
}

TEST(VarianceCorrectedRule, RatioMakesPartOfTheCorrection) {
  const double factor = 1 + 0.5 * (std::sqrt(22.0) - 1);
  const Values merged =
      run_rule(rules::variance_corrected(), matrix({{1, 2, 3, 4}, {4, 2, 1, 1}}, {{"ratio", 0.5}}));
  const double high = 2.25 + factor * 0.25;
  const double low = 2.25 - factor * 0.25;
  expect_near(merged, {high, low, low, high}, 1e-10);
  EXPECT_EQ(
      run_rule(rules::variance_corrected(), matrix({{1, 2, 3, 4}, {4, 2, 1, 1}}, {{"ratio", 0.0}})),
      (Values{2.5, 2, 2, 2.5}));
}

TEST(VarianceCorrectedRule, RestoresWhatAveragingUncorrelatedModelsLoses) {
  // n independent members of variance 1 average to variance 1/n.
  const std::vector<Values> members = random_members(4, 100000, 5);
  Values plain(100000);
  for (const Values& member : members) {
    for (std::size_t k = 0; k < plain.size(); ++k) plain[k] += member[k] / 4;
  }
  EXPECT_NEAR(variance(plain), 0.25, 0.005);
  EXPECT_NEAR(variance(run_rule(rules::variance_corrected(), matrix(members))), 1, 0.02);
}

TEST(VarianceCorrectedRule, IdenticalMembersAreUnchanged) {
  const Values x = random_values(1000, 6);
  expect_near(run_rule(rules::variance_corrected(), matrix({x, x, x})), x, 1e-15);
}

RC_GTEST_PROP(VarianceCorrectedRule, FollowsScaleShiftAndAnyOrder, ()) {
  const auto seed = *rc::gen::inRange<std::uint64_t>(0, 1 << 30);
  const auto count = *rc::gen::inRange<std::size_t>(2, 300);
  const std::vector<Values> members = random_members(3, count, seed);
  std::vector<Values> moved = {members[2], members[0], members[1]};
  for (Values& member : moved) {
    for (double& value : member) value = 4 * value + 32;
  }
  DriverOptions wide;
  wide.as_double = true;
  const Values a = run_rule(rules::variance_corrected(), matrix(members), wide);
  const Values b = run_rule(rules::variance_corrected(), matrix(moved), wide);
  // The guard e = 1e-12 (1 + V*) does not scale with the members: where they nearly cancel it
  // changes the factor, and so every deviation from the mean, by up to the share e / V(mean).
  Values mean(count);
  double target = 0;
  for (const Values& member : members) {
    for (std::size_t k = 0; k < count; ++k) mean[k] += member[k] / 3;
    target += variance(member) / 3;
  }
  const double centre = std::accumulate(mean.begin(), mean.end(), 0.0) / static_cast<double>(count);
  const double share = 1e-12 * (1 + target) / variance(mean);
  for (std::size_t k = 0; k < count; ++k) {
    const double tolerance = 1e-8 + 4 * share * std::abs(a[k] - centre);
    RC_ASSERT(std::abs(4 * a[k] + 32 - b[k]) < tolerance);
  }
}

TEST(VarianceCorrectedRule, SmallVarianceAboutALargeMeanSurvivesManyLeaves) {
  // Three leaves; values 1000 + standard normal / 1000, whose squares lose the variance in float.
  const std::size_t count = 2 * kBlockElements * kLeafBlocks + 777;
  std::vector<Values> members = random_members(2, count, 7);
  for (Values& member : members) {
    for (double& value : member) value = 1000 + value / 1000;
  }
  DriverOptions wide;
  wide.as_double = true;
  const Values merged = run_rule(rules::variance_corrected(), matrix(members), wide);
  const double target = (variance(members[0]) + variance(members[1])) / 2;
  EXPECT_NEAR(variance(merged) / target, 1, 1e-5);  // the guard 1e-12 is 1e-6 of the variance here
  expect_thread_invariance(rules::variance_corrected(), matrix(members));
}

TEST(VarianceCorrectedRule, BiasesConstantsAndSingleElementsAreOnlyAveraged) {
  const std::vector<Values> members{{1, 2, 3, 4}, {4, 2, 1, 1}};
  EXPECT_EQ(run_rule(rules::variance_corrected(), vector_tensor(members)),
            (Values{2.5, 2, 2, 2.5}));
  EXPECT_EQ(run_rule(rules::variance_corrected(), matrix({{1, 1}, {3, 3}})), (Values{2, 2}));
  EXPECT_EQ(run_rule(rules::variance_corrected(), matrix({{1}, {3}})), (Values{2}));
  DriverTensor scalar = vector_tensor({{1}, {3}});
  scalar.shape = {};
  EXPECT_EQ(run_rule(rules::variance_corrected(), scalar), (Values{2}));
  DriverTensor empty = vector_tensor({{}, {}});
  empty.shape = {0, 4};
  EXPECT_TRUE(run_rule(rules::variance_corrected(), empty).empty());
}

TEST(VarianceCorrectedRule, OppositeMembersKeepTheirMean) {
  // No variance is left to scale, and there is no member of one's own to fall back on.
  EXPECT_EQ(run_rule(rules::variance_corrected(), matrix({{1, -2, 3}, {-1, 2, -3}})),
            (Values{0, 0, 0}));
}

}  // namespace
}  // namespace amalgam
