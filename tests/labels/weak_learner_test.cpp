#include "amalgam/labels/weak/weak_learner.hpp"

#include <gmock/gmock.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/weak/labelling_function.hpp"
#include "amalgam/labels/weak/minimise.hpp"

namespace amalgam::labels {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::ThrowsMessage;

Features column(const std::vector<double>& values) {
  Features features(values.size(), 1);
  features.values = values;
  return features;
}

TEST(DecisionTree, StumpSplitsHalfWayBetweenTheClasses) {
  const Features x = column({0, 1, 2, 3});
  const std::vector<Label> y{0, 0, 1, 1};
  const DecisionTree stump = fit_tree({x, y, 2}, 1);
  ASSERT_THAT(stump.nodes, SizeIs(3));
  EXPECT_EQ(stump.nodes[0].threshold, 1.5);
  EXPECT_THAT(stump.nodes[1].shares, ElementsAre(1, 0));
  EXPECT_THAT(stump.nodes[2].shares, ElementsAre(0, 1));
}

TEST(DecisionTree, OfSureLeavesVotesRightlyWithEveryMargin) {
  const Features x = column({0, 1, 2, 3});
  const std::vector<Label> y{0, 0, 1, 1};
  const WeakLearner learner{{0}, 2, fit_tree({x, y, 2}, 1)};
  for (const double margin : abstain_margins()) {
    EXPECT_EQ(confident_votes(learner.probabilities(x), 2, .5 + margin), y);
  }
}

TEST(DecisionTree, TakesTheSplitThatLeavesTheLeastImpurity) {
  // First both columns separate the classes, then the second alone.
  Features x(4, 2);
  x.values = {0, 0, 1, 0, 2, 9, 3, 9};
  const std::vector<Label> y{0, 0, 1, 1};
  const DecisionTree stump = fit_tree({x, y, 2}, 1);
  EXPECT_EQ(stump.nodes[0].column, 0);
  x.values = {0, 0, 2, 0, 1, 9, 3, 9};
  EXPECT_EQ(fit_tree({x, y, 2}, 1).nodes[0].column, 1);
}

TEST(DecisionTree, OfDepthTwoLearnsWhatNoStumpCan) {
  Features x(4, 2);
  x.values = {0, 0, 0, 1, 1, 0, 1, 1};
  const std::vector<Label> y{0, 1, 1, 0};  // exclusive or
  const WeakLearner deep{{0, 1}, 2, fit_tree({x, y, 2}, 2)};
  EXPECT_EQ(confident_votes(deep.probabilities(x), 2, .75), y);
}

TEST(LogisticRegression, IsWhereTheGradientOfThePenalisedLossIsZero) {
  const Features x = column({-2, -1, 0.5, 1, 3});
  const std::vector<Label> y{0, 0, 1, 0, 1};
  const LogisticRegression model = fit_logistic({x, y, 2}, 2.0);
  double by_weight = model.weights[0];
  double by_bias = 0;
  for (std::size_t i = 0; i < x.rows; ++i) {
    const double p = 1 / (1 + std::exp(-(model.weights[0] * x.at(i, 0) + model.weights[1])));
    by_weight += 2 * (p - y[i]) * x.at(i, 0);
    by_bias += 2 * (p - y[i]);
  }
  EXPECT_NEAR(by_weight, 0, 1e-5);
  EXPECT_NEAR(by_bias, 0, 1e-5);
}

TEST(LogisticRegression, OfThreeClassesFindsThem) {
  Features x(6, 2);
  x.values = {5, 0, 4, 1, 0, 5, 1, 4, -5, -5, -4, -4};
  const std::vector<Label> y{0, 0, 1, 1, 2, 2};
  const WeakLearner learner{{0, 1}, 3, fit_logistic({x, y, 3})};
  const std::vector<double> p = learner.probabilities(x);
  EXPECT_EQ(confident_votes(p, 3, .5), y);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_NEAR(p[3 * i] + p[3 * i + 1] + p[3 * i + 2], 1, 1e-12);
}

TEST(LogisticRegression, RefusesFeaturesThatAreNotNumbersAndOneClass) {
  const std::vector<Label> y{0, 1};
  const Features bad = column({1, std::numeric_limits<double>::quiet_NaN()});
  EXPECT_THAT(
      [&] {
        fit_logistic({bad, y, 2});
      },
      ThrowsMessage<InputError>(HasSubstr("row 1, column 0 is nan")));
  const std::vector<Label> one{1, 1};
  EXPECT_THAT(
      [&] {
        fit_logistic({column({1, 2}), one, 2});
      },
      ThrowsMessage<InputError>(HasSubstr("all 2 labelled rows are of class 1")));
  const std::vector<Label> beyond{0, 2};
  EXPECT_THAT(
      [&] {
        fit_logistic({column({1, 2}), beyond, 2});
      },
      ThrowsMessage<InputError>(HasSubstr("label of row 1 is 2; expected a class below 2")));
}

TEST(Minimise, FindsTheMinimumOfABadlyScaledBowl) {
  const auto bowl = [](std::span<const double> x, std::span<double> gradient) {
    double value = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double scale = std::pow(10.0, static_cast<double>(i));
      value += scale * (x[i] - 3) * (x[i] - 3) / 2;
      gradient[i] = scale * (x[i] - 3);
    }
    return value;
  };
  for (const double x : minimise(bowl, std::vector<double>(5, 0.0))) EXPECT_NEAR(x, 3, 1e-6);
}

