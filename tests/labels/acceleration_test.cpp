#include "amalgam/labels/models/acceleration.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "amalgam/labels/label_model.hpp"
#include "tests/labels/random_annotations.hpp"

namespace amalgam::labels {
namespace {

using models::Anderson;

std::vector<std::string> endless(std::size_t iterations, bool accelerated) {
  std::vector<std::string> parameters = {"tolerance=-1", fmt::format("iterations={}", iterations)};
  if (accelerated) parameters.emplace_back("acceleration=anderson");
  return parameters;
}

// Sweeps after which the objective is still more than 1e-8 below `top`.
std::size_t sweeps_below(const LabelFit& fit, double top) {
  std::size_t sweeps = 0;
  while (sweeps < fit.trace.size() && fit.trace[sweeps] < top - 1e-8) ++sweeps;
  return sweeps;
}

class Accelerated : public ::testing::TestWithParam<const char*> {};

TEST_P(Accelerated, EndsWhereSweepsEndInFewer) {
  for (const std::uint64_t seed : {1, 2, 3}) {
    const AnnotationTable table =
        RandomAnnotations{.tasks = 600, .workers = 20, .votes = 5, .seed = seed}.table();
    std::vector<std::string> sweeps = endless(5000, false);
    std::vector<std::string> leaps = endless(200, true);
    if (GetParam() == std::string("dawid-skene")) {
      // Without pseudo-counts sweeps still move by 1e-8 after these 5000.
      for (std::vector<std::string>* parameters : {&sweeps, &leaps}) {
        parameters->insert(parameters->end(), {"diagonal=0.5", "off_diagonal=0.2"});
      }
    }
    const LabelFit plain = fit_labels(GetParam(), table, sweeps);
    const LabelFit leaping = fit_labels(GetParam(), table, leaps);
    double largest = 0;
    for (std::size_t i = 0; i < plain.posterior.values.size(); ++i) {
      largest =
          std::max(largest, std::abs(plain.posterior.values[i] - leaping.posterior.values[i]));
    }
    EXPECT_LT(largest, 1e-8) << "seed " << seed;
    const double top = plain.trace.back();
    EXPECT_LT(sweeps_below(leaping, top), sweeps_below(plain, top)) << "seed " << seed;
  }
}

TEST_P(Accelerated, TheObjectiveNeverFalls) {
  for (const std::uint64_t seed : {1, 2, 3, 4}) {
    // Two annotations per task: leaps go wrong here, and are taken back.
    const AnnotationTable table =
        RandomAnnotations{.tasks = 300, .workers = 30, .classes = 4, .votes = 2, .seed = seed}
            .table();
    const LabelFit fit = fit_labels(GetParam(), table, endless(150, true));
    ASSERT_GE(fit.iterations, fit.trace.size());
    ASSERT_GT(fit.trace.size(), 50U);
    for (std::size_t t = 1; t < fit.trace.size(); ++t) {
      EXPECT_GE(fit.trace[t], fit.trace[t - 1] - 1e-12 * std::abs(fit.trace[t])) << "sweep " << t;
    }
  }
}

TEST_P(Accelerated, TheBitsDoNotDependOnTheThreads) {
  const AnnotationTable table = RandomAnnotations{.tasks = 20'000, .workers = 50}.table();
  FitContext one;
  FitContext four;
  four.parallel = {4, Runner::std_thread};
  const LabelFit a = fit_labels(GetParam(), table, endless(25, true), one);
  const LabelFit b = fit_labels(GetParam(), table, endless(25, true), four);
  EXPECT_EQ(a.posterior.values, b.posterior.values);
  EXPECT_EQ(a.trace, b.trace);
}

INSTANTIATE_TEST_SUITE_P(All, Accelerated,
                         ::testing::Values("dawid-skene", "one-coin-dawid-skene", "zencrowd"));

// x' = x* + A (x - x*) with A diagonal: as many leaps as there are different entries solve it,
// where each sweep alone keeps 99 % of the error.
TEST(Anderson, SolvesALinearSweepInAsManyLeapsAsItHasRates) {
  const std::vector<double> rates = {0.99, 0.9, 0.5, 0.99};
  const std::vector<double> fixed = {5, 3, 8, 2};
  Anderson anderson({4, 4, 6, 2.5}, {});
  for (int sweep = 0; sweep < 8; ++sweep) {
    double error = 0;
    std::vector<double> next;
    for (std::size_t i = 0; i < fixed.size(); ++i) {
      const double off = anderson.counts()[i] - fixed[i];
      error += off * off;
      next.push_back(fixed[i] + rates[i] * off);
    }
    EXPECT_TRUE(anderson.take(-error, next));
  }
  for (std::size_t i = 0; i < fixed.size(); ++i) {
    EXPECT_NEAR(anderson.counts()[i], fixed[i], 1e-5) << i;
  }
}

TEST(Anderson, TakesALeapBackThatLedDownhill) {
  Anderson anderson({1, 1}, {});
  EXPECT_TRUE(anderson.is_plain());
  EXPECT_TRUE(anderson.take(-3, {2, 1}));
  EXPECT_TRUE(anderson.is_plain());
  EXPECT_TRUE(anderson.take(-2, {2.5, 1}));
  EXPECT_TRUE(anderson.has_leapt());
  EXPECT_GT(anderson.counts()[0], 2.5);
  EXPECT_FALSE(anderson.take(-2.1, {9, 9}));
  EXPECT_FALSE(anderson.has_leapt());
  EXPECT_EQ(std::vector<double>(anderson.counts().begin(), anderson.counts().end()),
            (std::vector<double>{2.5, 1}));
  // The next sweep is a plain one.
  EXPECT_TRUE(anderson.take(-1.9, {2.75, 1}));
  EXPECT_TRUE(anderson.is_plain());
  EXPECT_EQ(anderson.counts()[0], 2.75);
}

TEST(Anderson, NoCountFallsBelowATenthOfWhatTheSweepGave) {
  Anderson anderson({1, 5}, {});
  EXPECT_TRUE(anderson.take(-3, {0.5, 5}));
  // 0.5, then 0.45: the fixed point of such a line is below 0.
  EXPECT_TRUE(anderson.take(-2, {0.01, 5}));
  EXPECT_GE(anderson.counts()[0], 0.001);
}

}  // namespace
}  // namespace amalgam::labels
