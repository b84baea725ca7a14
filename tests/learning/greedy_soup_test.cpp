#include "amalgam/weights/learned/greedy_soup.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "amalgam/core/error.hpp"

namespace amalgam::learned {
namespace {

using testing::ElementsAre;

// Members are single numbers; the score of an average theta is -(theta - 1)^2.
SoupScore parabola(std::vector<double> members) {
  return [members = std::move(members)](std::span<const std::size_t> chosen) {
    double sum = 0;
    for (const std::size_t member : chosen) sum += members[member];
    const double theta = sum / static_cast<double>(chosen.size());
    return -(theta - 1) * (theta - 1);
  };
}

TEST(GreedySoup, FollowsTheWorkedTrace) {
  const GreedySoup soup = greedy_soup(4, parabola({1.3, 0.6, 1.5, 0}));
  EXPECT_THAT(soup.ingredients, ElementsAre(0, 1));
  EXPECT_NEAR(soup.score, -0.0025, 1e-12);
  ASSERT_EQ(soup.trials.size(), 4U);
  EXPECT_NEAR(soup.trials[1].score, -0.0025, 1e-12);
  EXPECT_TRUE(soup.trials[1].accepted);
  EXPECT_NEAR(soup.trials[2].score, -0.017778, 1e-6);
  EXPECT_FALSE(soup.trials[2].accepted);
  EXPECT_NEAR(soup.trials[3].score, -0.134444, 1e-6);
  EXPECT_FALSE(soup.trials[3].accepted);
  EXPECT_NEAR(soup.trials[3].before, -0.0025, 1e-12);
}

TEST(GreedySoup, TriesMembersInTheOrderOfTheirScores) {
  const GreedySoup soup = greedy_soup(4, parabola({0, 1.5, 0.6, 1.3}));
  std::vector<std::size_t> order;
  for (const SoupTrial& trial : soup.trials) order.push_back(trial.member);
  EXPECT_THAT(order, ElementsAre(3, 2, 1, 0));
  EXPECT_THAT(soup.ingredients, ElementsAre(3, 2));
}

TEST(GreedySoup, KeepsADuplicateUnlessStrict) {
  EXPECT_THAT(greedy_soup(2, parabola({1.3, 1.3})).ingredients, ElementsAre(0, 1));
  EXPECT_THAT(greedy_soup(2, parabola({1.3, 1.3}), {.strict = true}).ingredients, ElementsAre(0));
}

// Members 1.3, .6, 1.5, 0: after .95 of the first pass only 0 and 1.5 are left, and neither helps.
TEST(GreedySoup, PassesEndWhenNothingChanges) {
  const GreedySoup soup = greedy_soup(4, parabola({1.3, 0.6, 1.5, 0}), {.passes = 9});
  EXPECT_THAT(soup.ingredients, ElementsAre(0, 1));
  EXPECT_EQ(soup.trials.size(), 6U);  // four, and two more in the second pass
}

// Member 1 helps only once 2 is in.
TEST(GreedySoup, ASecondPassTriesAgainWhatWasLeftOut) {
  const SoupScore score = [](std::span<const std::size_t> chosen) {
    // {0}: 3, {1}: 2, {2}: 1, {0,1}: 0, {0,2}: 4, {0,2,1}: 5.
    if (chosen.size() == 1) return 3.0 - static_cast<double>(chosen[0]);
    if (chosen.size() == 3) return 5.0;
    return chosen[1] == 1 ? 0.0 : 4.0;
  };
  EXPECT_THAT(greedy_soup(3, score).ingredients, ElementsAre(0, 2));
  EXPECT_THAT(greedy_soup(3, score, {.passes = 2}).ingredients, ElementsAre(0, 2, 1));
}

// The mean of all four is .85; without 0 it is 1.1333 and better, then without 1.5 .95 and better
// again; .6 and 1.3 stay.
TEST(GreedySoup, PrunedBeginsWithAllAndDropsWhatHurts) {
  const GreedySoup soup = greedy_soup(4, parabola({1.3, 0.6, 1.5, 0}), {.pruned = true});
  EXPECT_NEAR(soup.start, -(.85 - 1) * (.85 - 1), 1e-12);
  ASSERT_EQ(soup.trials.size(), 4U);
  EXPECT_EQ(soup.trials[0].member, 3U);  // the worst alone comes first
  EXPECT_TRUE(soup.trials[0].accepted);
  EXPECT_NEAR(soup.trials[0].score, -.017778, 1e-6);
  EXPECT_THAT(soup.ingredients, ElementsAre(0, 1));
  EXPECT_NEAR(soup.score, -.0025, 1e-12);
}

TEST(GreedySoup, PrunedKeepsDuplicatesAndOneMember) {
  EXPECT_THAT(greedy_soup(2, parabola({1.3, 1.3}), {.pruned = true}).ingredients,
              ElementsAre(0, 1));
  EXPECT_THAT(greedy_soup(2, parabola({1, 9}), {.passes = 5, .pruned = true}).ingredients,
              ElementsAre(0));
}

TEST(GreedySoup, RandomOrderIsAFunctionOfTheSeed) {
  const auto order = [](std::uint64_t seed) {
    std::vector<std::size_t> members;
    const GreedySoup soup = greedy_soup(8, parabola({0, 1, 2, 3, 4, 5, 6, 7}),
                                        {.order = GreedySoupOptions::Order::random, .seed = seed});
    for (const SoupTrial& trial : soup.trials) members.push_back(trial.member);
    return members;
  };
  EXPECT_EQ(order(1), order(1));
  EXPECT_NE(order(1), order(2));
  EXPECT_THAT(order(1), testing::UnorderedElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
}

TEST(GreedySoup, LeavesOutWhatCannotBeScored) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const SoupScore score = [&](std::span<const std::size_t> chosen) {
    return std::find(chosen.begin(), chosen.end(), 1U) != chosen.end() ? nan : 0.5;
  };
  EXPECT_THAT(greedy_soup(3, score).ingredients, ElementsAre(0, 2));
  EXPECT_THROW(greedy_soup(1, [&](auto) { return nan; }), InputError);
}

RC_GTEST_PROP(GreedySoup, IsNeverWorseThanTheBestMember, (std::vector<int> raw)) {
  RC_PRE(!raw.empty());
  const std::size_t members = std::min<std::size_t>(raw.size(), 8);
  // Any score at all: a fixed pseudo-random function of the set.
  const SoupScore score = [&](std::span<const std::size_t> chosen) {
    std::uint64_t hash = 7;
    for (const std::size_t member : chosen) {
      hash = hash * 1'000'003 + static_cast<std::uint64_t>(raw[member]) + member;
    }
    return static_cast<double>(hash % 1000);
  };
  const GreedySoup soup = greedy_soup(members, score);
  double best = -1;
  for (std::size_t i = 0; i < members; ++i) best = std::max(best, score(std::span(&i, 1)));
  RC_ASSERT(soup.score >= best);
  RC_ASSERT(soup.score == score(soup.ingredients));
}

TEST(AverageInMemory, IsTheMeanOfTheMembers) {
  std::vector<std::shared_ptr<const TensorSource>> sources;
  for (const double shift : {0.0, 2.0, 7.0}) {
    std::vector<MemoryTensor> tensors;
    tensors.push_back(make_tensor("w", {2}, {1 + shift, 2 - shift}));
    sources.push_back(std::make_shared<MemorySource>("member", std::move(tensors)));
  }
  const auto average = average_in_memory(sources, {});
  EXPECT_THAT(values_of(*average, "w"), ElementsAre(4, -1));
}

TEST(AverageInMemory, RefusesMembersThatDoNotFit) {
  std::vector<std::shared_ptr<const TensorSource>> sources;
  for (const std::uint64_t size : {2U, 3U}) {
    std::vector<MemoryTensor> tensors;
    tensors.push_back(make_tensor("w", {size}, std::vector<double>(size, 1.0)));
    sources.push_back(std::make_shared<MemorySource>("member", std::move(tensors)));
  }
  EXPECT_THROW(average_in_memory(sources, {}), InputError);
}

}  // namespace
}  // namespace amalgam::learned
