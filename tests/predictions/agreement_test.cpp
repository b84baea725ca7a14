#include "amalgam/predictions/agreement.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

LogitTable table(const std::vector<float>& logits, std::size_t classes) {
  return {"toy", logits, logits.size() / classes, classes};
}

// Card wise-ft-bang, check 8.
TEST(Agreement, CountsWhoIsRight) {
  const std::vector<bool> a{true, false, false, true};
  const std::vector<bool> b{true, false, true, false};
  const std::vector<bool> m{true, true, true, false};
  Agreement agreement;
  Agreement second_half;
  for (std::size_t i = 0; i < 4; ++i) (i < 2 ? agreement : second_half).absorb(a[i], b[i], m[i]);
  agreement.combine(second_half);
  EXPECT_EQ(agreement.total(), 4U);
  EXPECT_EQ(agreement.count(true, true, true), 1U);
  EXPECT_EQ(agreement.count(false, false, true), 1U);
  EXPECT_EQ(agreement.count(false, true, true), 1U);
  EXPECT_EQ(agreement.count(true, false, false), 1U);
  EXPECT_DOUBLE_EQ(agreement.share(false, false, true), .25);
  EXPECT_DOUBLE_EQ(agreement.first_accuracy(), .5);
  EXPECT_DOUBLE_EQ(agreement.second_accuracy(), .5);
  EXPECT_DOUBLE_EQ(agreement.merged_accuracy(), .75);
  EXPECT_EQ(Agreement().share(true, true, true), 0);
}

// Check 9: the more confident model decides.
TEST(ScaledEnsemble, FollowsTheModelWithTheLargerLogits) {
  const std::vector<float> a{1, 0};
  const std::vector<float> b{0, 1};
  const std::vector<std::uint32_t> label{0};
  const std::vector<double> scales{.5, 1, 2};
  const auto accuracy = scaled_ensemble_accuracy(table(a, 2), table(b, 2), label, scales);
  EXPECT_EQ(accuracy, (std::vector<double>{1, 1, 0}));  // at 1 a tie, which class 0 has
}

TEST(CompareBalance, MeasuresConfidenceSpreadAndWhoOverrules) {
  // Three examples, two classes. The second model is sure, and wrong about the last two.
  const std::vector<float> a{1, 0, 1, 0, 0, 1};
  const std::vector<float> b{3, 0, 0, 3, 0, 3};
  const std::vector<float> m{2, 0, 0, 1, 1, 1};
  const std::vector<std::uint32_t> labels{0, 0, 0};
  const BalanceReport report = compare_balance(table(a, 2), table(b, 2), table(m, 2), labels);
  EXPECT_EQ(report.agreement.count(true, true, true), 1U);
  EXPECT_EQ(report.agreement.count(true, false, false), 1U);
  EXPECT_EQ(report.agreement.count(false, false, true), 1U);
  EXPECT_EQ(report.ties, 1U);
  EXPECT_DOUBLE_EQ(report.overruled, 1);  // its only error
  EXPECT_NEAR(report.spread_ratio, 3, 1e-12);
  EXPECT_NEAR(report.first_confidence, 1 / (1 + std::exp(-1.0)), 1e-7);
  EXPECT_NEAR(report.second_confidence, 1 / (1 + std::exp(-3.0)), 1e-7);
  // All of one confidence: the error is its distance to the accuracy.
  EXPECT_NEAR(report.first_ece, 1 / (1 + std::exp(-1.0)) - 2.0 / 3, 1e-7);
}

TEST(CompareBalance, RefusesTablesThatDoNotBelongTogether) {
  const std::vector<float> two{1, 0, 1, 0};
  const std::vector<float> one{1, 0};
  const std::vector<float> nan{1, std::numeric_limits<float>::quiet_NaN(), 0, 0};
  const std::vector<std::uint32_t> labels{0, 1};
  const std::vector<std::uint32_t> beyond{0, 2};
  const LogitTable good = table(two, 2);
  EXPECT_NO_THROW(compare_balance(good, good, good, labels));
  EXPECT_THROW(compare_balance(good, table(one, 2), good, labels), InputError);
  EXPECT_THROW(compare_balance(good, table(two, 4), good, labels), InputError);
  EXPECT_THROW(compare_balance(good, good, table(nan, 2), labels), InputError);
  EXPECT_THROW(compare_balance(good, good, good, beyond), InputError);
  EXPECT_THROW(compare_balance(good, good, good, std::vector<std::uint32_t>{0}), InputError);
}

}  // namespace
}  // namespace amalgam