TEST(ColumnSubsets, LeaveOutConstantColumnsAndAreAllOfThem) {
  Features x(2, 4);
  x.values = {0, 7, 0, 0, 1, 7, 1, 1};
  EXPECT_THAT(column_subsets(x, {.cardinality = 2}),
              ElementsAre(ElementsAre(0), ElementsAre(2), ElementsAre(3), ElementsAre(0, 2),
                          ElementsAre(0, 3), ElementsAre(2, 3)));
  x.values = {1, 1, 1, 1, 1, 1, 1, 1};
  EXPECT_THAT([&] { column_subsets(x, {}); },
              ThrowsMessage<InputError>(HasSubstr("every feature is the same")));
}

TEST(ColumnSubsets, AtRandomAreDifferentAndIncreasing) {
  Features x(2, 9);
  for (std::size_t c = 0; c < 9; ++c) x.row(1)[c] = 1;
  const auto subsets = column_subsets(x, {.cardinality = 3, .combinations = 5, .seed = 4});
  ASSERT_THAT(subsets, SizeIs(15));
  for (const auto& subset : subsets) EXPECT_TRUE(std::ranges::is_sorted(subset));
  EXPECT_THAT(subsets[14], SizeIs(3));
  auto sorted = subsets;
  std::ranges::sort(sorted);
  EXPECT_EQ(std::ranges::unique(sorted).size(), 0U);
}

TEST(ConfidentVote, AbstainsBetweenTheMargins) {
  // P(1) = .1, .3, .6, .8: with margin .25 against, nothing, nothing, for; with .45 nothing.
  const std::vector<double> p{.9, .1, .7, .3, .4, .6, .2, .8};
  EXPECT_THAT(confident_votes(p, 2, .5 + .25), ElementsAre(0, kNoLabel, kNoLabel, 1));
  EXPECT_THAT(confident_votes(p, 2, .5 + .45), ElementsAre(kNoLabel, kNoLabel, kNoLabel, kNoLabel));
}

TEST(AbstainMargins, AreTenFromAQuarterTo45Percent) {
  EXPECT_NEAR(abstain_margins().front(), .25, 1e-15);
  EXPECT_NEAR(abstain_margins()[1], .25 + .2 / 9, 1e-15);
  EXPECT_NEAR(abstain_margins().back(), .45, 1e-15);
}

TEST(WeightedF1, CountsAbstentionsAsMissed) {
  // Class 0: tp 1, voted 1, true 3: F1 = 2/4. Class 1: tp 1, voted 2, true 1: F1 = 2/3.
  const std::vector<Label> truth{0, 0, 0, 1};
  const std::vector<Label> votes{0, kNoLabel, 1, 1};
  EXPECT_NEAR(weighted_f1(votes, truth, 2), (3 * 0.5 + 2.0 / 3) / 4, 1e-12);
  EXPECT_EQ(weighted_f1(std::vector<Label>(4, kNoLabel), truth, 2), 0);
}

TEST(ChooseMargin, TakesTheLargestOfEquallyGoodOnes) {
  const std::vector<double> sure{1, 0, 0, 1};
  const std::vector<Label> labels{0, 1};
  EXPECT_NEAR(choose_margin(sure, labels, 2, .5), .45, 1e-15);
  // The second row is right up to margin .3, so only those keep its F1: .25, .272, .294.
  const std::vector<double> less{1, 0, .2, .8};
  EXPECT_NEAR(choose_margin(less, labels, 2, .5), .25 + .4 / 9, 1e-12);
}

TEST(UnipolarVote, IsForTheClassOrNothing) {
  EXPECT_EQ(unipolar_vote(1, 3), 3);
  EXPECT_EQ(unipolar_vote(kNoLabel, 3), kNoLabel);
  EXPECT_EQ(unipolar_vote(0, 3), kNoLabel);
}

RC_GTEST_PROP(FitCandidates, DoNotDependOnTheOrderOfRowsOrThreads, ()) {
  const auto values = *rc::gen::container<std::vector<double>>(
      24, rc::gen::map(rc::gen::inRange(-8, 9), [](int v) { return v / 4.0; }));
  Features x(8, 3);
  x.values = values;
  const std::vector<Label> y{0, 1, 2, 0, 1, 2, 0, 1};
  const std::vector<std::size_t> reverse{7, 6, 5, 4, 3, 2, 1, 0};
  std::vector<Label> reversed;
  for (const std::size_t i : reverse) reversed.push_back(y[i]);
  const std::vector<std::vector<std::size_t>> subsets{{0}, {1, 2}};
  CandidateOptions threads;
  threads.parallel = {.threads = 2, .runner = Runner::std_thread};
  const auto one = fit_candidates({x, y, 3}, subsets, {});
  const auto other = fit_candidates({select_rows(x, reverse), reversed, 3}, subsets, threads);
  RC_ASSERT(one.size() == 4U);
  for (std::size_t c = 0; c < one.size(); ++c) {
    const auto a = one[c].probabilities(x);
    const auto b = other[c].probabilities(x);
    for (std::size_t i = 0; i < a.size(); ++i) RC_ASSERT(std::abs(a[i] - b[i]) < 1e-4);
  }
}

}  // namespace
}  // namespace amalgam::labels
