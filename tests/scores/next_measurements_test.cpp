#include "amalgam/scores/uncertainty/next_measurements.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/scores/strength/bradley_terry.hpp"
#include "amalgam/scores/strength/newton.hpp"
#include "tests/scores/simulated_scores.hpp"
#include "tests/scores/toy_scores.hpp"

namespace amalgam::scores {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

void add_battles(Comparisons& comparisons, System winner, System loser, int count) {
  for (int k = 0; k < count; ++k) {
    comparisons.first.push_back(winner);
    comparisons.second.push_back(loser);
    comparisons.outcomes.push_back(1);
  }
}

ScoreTable battles(std::size_t systems, const std::vector<std::array<int, 3>>& wins) {
  ScoreBuilder builder;
  for (std::size_t i = 0; i < systems; ++i) builder.system(std::to_string(i));
  for (const auto& [winner, loser, count] : wins) {
    add_battles(builder.comparisons(), static_cast<System>(winner), static_cast<System>(loser),
                count);
  }
  return builder.finish("battles");
}

TEST(NextMeasurements, OfTwoSystemsAreWorkedByHand) {
  // 5 against 5 and a prior of 2: equal strengths, information 12 / 4 = 3, variance 1/3. One more
  // comparison: information 3.25, variance 0.307692. 100 more: 28, 1/28.
  const NextPlan plan = plan_measurements(battles(2, {{0, 1, 5}, {1, 0, 5}}),
                                          {.budget = 100, .rounds = 4, .prior = 2});
  ASSERT_EQ(plan.measurements.size(), 1U);
  EXPECT_EQ(plan.measurements[0].count, 100U);
  EXPECT_EQ(plan.measurements[0].measured, 10U);
  EXPECT_NEAR(plan.measurements[0].gain, 1 / 3.0 - 1 / 3.25, 1e-9);
  EXPECT_NEAR(plan.before.mean_error, std::sqrt(1 / 3.0), 1e-9);
  EXPECT_NEAR(plan.after.mean_error, std::sqrt(1 / 28.0), 1e-9);
  EXPECT_EQ(plan.before.open, 1U);
}

TEST(NextMeasurements, GoWhereNeighboursAreOpen) {
  // 0 and 1 are far above 2 and 3. 0 and 1 are hardly known, 2 and 3 well and told apart.
  const ScoreTable table = battles(4, {{0, 1, 4},
                                       {1, 0, 3},
                                       {2, 3, 300},
                                       {3, 2, 100},
                                       {0, 2, 45},
                                       {2, 0, 5},
                                       {1, 2, 45},
                                       {2, 1, 5}});
  const NextPlan plan = plan_measurements(table, {.budget = 30, .rounds = 3});
  EXPECT_EQ(plan.before.open, 1U);
  EXPECT_EQ(plan.measurements.front().first, 0U);
  EXPECT_EQ(plan.measurements.front().second, 1U);
  EXPECT_EQ(plan.measurements.front().count, 30U);
  EXPECT_LT(plan.after.mean_error, plan.before.mean_error);
  EXPECT_EQ(plan.pieces, 1U);
}

TEST(NextMeasurements, LinkWhatNothingCompares) {
  const ScoreTable table = battles(4, {{0, 1, 30}, {1, 0, 20}, {2, 3, 30}, {3, 2, 20}});
  const NextPlan plan = plan_measurements(table, {.budget = 1, .rounds = 1});
  EXPECT_EQ(plan.pieces, 2U);
  const NextMeasurement& link = plan.measurements.front();
  EXPECT_LT(link.first, 2U);
  EXPECT_GE(link.second, 2U);
  EXPECT_EQ(link.measured, 0U);
}

TEST(NextMeasurements, FillGapsOfWhoLacksMost) {
  // System 2 has 5 of 60 values, the others all.
  ScoreBuilder builder;
  RandomStream random(2, "gaps");
  const Task task = builder.task("only");
  for (int k = 0; k < 60; ++k) {
    const Instance instance = builder.instance(std::to_string(k));
    for (int i = 0; i < 3; ++i) {
      const double answer = random.uniform() < 0.5 ? 1 : 0;
      if (i < 2 || k < 5) builder.add(builder.system(std::to_string(i)), task, instance, answer);
    }
  }
  const ScoreTable table = builder.finish("gaps");
  const NextPlan plan =
      plan_measurements(table, {.unit = NextOptions::Unit::cells, .budget = 100, .rounds = 10});
  ASSERT_EQ(plan.measurements.size(), 1U);
  EXPECT_EQ(plan.measurements[0].first, 2U);
  EXPECT_EQ(plan.measurements[0].task, 0U);
  EXPECT_EQ(plan.measurements[0].possible, 55U);
  EXPECT_EQ(plan.measurements[0].measured, 5U);
  EXPECT_EQ(plan.measurements[0].count, 55U);
  EXPECT_EQ(plan.unused, 45U);
}

// Mean standard error of the differences of systems at places 2 to 5 of an order of six.
double lower_neighbours_error(const ScoreTable& table, const std::vector<System>& order) {
  const Preferences preferences =
      preferences_of(count_pairs(table, Missing::observed), TieVotes::half, order);
  const std::vector<double> strengths = fit_bradley_terry(preferences).strengths;
  const std::vector<double> covariance =
      covariance_of(bradley_terry_information(preferences, strengths), 6, 6);
  double sum = 0;
  for (std::size_t i = 2; i < 5; ++i) {
    sum += std::sqrt(covariance[i * 6 + i] + covariance[(i + 1) * 6 + i + 1] -
                     2 * covariance[i * 6 + i + 1]);
  }
  return sum / 3;
}

// Two systems are far above four that are nearly equal. A plan leaves the gap alone, and does
// better on the four than as many comparisons spread evenly.
TEST(NextMeasurements, AreWorthMoreThanAsManySpreadEvenly) {
  const std::vector<double> strengths{0, 0.1, 0.2, 0.3, 1.8, 1.9};
  const ScoreTable table = simulated_battles(strengths, 400, 8);
  const NextPlan plan = plan_measurements(table, {.budget = 1200, .rounds = 60});
  const auto error_after = [&](const std::vector<NextMeasurement>& bought) {
    ScoreTable more = table;
    RandomStream random(3, "bought");
    for (const NextMeasurement& one : bought) {
      for (std::size_t k = 0; k < one.count; ++k) {
        const double odds = std::exp(strengths[one.first] - strengths[one.second]);
        more.comparisons.first.push_back(one.first);
        more.comparisons.second.push_back(one.second);
        more.comparisons.outcomes.push_back(random.uniform() < odds / (1 + odds) ? 1 : -1);
      }
    }
    return lower_neighbours_error(more, plan.order);
  };
  std::vector<NextMeasurement> evenly;
  for (System a = 0; a < 6; ++a) {
    for (System b = a + 1; b < 6; ++b) evenly.push_back({.first = a, .second = b, .count = 80});
  }
  EXPECT_LT(error_after(plan.measurements), 0.85 * error_after(evenly));
  EXPECT_LT(plan.after.open, plan.before.open);
}

TEST(NextMeasurements, RefuseWhatMakesNoPlan) {
  const ScoreTable table = battles(2, {{0, 1, 1}});
  EXPECT_THAT([&] { plan_measurements(table, {.budget = 0}); },
              ThrowsMessage<InputError>(HasSubstr("a budget of 0")));
  EXPECT_THAT([&] { plan_measurements(table, {.prior = 0}); },
              ThrowsMessage<InputError>(HasSubstr("prior 0")));
  EXPECT_THAT(
      [&] {
        plan_measurements(table_of({{1, 2}, {2, 1}}), {.unit = NextOptions::Unit::cells});
      },
      ThrowsMessage<InputError>(HasSubstr("every system has a value")));
  EXPECT_THAT(
      [] {
        plan_measurements(table_of({{1, kGap}, {kGap, 1}}));
      },
      ThrowsMessage<InputError>(HasSubstr("nothing measured two systems")));
}

}  // namespace
}  // namespace amalgam::scores
