// Whole reports on decision bias: verdicts on sources of known kind, and what is said of poor data.
#include "amalgam/scores/studies/decision_study.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "amalgam/scores/studies/decision_reference.hpp"
#include "amalgam/scores/studies/randomness_tests.hpp"
#include "tests/error_of.hpp"

namespace amalgam::scores {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

DecisionGroup source(ReferenceSource kind, std::uint64_t seed, std::size_t series,
                     std::uint64_t length, double yes = 0.5, double switch_rate = 0.6) {
  return make_reference(kind, std::vector<std::uint64_t>(series, length),
                        {.yes = yes, .switch_rate = switch_rate, .seed = seed});
}

DecisionFindings study(const DecisionGroup& group) {
  return study_decisions({group}).groups.front();
}

TEST(DecisionStudy, AFairIndependentSourceIsCalledSo) {
  const DecisionFindings found = study(source(ReferenceSource::prng, 1, 1, 1000));
  EXPECT_EQ(found.uniform, Verdict::yes);
  EXPECT_EQ(found.memoryless, Verdict::yes);
  EXPECT_EQ(found.negative_recency, Verdict::no);
  for (const char* test : {"fair: serial, 2 answers", "fair: serial, 3 answers", "fair: runs",
                           "fair: approximate entropy, 2 answers", "fair: longest run"}) {
    ASSERT_NE(found.find(test), nullptr) << test;
    EXPECT_GT(found.find(test)->test.p, 1e-3) << test;
  }
  EXPECT_EQ(found.find("fair: serial, 2 answers")->test.degrees, 2);
}

// Ten answers of NIST SP 800-22, 2.3.4: p = 0.147232 for 1001101011; of two sequences and of a
// biased one the test is not defined.
TEST(DecisionStudy, RunsOfASingleSequenceAreTestedAsNistDoes) {
  DecisionGroup group{.name = "a", .setting = "a"};
  group.series.push_back({.name = "1", .answers = {1, 0, 0, 1, 1, 0, 1, 0, 1, 1}});
  const DecisionFindings one = study(group);
  ASSERT_NE(one.find("fair: runs"), nullptr);
  EXPECT_NEAR(one.find("fair: runs")->test.p, 0.147232, 1e-6);
  group.series.push_back({.name = "2", .answers = {1, 0, 1, 1, 0, 0, 1}});
  EXPECT_EQ(study(group).find("fair: runs"), nullptr);
  group.series.pop_back();
  group.series[0].answers.assign(25, kYes);
  group.series[0].answers[7] = kNo;
  EXPECT_EQ(study(group).find("fair: runs"), nullptr);
}

// 0 1 1 0 1 and 1 1 0 0 0: patterns do not reach from one series into the other.
TEST(DecisionStudy, PatternsAreCountedWithinSeriesBesideWhatIndependenceGives) {
  DecisionGroup group{.name = "a", .setting = "a"};
  group.series.push_back({.name = "1", .answers = {0, 1, 1, 0, 1}});
  group.series.push_back({.name = "2", .answers = {1, 1, 0, 0, 0}});
  const std::vector<PatternCount> table = pattern_table(study(group).counts);
  ASSERT_EQ(table.size(), 4U + 8U);
  EXPECT_EQ(table[0].pattern, "00");
  EXPECT_EQ(table[0].count, 2U);
  EXPECT_EQ(table[1].count, 2U);  // 01
  EXPECT_EQ(table[2].count, 2U);  // 10
  EXPECT_EQ(table[3].count, 2U);  // 11
  EXPECT_DOUBLE_EQ(table[0].expected, 8 * 0.25);
  EXPECT_EQ(table[4 + 6].pattern, "110");
  EXPECT_EQ(table[4 + 6].count, 2U);
  EXPECT_DOUBLE_EQ(table[4 + 6].expected, 6 * 0.125);
  EXPECT_TRUE(pattern_table(DecisionCounts()).empty());
}

TEST(DecisionStudy, PeopleAlternate) {
  const DecisionFindings found = study(source(ReferenceSource::human, 1, 40, 25));
  EXPECT_EQ(found.uniform, Verdict::yes);
  EXPECT_EQ(found.memoryless, Verdict::no);
  EXPECT_EQ(found.negative_recency, Verdict::yes);
  EXPECT_EQ(found.order.order, 1U);
  EXPECT_NEAR(found.recency.switch_rate, 0.6, 0.05);
  EXPECT_GT(found.find("switches as people do")->test.p, 0.01);
  EXPECT_GT(found.effective_votes, 25) << "alternating answers cancel each other's errors";
  EXPECT_EQ(found.votes, 25U);
}

// 2 p (1 - p) = 0.0392 at p = 0.98: against 1/2 this would be a strong positive recency.
TEST(DecisionStudy, ABiasIsNoDependence) {
  for (const double yes : {0.38, 0.9, 0.98}) {
    const DecisionFindings found = study(source(ReferenceSource::prng, 2, 1, 2000, yes));
    EXPECT_EQ(found.uniform, Verdict::no) << yes;
    EXPECT_NE(found.memoryless, Verdict::no) << yes;
    EXPECT_NE(found.negative_recency, Verdict::yes) << yes;
  }
}

TEST(DecisionStudy, FewAnswersDecideNothing) {
  const DecisionFindings found = study(source(ReferenceSource::prng, 3, 1, 20));
  EXPECT_EQ(found.uniform, Verdict::undecided);
  EXPECT_EQ(found.memoryless, Verdict::undecided);
  EXPECT_NE(found.negative_recency, Verdict::yes);
  EXPECT_TRUE(found.find("order 1")->test.exact) << "too few transitions for chi-squared";
  EXPECT_TRUE(found.find("order 2")->test.exact);
  EXPECT_FALSE(found.find("order 2")->rough);
  EXPECT_THAT(found.notes, Contains(HasSubstr("order 2 is tested by 9999 permutations")));
}

TEST(DecisionStudy, FewAnswersInPairsAreFoundByPermutations) {
  DecisionGroup group{.name = "a", .setting = "a"};
  DecisionSeries series{.name = "1"};
  for (int t = 0; t < 36; ++t) series.answers.push_back(t / 2 % 2 == 0 ? kYes : kNo);
  group.series.push_back(series);
  const DecisionFindings found = study(group);
  EXPECT_TRUE(found.find("order 2")->test.exact);
  EXPECT_LT(found.find("order 2")->test.p, 0.001);
  EXPECT_EQ(found.memoryless, Verdict::no);

  DecisionOptions options;
  options.permutation.permutations = 0;
  const DecisionReport without = study_decisions({group}, options);
  EXPECT_TRUE(without.groups[0].find("order 2")->rough);
}

TEST(DecisionStudy, OneAnswerAndConstantAnswersAreDegenerate) {
  DecisionGroup group{.name = "a", .setting = "a"};
  group.series.push_back({.name = "1", .answers = {1}});
  DecisionFindings found = study(group);
  EXPECT_EQ(found.recency.transitions, 0U);
  EXPECT_EQ(found.find("order 1"), nullptr);
  EXPECT_EQ(found.find("uniform")->test.p, 1);

  group.series[0].answers.assign(50, kYes);
  found = study(group);
  EXPECT_EQ(found.uniform, Verdict::no);
  EXPECT_EQ(found.memoryless, Verdict::undecided);
  EXPECT_EQ(found.find("runs"), nullptr);
  EXPECT_EQ(found.find("fair: longest run"), nullptr);
  EXPECT_THAT(found.notes, Contains(HasSubstr("degenerate")));
}

TEST(DecisionStudy, InvalidAndMissingAnswersAreReported) {
  DecisionGroup group{.name = "a", .setting = "a"};
  group.series.push_back({.name = "1", .answers = {1, 0, -1, 1, 0, -1, 1}, .asked = 10});
  group.missing = 1;
  const DecisionFindings found = study(group);
  EXPECT_THAT(found.notes, Contains(HasSubstr("2 of 7 answers are invalid (1 missing)")));
  EXPECT_THAT(found.notes, Contains(HasSubstr("1 of 1 series have fewer answers")));
}

TEST(DecisionStudy, ComparesGroupsAndCorrectsForAllTests) {
  DecisionGroup fair = source(ReferenceSource::prng, 4, 1, 500);
  DecisionGroup biased = source(ReferenceSource::prng, 5, 1, 500, 0.7);
  DecisionGroup people = source(ReferenceSource::human, 6, 1, 500);
  biased.name = "biased";
  const DecisionReport report = study_decisions({fair, biased, people}, {}, Proportion{300, 1000});
  ASSERT_EQ(report.comparisons.size(), 1U + 3 + 3) << "all together, pairs, with the corpus";
  EXPECT_EQ(report.comparisons[0].groups.size(), 3U);
  EXPECT_LT(report.comparisons[0].tests[0].adjusted_p, 1e-6);
  std::size_t tests = 0;
  double least = 1;
  double least_adjusted = 1;
  const auto look = [&](const std::vector<NamedTest>& some) {
    for (const NamedTest& test : some) {
      if (test.rough) continue;
      ++tests;
      least = std::min(least, test.test.p);
      least_adjusted = std::min(least_adjusted, test.adjusted_p);
      EXPECT_GE(test.adjusted_p, test.test.p) << test.name;
    }
  };
  for (const DecisionFindings& found : report.groups) look(found.tests);
  for (const DecisionComparison& comparison : report.comparisons) look(comparison.tests);
  EXPECT_EQ(report.tests, tests);
  EXPECT_DOUBLE_EQ(least_adjusted, std::min(1.0, least * static_cast<double>(tests)));
  EXPECT_EQ(report.groups[1].uniform, Verdict::no);
}

TEST(DecisionStudy, FitsTheResponseToTemperature) {
  DecisionData data;
  for (const double t : {0.0, 0.5, 1.0, 2.0}) {
    const double yes = t > 0 ? yes_at_temperature(0.8, t) : 0.999;
    DecisionGroup group = source(ReferenceSource::prng, 7 + data.size(), 1, 2000, yes);
    group.name = "model at " + std::to_string(t);
    group.setting = "model";
    group.temperature = t;
    data.push_back(std::move(group));
  }
  const DecisionReport report = study_decisions(data);
  ASSERT_EQ(report.temperatures.size(), 1U);
  EXPECT_EQ(report.temperatures[0].points.size(), 3U) << "not at 0";
  EXPECT_NEAR(report.temperatures[0].fit.softmax_slope, 1.386, 0.1);
  EXPECT_FALSE(report.temperatures[0].misfit.rejects(0.05));
  EXPECT_EQ(report.groups[0].find("fair: longest run"), nullptr)
      << "nothing of fairness at temperature 0";
}

TEST(DecisionStudy, RefusesOptionsThatAreNotPossible) {
  const DecisionData data{source(ReferenceSource::prng, 1, 1, 10)};
  EXPECT_THAT(error_of([&] { study_decisions(data, {.level = 1}); }), HasSubstr("level"));
  EXPECT_THAT(error_of([&] { study_decisions(data, {.margin = 0.5}); }), HasSubstr("margin"));
  EXPECT_THAT(error_of([&] { study_decisions(data, {.human_rate = 0}); }), HasSubstr("people"));
}

TEST(DecisionReference, ChainsHaveTheShareAndTheSwitchesTheyShould) {
  const DecisionFindings found = study(source(ReferenceSource::human, 9, 10, 5000, 0.4, 0.62));
  EXPECT_NEAR(found.share.yes.share(), 0.4, 0.01);
  EXPECT_NEAR(found.recency.switch_rate, 0.62, 0.01);
  EXPECT_EQ(study(source(ReferenceSource::system, 0, 1, 300)).counts.valid(), 300U);
  EXPECT_NE(source(ReferenceSource::system, 0, 1, 300).series[0].answers,
            source(ReferenceSource::system, 0, 1, 300).series[0].answers);
  EXPECT_EQ(source(ReferenceSource::prng, 3, 1, 300).series[0].answers,
            source(ReferenceSource::prng, 3, 1, 300).series[0].answers);
  EXPECT_THAT(error_of([] { source(ReferenceSource::human, 1, 1, 5, 0.2, 0.6); }),
              HasSubstr("at most 0.4"));
  EXPECT_THAT(error_of([] { source(ReferenceSource::prng, 1, 1, 5, 1); }),
              HasSubstr("between 0 and 1"));
  EXPECT_THAT(error_of([] { parse_reference("prgn"); }), HasSubstr("did you mean 'prng'"));
}

}  // namespace
}  // namespace amalgam::scores
