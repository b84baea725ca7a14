#include "amalgam/scores/studies/order_permutation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "amalgam/core/tail_probabilities.hpp"
#include "amalgam/scores/studies/decision_counts.hpp"
#include "amalgam/scores/studies/markov_order.hpp"

namespace amalgam::scores {
namespace {

AnswerSegment segment_of(const std::string& text) {
  AnswerSegment segment;
  for (const char c : text) segment.push_back(c == '1');
  return segment;
}

std::string text_of(const AnswerSegment& segment) {
  std::string text;
  for (const bool answer : segment) text += answer ? '1' : '0';
  return text;
}

std::map<std::string, int> patterns_of(const std::string& text, std::size_t length) {
  std::map<std::string, int> found;
  for (std::size_t t = 0; t + length <= text.size(); ++t) ++found[text.substr(t, length)];
  return found;
}

// Every text of zeros and ones of this length that has the same first answers and patterns.
std::vector<std::string> same_patterns(const std::string& text, std::size_t order) {
  std::vector<std::string> found;
  const auto patterns = patterns_of(text, order);
  for (std::size_t bits = 0; bits < (std::size_t{1} << text.size()); ++bits) {
    std::string other;
    for (std::size_t t = 0; t < text.size(); ++t) other += ((bits >> t) & 1U) != 0 ? '1' : '0';
    const bool same_start = other.substr(0, order - 1) == text.substr(0, order - 1);
    if (same_start && patterns_of(other, order) == patterns) found.push_back(other);
  }
  return found;
}

// A source whose next answer depends on the previous one (order 1), or on the one before that.
AnswerSegment chain(std::size_t lag, double same, std::size_t size, RandomStream& random) {
  AnswerSegment segment;
  for (std::size_t t = 0; t < size; ++t) {
    segment.push_back(t < lag ? random.uniform() < 0.5
                              : segment[t - lag] == (random.uniform() < same));
  }
  return segment;
}

TEST(ShuffleKeepingPatterns, DrawsAllOrdersWithTheSamePatternsEquallyOften) {
  RandomStream random(1, "shuffle");
  for (const std::size_t order : {1U, 2U, 3U}) {
    for (const std::string text : {"0110100110", "1101001011", "0001110010"}) {
      const std::vector<std::string> all = same_patterns(text, order);
      ASSERT_GT(all.size(), 1U) << text << order;
      std::map<std::string, int> drawn;
      const int draws = 400 * static_cast<int>(all.size());
      AnswerSegment segment = segment_of(text);
      for (int i = 0; i < draws; ++i) {
        shuffle_keeping_patterns(segment, order, random);
        ++drawn[text_of(segment)];
      }
      double chi_squared = 0;
      for (const std::string& one : all) chi_squared += std::pow(drawn[one] - 400.0, 2) / 400;
      EXPECT_EQ(drawn.size(), all.size()) << text << order;
      EXPECT_GT(chi_squared_above(chi_squared, static_cast<double>(all.size() - 1)), 1e-4)
          << text << order;
    }
  }
}

TEST(ShuffleKeepingPatterns, KeepsPatternsOfLongSegments) {
  RandomStream random(2, "shuffle");
  for (std::size_t order = 1; order <= kHighestOrder; ++order) {
    for (const double same : {0.02, 0.5, 0.97}) {
      const AnswerSegment segment = chain(1, same, 300, random);
      AnswerSegment shuffled = segment;
      shuffle_keeping_patterns(shuffled, order, random);
      EXPECT_EQ(patterns_of(text_of(shuffled), order), patterns_of(text_of(segment), order));
      const std::size_t kept = order - 1;
      EXPECT_EQ(text_of(shuffled).substr(0, kept), text_of(segment).substr(0, kept));
      EXPECT_EQ(text_of(shuffled).substr(300 - kept), text_of(segment).substr(300 - kept));
    }
  }
}

TEST(ShuffleKeepingPatterns, LeavesWhatCannotBeChanged) {
  RandomStream random(3, "shuffle");
  for (const std::string text : {"", "1", "01", "0000", "0001111"}) {
    AnswerSegment segment = segment_of(text);
    shuffle_keeping_patterns(segment, 2, random);
    EXPECT_EQ(text_of(segment), text);
  }
}

TEST(OrderPermutationTest, IsRightWhereTheHypothesisHoldsAndFindsWhereItDoesNot) {
  RandomStream random(4, "sources");
  int rejected = 0;
  int found = 0;
  for (std::uint64_t source = 0; source < 200; ++source) {
    const PermutationOptions options{.permutations = 199, .seed = source};
    const std::vector<AnswerSegment> of_order_1{chain(1, 0.7, 16, random),
                                                chain(1, 0.7, 16, random)};
    rejected += order_permutation_test(of_order_1, 2, "a", options).p <= 0.05 ? 1 : 0;
    const std::vector<AnswerSegment> of_order_2{chain(2, 0.15, 16, random),
                                                chain(2, 0.15, 16, random)};
    found += order_permutation_test(of_order_2, 2, "a", options).p <= 0.05 ? 1 : 0;
  }
  EXPECT_LE(rejected, 22) << "10 are expected, 3 standard deviations are 9";
  EXPECT_GT(found, 120);
}

TEST(OrderPermutationTest, IsTheSameForASeedAndHasTheStatisticOfTheOrderTest) {
  RandomStream random(5, "sources");
  const std::vector<AnswerSegment> segments{chain(1, 0.4, 12, random), chain(1, 0.4, 9, random)};
  DecisionCounts counts;
  for (const AnswerSegment& segment : segments) {
    counts.add_series(std::vector<std::int8_t>(segment.begin(), segment.end()));
  }
  const TestResult first = order_permutation_test(segments, 2, "a", {.permutations = 99});
  EXPECT_EQ(first.p, order_permutation_test(segments, 2, "a", {.permutations = 99}).p);
  EXPECT_TRUE(first.exact);
  EXPECT_DOUBLE_EQ(first.statistic, order_test(counts, 2).g_squared.statistic);
  EXPECT_GE(first.p, 0.01);
}

TEST(OrderPermutationTest, IsNotDefinedWithoutVariation) {
  const std::vector<AnswerSegment> constant{AnswerSegment(20, true)};
  EXPECT_FALSE(order_permutation_test(constant, 2, "a").defined());
  EXPECT_FALSE(order_permutation_test({}, 2, "a").defined());
}

TEST(AppendSegments, SplitsWhereAnAnswerIsInvalid) {
  std::vector<AnswerSegment> segments;
  append_segments(std::vector<std::int8_t>{1, 0, -1, -1, 1, 1}, segments);
  append_segments(std::vector<std::int8_t>{1, 0, 1}, segments);  // too short to tell of order
  ASSERT_EQ(segments.size(), 2U);
  EXPECT_EQ(text_of(segments[0]), "10");
  EXPECT_EQ(text_of(segments[1]), "11");
}

}  // namespace
}  // namespace amalgam::scores
