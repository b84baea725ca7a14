// Counts of patterns: what is counted, and that parts make the whole.
#include "amalgam/scores/studies/decision_counts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/scores/studies/decision_study.hpp"

namespace amalgam::scores {
namespace {

SegmentCounts segment_of(const std::vector<bool>& bits, std::size_t begin, std::size_t end) {
  SegmentCounts segment;
  for (std::size_t i = begin; i < end; ++i) segment.add(bits[i]);
  return segment;
}

TEST(SegmentCounts, CountsEveryPatternOfUpToSevenAnswers) {
  std::vector<bool> bits;
  for (unsigned i = 0; i < 300; ++i) bits.push_back((i * i / 7 + i / 3) % 2 == 1);
  const SegmentCounts segment = segment_of(bits, 0, bits.size());
  for (std::size_t length = 1; length <= 7; ++length) {
    std::vector<std::uint64_t> expected(std::size_t{1} << length);
    for (std::size_t i = 0; i + length <= bits.size(); ++i) {
      std::size_t pattern = 0;
      for (std::size_t j = 0; j < length; ++j) pattern = 2 * pattern + (bits[i + j] ? 1 : 0);
      ++expected[pattern];
    }
    for (std::size_t pattern = 0; pattern < expected.size(); ++pattern) {
      EXPECT_EQ(segment.count(length, pattern), expected[pattern]) << length << " " << pattern;
    }
  }
}

RC_GTEST_PROP(SegmentCounts, PartsMakeTheWholeWhereverTheyAreCut, (const std::vector<bool>& bits)) {
  const std::size_t first = *rc::gen::inRange<std::size_t>(0, bits.size() + 1);
  const std::size_t second = *rc::gen::inRange<std::size_t>(first, bits.size() + 1);
  SegmentCounts joined = segment_of(bits, 0, first);
  joined.combine(segment_of(bits, first, second));
  joined.combine(segment_of(bits, second, bits.size()));
  RC_ASSERT(joined == segment_of(bits, 0, bits.size()));
  // And in the other order of joining.
  SegmentCounts right = segment_of(bits, first, second);
  right.combine(segment_of(bits, second, bits.size()));
  SegmentCounts left = segment_of(bits, 0, first);
  left.combine(right);
  RC_ASSERT(left == joined);
}

TEST(DecisionCounts, DifferentSeriesHaveNoTransitionBetweenThem) {
  const std::vector<std::int8_t> first(8, kYes);
  const std::vector<std::int8_t> second(11, kNo);
  DecisionCounts counts;
  counts.add_series(first);
  DecisionCounts others;
  others.add_series(second);
  counts.combine(others);
  EXPECT_EQ(counts.positions(1), 8U + 11 - 2);
  EXPECT_EQ(counts.count(2, 0b10), 0U);
  DecisionCounts together;
  together.add_series(first);
  together.add_series(second);
  EXPECT_TRUE(counts == together);
}

TEST(DecisionCounts, InvalidAnswersBreakSeries) {
  DecisionCounts counts;
  counts.add_series(std::vector<std::int8_t>{1, 1, -1, 1, 0, 0});
  EXPECT_EQ(counts.valid(), 5U);
  EXPECT_EQ(counts.yes(), 3U);
  EXPECT_EQ(counts.invalid(), 1U);
  EXPECT_EQ(counts.positions(1), 3U);
  EXPECT_EQ(counts.count(2, 0b11), 1U) << "not across the invalid answer";
  EXPECT_EQ(counts.segments().size(), 2U);
}

TEST(DecisionCounts, ShortRepliesTellOfSharesOnly) {
  DecisionCounts counts;
  counts.add_series(std::vector<std::int8_t>{1, 0, 1, 0});
  EXPECT_EQ(counts.valid(), 4U);
  EXPECT_EQ(counts.positions(1), 0U);
  counts.add_series(std::vector<std::int8_t>{1, 0, 1, 0, 1});
  EXPECT_EQ(counts.positions(1), 4U);
}

TEST(DecisionCounts, RefusesOtherValues) {
  DecisionCounts counts;
  EXPECT_THROW(counts.add_series(std::vector<std::int8_t>{1, 2}), InputError);
  EXPECT_THROW(counts.add_series(std::vector<std::int8_t>{-2}), InputError);
}

// Swapping yes and no changes nothing but the share.
RC_GTEST_PROP(DecisionStudy, YesAndNoAreTreatedAlike, (std::vector<std::vector<bool>> series)) {
  RC_PRE(!series.empty());
  DecisionGroup group{.name = "group", .setting = "group"};
  DecisionGroup swapped = group;
  for (const std::vector<bool>& bits : series) {
    DecisionSeries one;
    DecisionSeries other;
    for (const bool bit : bits) {
      one.answers.push_back(bit ? kYes : kNo);
      other.answers.push_back(bit ? kNo : kYes);
    }
    group.series.push_back(one);
    swapped.series.push_back(other);
  }
  const DecisionReport report = study_decisions({group});
  const DecisionReport mirrored = study_decisions({swapped});
  const DecisionFindings& left = report.groups[0];
  const DecisionFindings& right = mirrored.groups[0];
  RC_ASSERT(left.tests.size() == right.tests.size());
  for (std::size_t i = 0; i < left.tests.size(); ++i) {
    const NamedTest& a = left.tests[i];
    const NamedTest& b = right.tests[i];
    RC_ASSERT(a.name == b.name);
    RC_ASSERT(std::abs(a.test.p - b.test.p) < 1e-9);
    const bool about_share = a.name == "uniform" || a.name == "first answers uniform";
    const double sign = about_share ? -1 : 1;
    RC_ASSERT(std::abs(a.test.statistic - sign * b.test.statistic) <
              1e-8 * (1 + std::abs(a.test.statistic)));
  }
  RC_ASSERT(left.uniform == right.uniform);
  RC_ASSERT(left.memoryless == right.memoryless);
  RC_ASSERT(left.negative_recency == right.negative_recency);
}

}  // namespace
}  // namespace amalgam::scores
