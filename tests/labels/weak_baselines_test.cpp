#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/weak/baselines.hpp"
#include "amalgam/labels/weak/performance_profile.hpp"
#include "tests/labels/weak_data.hpp"

namespace amalgam::labels {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

double share_right(const SoftLabels& soft, const std::vector<Label>& truth) {
  const HardLabels hard = hard_labels(soft);
  double right = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) right += hard.labels[i] == truth[i] ? 1 : 0;
  return right / static_cast<double>(truth.size());
}

TEST(FewShot, LearnsFromTheLabelledRows) {
  const WeakData data(3, 90, 300, 1);
  EXPECT_GT(share_right(few_shot(data.known(), data.unlabelled), data.truth), .9);
}

// F = T F at unlabelled rows, iterated.
std::vector<double> propagated(const std::vector<double>& x, const std::vector<double>& known,
                               double gamma) {
  std::vector<double> f(x.size(), .5);
  for (int step = 0; step < 20000; ++step) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (i < known.size()) {
        f[i] = known[i];
        continue;
      }
      double sum = 0;
      double total = 0;
      for (std::size_t j = 0; j < x.size(); ++j) {
        if (j == i) continue;
        const double w = std::exp(-gamma * (x[i] - x[j]) * (x[i] - x[j]));
        sum += w * f[j];
        total += w;
      }
      f[i] = sum / total;
    }
  }
  return f;
}

TEST(LabelPropagation, IsTheLimitOfItsIteration) {
  Features labelled(2, 1);
  labelled.values = {0, 4};
  const std::vector<Label> labels{0, 1};
  Features unlabelled(4, 1);
  unlabelled.values = {.5, 1.5, 2.2, 3.9};
  const std::vector<double> f = propagated({0, 4, .5, 1.5, 2.2, 3.9}, {0, 1}, 1);
  const Propagation result =
      propagate_labels({labelled, labels, 2}, unlabelled, unlabelled, {.gamma = 1.0});
  for (std::size_t i = 0; i < 4; ++i) {
    // A new row at the place of one in the graph: the mean of all by the kernel.
    double sum = 0;
    double total = 0;
    const double x[] = {0, 4, .5, 1.5, 2.2, 3.9};
    for (std::size_t j = 0; j < 6; ++j) {
      const double away = unlabelled.values[i] - x[j];
      sum += std::exp(-away * away) * f[j];
      total += std::exp(-away * away);
    }
    EXPECT_NEAR(result.soft.row(i)[1], sum / total, 1e-6);
  }
}

TEST(LabelPropagation, LeaveOneOutEqualsHidingEachLabel) {
  const WeakData data(2, 12, 30, 4);
  const Propagation result =
      propagate_labels(data.known(), data.unlabelled, data.unlabelled, {.gamma = 0.3});
  double right = 0;
  for (std::size_t hidden = 0; hidden < 12; ++hidden) {
    Features others(0, 4);
    std::vector<Label> labels;
    Features graph = data.unlabelled;
    for (std::size_t i = 0; i < 12; ++i) {
      Features& into = i == hidden ? graph : others;
      into.values.insert(into.values.end(), data.labelled.row(i).begin(),
                         data.labelled.row(i).end());
      ++into.rows;
      if (i != hidden) labels.push_back(data.labels[i]);
    }
    // With a kernel this narrow the value at the hidden row is its own in the graph.
    Features at(1, 4);
    std::ranges::copy(data.labelled.row(hidden), at.row(0).begin());
    const Propagation one = propagate_labels({others, labels, 2}, graph, at, {.gamma = 0.3});
    right += hard_labels(one.soft).labels[0] == data.labels[hidden] ? 1 : 0;
  }
  EXPECT_NEAR(result.leave_one_out, right / 12, 1.01 / 12);
}

TEST(LabelPropagation, ChoosesTheWidthByTheLabelledRowsAlone) {
  const WeakData data(3, 60, 200, 5);
  const Propagation result = propagate_labels(data.known(), data.unlabelled, data.unlabelled);
  EXPECT_GT(share_right(result.soft, data.truth), .85);
  ASSERT_EQ(result.tried.size(), 7U);
  EXPECT_EQ(result.leave_one_out, std::ranges::max(result.tried_accuracy));
}

