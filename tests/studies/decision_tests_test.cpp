// The statistics of decision bias on worked examples: published ones (NIST SP 800-22), or computed
// independently of the code under test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string_view>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/tail_probabilities.hpp"
#include "amalgam/scores/studies/decision_counts.hpp"
#include "amalgam/scores/studies/decision_study.hpp"
#include "amalgam/scores/studies/hypothesis_tests.hpp"
#include "amalgam/scores/studies/markov_order.hpp"
#include "amalgam/scores/studies/negative_recency.hpp"
#include "amalgam/scores/studies/randomness_tests.hpp"
#include "amalgam/scores/studies/temperature_response.hpp"

namespace amalgam::scores {
namespace {

SegmentCounts segment_of(std::string_view bits) {
  SegmentCounts segment;
  for (const char bit : bits) segment.add(bit == '1');
  return segment;
}

SegmentTally tally_of(std::string_view bits) {
  const SegmentCounts segment = segment_of(bits);
  return {segment.size(), segment.yes(), segment.switches(), segment.longest_run()};
}

std::vector<std::int8_t> repeated(std::string_view bits, std::size_t times) {
  std::vector<std::int8_t> answers;
  for (std::size_t i = 0; i < times; ++i) {
    for (const char bit : bits) answers.push_back(bit == '1' ? kYes : kNo);
  }
  return answers;
}

DecisionCounts counts_of(const std::vector<std::int8_t>& answers) {
  DecisionCounts counts;
  counts.add_series(answers);
  return counts;
}

TEST(Uniformity, OfAShareFromHundredAnswers) {
  EXPECT_NEAR(fair_coins_two_sided(38, 100), 0.020979, 1e-6);
  EXPECT_NEAR(fair_coins_two_sided(98, 100) / 7.969e-27, 1, 1e-3);
  EXPECT_DOUBLE_EQ(fair_coins_two_sided(8, 10), 0.109375);
  EXPECT_EQ(fair_coins_two_sided(5, 10), 1);
  EXPECT_DOUBLE_EQ(fair_coins_two_sided(0, 11), std::exp2(-10)) << "2^(1-n)";

  const Uniformity found = uniformity({38, 100});
  EXPECT_NEAR(found.z * found.z, 5.76, 1e-12);
  EXPECT_NEAR(chi_squared_above(5.76, 1), 0.016395, 1e-6);
  EXPECT_NEAR(normal_two_sided(found.z), 0.016395, 1e-6);
  EXPECT_NEAR(found.interval.low, 0.290976, 1e-6);
  EXPECT_NEAR(found.interval.high, 0.477902, 1e-6);
  EXPECT_NEAR(found.entropy, 0.958042, 1e-6);
  EXPECT_NEAR(found.total_variation, 0.12, 1e-12);
  EXPECT_NEAR(uniformity({98, 100}).interval.low, 0.929988, 1e-6);
  EXPECT_NEAR(uniformity({98, 100}).interval.high, 0.994498, 1e-6);
}

TEST(OrderTest, OfATransitionMatrix) {
  const std::vector<std::uint64_t> transitions{20, 30, 30, 19};
  const OrderTest test = order_test(transitions);
  EXPECT_EQ(test.order, 1U);
  EXPECT_NEAR(test.g_squared.statistic, 4.494009, 1e-6);
  EXPECT_NEAR(test.g_squared.p, 0.034014, 1e-6);
  EXPECT_NEAR(test.pearson.statistic, 4.459742, 1e-6);
  EXPECT_NEAR(test.least_expected, 49.0 * 49 / 99, 1e-9);
}

TEST(OrderTest, OfAlternatingAnswersFindsOrderOneOnly) {
  const DecisionCounts counts = counts_of(repeated("01", 10));
  const TransitionMatrix matrix = transition_matrix(counts);
  EXPECT_EQ(matrix.counts[0][1], 10U);
  EXPECT_EQ(matrix.counts[1][0], 9U);
  EXPECT_EQ(matrix.counts[0][0] + matrix.counts[1][1], 0U);
  const OrderTest first = order_test(counts, 1);
  EXPECT_NEAR(first.g_squared.statistic, 26.286937, 1e-6);
  EXPECT_NEAR(first.pearson.statistic, 19, 1e-9);
  EXPECT_NEAR(order_test(counts, 2).g_squared.statistic, 0, 1e-9);

  const NegativeRecency recency = negative_recency(counts);
  EXPECT_EQ(recency.switch_rate, 1);
  EXPECT_NEAR(recency.lag1, -1, 1e-12);
  EXPECT_NEAR(recency.runs.expected, 11, 1e-12);
  EXPECT_NEAR(recency.runs.variance, 4.736842, 1e-6);
  EXPECT_NEAR(recency.runs.result.statistic, 4.135215, 1e-6);
  // Of the C(20, 10) orders two alternate, and two have two runs only: as improbable.
  EXPECT_NEAR(recency.exact_runs.p, 4.0 / 184756, 1e-12);
}

// Pairs of equal answers look independent to whoever sees one answer back.
TEST(OrderTest, OfPairsFindsOrderTwo) {
  const DecisionCounts counts = counts_of(repeated("0011", 10));
  EXPECT_NEAR(order_test(counts, 1).g_squared.statistic, 0.0270, 1e-4);
  const OrderTest second = order_test(counts, 2);
  EXPECT_NEAR(second.g_squared.statistic, 52.5739, 1e-4);
  EXPECT_EQ(second.g_squared.degrees, 2);
  const OrderChoice choice = choose_order(counts_of(repeated("0011", 100)));
  EXPECT_EQ(choice.order, 2U);
  EXPECT_EQ(choice.positions, 396U) << "the same answers for all of the orders 0 to 4";
  EXPECT_EQ(choice.bic.size(), 5U);
}

TEST(RandomnessTests, GiveTheFiguresOfTheStandard) {
  EXPECT_NEAR(frequency_test({6, 10}).p, 0.527089, 1e-6);  // 1011010101
  EXPECT_NEAR(nist_runs_test(tally_of("1001101011")).p, 0.147232, 1e-6);
  const SegmentCounts serial = segment_of("0011011101");
  const double psi3 = psi_squared(serial.cyclic(3));
  const double psi2 = psi_squared(serial.cyclic(2));
  const double psi1 = psi_squared(serial.cyclic(1));
  EXPECT_NEAR(psi3, 2.8, 1e-12);
  EXPECT_NEAR(psi2, 1.2, 1e-12);
  EXPECT_NEAR(psi1, 0.4, 1e-12);
  const SerialTest test = serial_test(psi3, psi2, psi1, 3);
  EXPECT_NEAR(test.first.p, 0.808792, 1e-6);
  EXPECT_NEAR(test.second.p, 0.670320, 1e-6);
  const SegmentCounts entropy = segment_of("0100110101");
  const ApproximateEntropy found = approximate_entropy(entropy.cyclic(3), entropy.cyclic(4));
  EXPECT_NEAR(found.entropy, 0.190954, 1e-6);
  EXPECT_NEAR(found.statistic, 10.043859, 1e-6);
  EXPECT_NEAR(chi_squared_above(found.statistic, 8), 0.261961, 1e-6);
}

TEST(RandomnessTests, NistRunsAreNotForBiasedSequences) {
  EXPECT_FALSE(nist_runs_test(tally_of("11111111111111101111")).defined());
  EXPECT_TRUE(nist_runs_test(tally_of("11101011")).defined());
}

TEST(RandomnessTests, LongestRunIsExact) {
  EXPECT_DOUBLE_EQ(longest_run_tail(4, 4), 0.125);
  EXPECT_NEAR(longest_run_tail(20, 4), 0.7684, 1e-4);
  EXPECT_NEAR(longest_run_tail(20, 5), 0.4584, 1e-4);
  EXPECT_NEAR(longest_run_tail(20, 6), 0.2369, 1e-4);
  EXPECT_NEAR(longest_run_tail(20, 7), 0.1151, 1e-4);
  EXPECT_EQ(longest_run_tail(20, 21), 0);
  EXPECT_EQ(longest_run_tail(20, 1), 1);
  // Two sequences of four: 1 - (7/8)^2.
  const std::vector<SegmentTally> two{tally_of("1111"), tally_of("0101")};
  const TestResult test = longest_run_test(two);
  EXPECT_EQ(test.statistic, 4);
  EXPECT_NEAR(test.p, 15.0 / 64, 1e-12);
}

// All 2^10 sequences: the distribution over the orders of the same answers, by counting them.
TEST(RandomnessTests, ExactRunsEqualCountingAllOrders) {
  const std::string_view found = "0010110101";
  const SegmentTally tally = tally_of(found);
  std::vector<double> orders(11);
  double total = 0;
  for (unsigned bits = 0; bits < 1024; ++bits) {
    SegmentCounts segment;
    for (unsigned i = 0; i < 10; ++i) segment.add(((bits >> i) & 1U) != 0);
    if (segment.yes() != tally.yes) continue;
    ++orders[segment.switches()];
    ++total;
  }
  double p = 0;
  for (const double count : orders) {
    if (count <= orders[tally.switches]) p += count / total;
  }
  const std::vector<SegmentTally> one{tally};
  EXPECT_TRUE(exact_runs_test(one).exact);
  EXPECT_NEAR(exact_runs_test(one).p, p, 1e-12);
}

TEST(RandomnessTests, ExactRunsOfTwoSegmentsConvolve) {
  // One yes of two answers is one switch in any order; one of three has two in one order of three.
  const std::vector<SegmentTally> segments{tally_of("01"), tally_of("010")};
  EXPECT_NEAR(exact_runs_test(segments).p, 1.0 / 3, 1e-12);
}

TEST(NegativeRecency, IsJudgedByTheSourcesOwnShare) {
  EXPECT_NEAR(independent_switch_rate(0.38), 0.4712, 1e-12);
  EXPECT_NEAR(autocorrelation(0.56544, 0.38), -0.2, 1e-12);
  EXPECT_NEAR(autocorrelation(0.4712, 0.38), 0, 1e-12);
  EXPECT_TRUE(std::isnan(autocorrelation(0, 1)));
}

// 1 1 1 0 0 1 0: after one yes at the start another, after two a third, after three none; after the
// one no another, after two none; after the single yes none.
TEST(NegativeRecency, CountsRepeatsByTheLengthOfTheRun) {
  const DecisionCounts counts = counts_of(repeated("1110010", 1));
  const Repeats& yes = counts.repeats()[1];
  EXPECT_THAT(yes.after, ::testing::ElementsAre(2, 1, 1, 0, 0));
  EXPECT_THAT(yes.repeats, ::testing::ElementsAre(1, 1, 0, 0, 0));
  const Repeats& no = counts.repeats()[0];
  EXPECT_THAT(no.after, ::testing::ElementsAre(1, 1, 0, 0, 0));
  EXPECT_THAT(no.repeats, ::testing::ElementsAre(1, 0, 0, 0, 0));
}

// Repeats of a reference written without patterns, on a sequence with long runs.
TEST(NegativeRecency, RepeatsEqualWalkingAlongTheSequence) {
  const auto answers = repeated("1111111001110000000101101110", 7);
  std::array<Repeats, 2> expected{};
  std::size_t run = 1;
  for (std::size_t i = 1; i < answers.size(); ++i) {
    const bool same = answers[i] == answers[i - 1];
    if (run <= 5) {
      auto& sums = expected[static_cast<std::size_t>(answers[i - 1])];
      ++sums.after[run - 1];
      sums.repeats[run - 1] += same ? 1 : 0;
    }
    run = same ? run + 1 : 1;
  }
  EXPECT_EQ(counts_of(answers).repeats(), expected);
}

TEST(NegativeRecency, VotesThatAlternateCountMoreThanIndependentOnes) {
  const std::vector<double> none{0, 0, 0};
  EXPECT_EQ(effective_votes(20, none), 20);
  // 1 + 2 (1 - 1/4) r: with r = 1/2 4 / 1.75, with r = -1/2 4 / 0.25.
  EXPECT_NEAR(effective_votes(4, std::vector<double>{0.5}), 4 / 1.75, 1e-12);
  EXPECT_NEAR(effective_votes(4, std::vector<double>{-0.5}), 16, 1e-12);
  EXPECT_EQ(effective_votes(4, std::vector<double>{-0.9}), 40) << "10 n at most";
  EXPECT_EQ(effective_votes(4, std::vector<double>{1, 1, 1}), 1);
  EXPECT_EQ(effective_votes(1, std::vector<double>{1, 1, 1}), 1);
}

TEST(NegativeRecency, AutocorrelationsOfAPeriod) {
  // 0011 repeated: answers two apart always differ, four apart never.
  const auto lags = autocorrelations(counts_of(repeated("0011", 100)));
  EXPECT_NEAR(lags[0], 0, 0.01);
  EXPECT_NEAR(lags[1], -1, 1e-12);
  EXPECT_NEAR(lags[3], 1, 1e-12);
}

TEST(Temperature, DividesTheLogit) {
  EXPECT_NEAR(yes_at_temperature(0.98, 0.5), 0.999584, 1e-6);
  EXPECT_NEAR(yes_at_temperature(0.98, 2), 0.875, 1e-12);
  EXPECT_NEAR(temperature_for(0.98, 0.60), 9.598410, 1e-6);
  for (const double t : {0.0, 0.1, 1.0, 50.0}) EXPECT_EQ(yes_at_temperature(0.5, t), 0.5);
  EXPECT_EQ(yes_at_temperature(0.4, 0), 0);
  EXPECT_TRUE(std::isnan(temperature_for(0.98, 0.4)));
}

TEST(Temperature, FitOfASoftmaxHasNoOffset) {
  std::vector<TemperaturePoint> points;
  for (const double t : {0.5, 1.0, 1.5, 2.0}) {
    const double p = yes_at_temperature(0.8, t);
    points.push_back({t, {static_cast<std::uint64_t>(std::round(1e6 * p)), 1'000'000}});
  }
  const TemperatureFit fit = fit_temperature(points);
  EXPECT_NEAR(fit.slope, std::log(4.0), 1e-4);
  EXPECT_NEAR(fit.offset, 0, 1e-4);
  EXPECT_NEAR(fit.softmax_slope, std::log(4.0), 1e-5);
  EXPECT_GT(fit.softmax_misfit.p, 0.99);
  EXPECT_EQ(fit.softmax_misfit.degrees, 3);
  // A share that does not move with the temperature is no softmax.
  for (TemperaturePoint& point : points) point.yes = {800, 1000};
  EXPECT_LT(fit_temperature(points).softmax_misfit.p, 1e-6);
  EXPECT_LT(fit_temperature(points).offset_test.p, 1e-6);
  points = {{1, {8, 10}}, {1, {7, 10}}};
  EXPECT_THROW(fit_temperature(points), InputError) << "one temperature only";
  points[0].temperature = 0;
  EXPECT_THROW(fit_temperature(points), InputError);
}

TEST(Comparisons, SpreadAcrossSeries) {
  const std::vector<Proportion> series{{3, 10}, {5, 10}, {7, 10}, {5, 10}};
  const TestResult test = homogeneity_test(series);
  EXPECT_NEAR(test.statistic, 3.2, 1e-12);
  EXPECT_EQ(test.degrees, 3);
}

// The lady tasting tea, 3 of 4 against 1 of 4: (16 + 1 + 16 + 1) / 70.
TEST(Comparisons, FisherExactAndTwoProportions) {
  EXPECT_NEAR(fisher_exact_test({3, 4}, {1, 4}), 34.0 / 70, 1e-9);
  EXPECT_NEAR(fisher_exact_test({4, 4}, {0, 4}), 2.0 / 70, 1e-9);
  EXPECT_NEAR(fisher_exact_test({50'000, 100'000}, {50'000, 100'000}), 1, 1e-6);
  const TestResult z = two_proportion_test({60, 100}, {40, 100});
  EXPECT_NEAR(z.statistic, 0.2 / std::sqrt(0.25 * 0.02), 1e-12);
  EXPECT_FALSE(two_proportion_test({0, 5}, {0, 7}).defined());
}

// Scores 1, 2, 3 with 1, 2, 3 of 4: p = 1/2, T = sum score (k - n p) = -1 + 3 = 2, variance
// p q (sum n x^2 - (sum n x)^2 / N) = (56 - 576 / 12) / 4 = 2.
TEST(Comparisons, TrendOverScores) {
  const std::vector<Proportion> strata{{1, 4}, {2, 4}, {3, 4}};
  EXPECT_NEAR(trend_test(strata, 3).statistic, std::sqrt(2.0), 1e-12);
  // Two strata with opposite trends have none together.
  const std::vector<Proportion> both{{1, 4}, {2, 4}, {3, 4}, {3, 4}, {2, 4}, {1, 4}};
  EXPECT_NEAR(trend_test(both, 3).statistic, 0, 1e-12);
}

TEST(Comparisons, SameTransitionsByPooledAgainstSeparate) {
  const TransitionMatrix first{{{20, 30}, {30, 20}}};
  EXPECT_NEAR(same_transitions_test(first, first).statistic, 0, 1e-9);
  const TransitionMatrix second{{{30, 20}, {20, 30}}};
  const TestResult test = same_transitions_test(first, second);
  EXPECT_EQ(test.degrees, 2);
  // Each row: 2 (2 (20 ln .4 + 30 ln .6) - 100 ln .5).
  EXPECT_NEAR(test.statistic,
              4 * (2 * (20 * std::log(.4) + 30 * std::log(.6)) - 100 * std::log(.5)), 1e-9);
}

}  // namespace
}  // namespace amalgam::scores