TEST(LabelPropagation, GivesRowsWithoutAnyConnectionEqualProbabilities) {
  Features labelled(2, 1);
  labelled.values = {0, 1};
  const std::vector<Label> labels{0, 1};
  Features far(1, 1);
  far.values = {1e6};
  const Propagation result = propagate_labels({labelled, labels, 2}, far, far, {.gamma = 10.0});
  EXPECT_NEAR(result.soft.row(0)[0], .5, 1e-9);
}

TEST(LabelPropagation, RefusesGraphsBeyondTheLimitAndBadWidths) {
  const WeakData data(2, 10, 20, 6);
  EXPECT_THAT(
      [&] { propagate_labels(data.known(), data.unlabelled, data.unlabelled, {.most_rows = 29}); },
      ThrowsMessage<InputError>(HasSubstr("a graph of 30 rows; expected at most 29")));
  EXPECT_THAT(
      [&] { propagate_labels(data.known(), data.unlabelled, data.unlabelled, {.gamma = 0.0}); },
      ThrowsMessage<InputError>(HasSubstr("gamma is 0")));
}

TEST(ZeroShot, IsTheSoftmaxOfLogitsOrOfCosinesWithPrototypes) {
  Features logits(1, 2);
  logits.values = {0, std::log(3)};
  EXPECT_NEAR(zero_shot(logits).row(0)[1], .75, 1e-12);
  Features prototypes(2, 2);
  prototypes.values = {1, 0, 0, 2};
  Features rows(1, 2);
  rows.values = {0, 5};
  // Cosines 0 and 1, times ln 3.
  EXPECT_NEAR(nearest_prototype(prototypes, rows, std::log(3)).row(0)[1], .75, 1e-12);
}

TEST(ClassMeans, AreOfTheirRowsAlone) {
  Features x(3, 1);
  x.values = {1, 3, 10};
  const std::vector<Label> y{0, 0, 1};
  EXPECT_THAT(class_means({x, y, 2}).values, ElementsAre(2, 10));
  EXPECT_THAT(
      [&] {
        class_means({x, y, 3});
      },
      ThrowsMessage<InputError>(HasSubstr("class 2 has no labelled row")));
}

TEST(PrincipalComponents, AreTheDirectionsOfLargestVariance) {
  // Along (1, 1) with a little across.
  Features x(4, 2);
  x.values = {0, 0, 2, 2.2, 4, 3.8, 6, 6};
  const Features one = principal_components(x, 1);
  ASSERT_EQ(one.columns, 1U);
  double mean = 0;
  for (const double value : one.values) mean += value / 4;
  EXPECT_NEAR(mean, 0, 1e-12);
  EXPECT_NEAR(std::abs(one.at(3, 0) - one.at(0, 0)), 6 * std::sqrt(2), 1e-2);
  EXPECT_EQ(principal_components(x, 7).columns, 2U);
}

TEST(Standardised, HasMeanZeroAndDeviationOneInEveryColumn) {
  Features x(2, 2);
  x.values = {1, 7, 5, 7};
  EXPECT_THAT(standardised(x).values, ElementsAre(-1, 0, 1, 0));
}

TEST(InUnitRange, IsOneMapForAllColumns) {
  Features x(2, 2);
  x.values = {0, 8, 4, 16};
  EXPECT_THAT(in_unit_range(x).values, ElementsAre(0, .5, .25, 1));
}

TEST(ClassBalance, CountsEachClassOnceMore) {
  const std::vector<Label> labels{0, 0, 1};
  EXPECT_THAT(class_balance(labels, 3), ElementsAre(.5, 2.0 / 6, 1.0 / 6));
}

TEST(PerformanceProfile, IsTheShareOfTasksWithinARatioOfTheBest) {
  // Errors {.1, .2}, {.4, .2}, {.3, .3}.
  const std::vector<double> accuracies{.9, .8, .6, .8, .7, .7};
  const std::vector<double> ratios{1, 1.5, 2};
  const PerformanceProfile profile = performance_profile(accuracies, 2, ratios);
  EXPECT_THAT(profile.shares[0],
              ElementsAre(testing::DoubleNear(2.0 / 3, 1e-12), testing::DoubleNear(2.0 / 3, 1e-12),
                          testing::DoubleNear(1, 1e-12)));
  EXPECT_NEAR(profile.shares[1][2], 1, 1e-12);
  EXPECT_THROW(performance_profile(accuracies, 4, ratios), InputError);
  EXPECT_THAT([&] { performance_profile(std::vector<double>{1.5}, 1, ratios); },
              ThrowsMessage<InputError>(HasSubstr("an accuracy of 1.5")));
}

}  // namespace
}  // namespace amalgam::labels
