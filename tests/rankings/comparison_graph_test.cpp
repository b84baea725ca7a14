#include "amalgam/scores/strength/comparison_graph.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "amalgam/core/error.hpp"
#include "tests/rankings/votes.hpp"

namespace amalgam::scores {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::ThrowsMessage;

ComparisonGraph graph(std::size_t systems,
                      const std::vector<std::pair<std::size_t, std::size_t>>& wins) {
  ComparisonGraph result(systems);
  for (const auto& [winner, loser] : wins) result.add(winner, loser);
  return result;
}

TEST(StrongComponents, AreNumberedFromTheBest) {
  // a beats b; b and c beat each other; both beat d.
  const Components components =
      strong_components(graph(4, {{0, 1}, {1, 2}, {2, 1}, {1, 3}, {2, 3}}));
  EXPECT_EQ(components.count, 3U);
  EXPECT_THAT(components.group, ElementsAre(0, 1, 1, 2));
}

TEST(StrongComponents, FindACycleOfAllAndALongChain) {
  constexpr std::size_t kSystems = 3000;
  ComparisonGraph chain(kSystems);
  for (std::size_t i = 0; i + 1 < kSystems; ++i) chain.add(i, i + 1);
  EXPECT_EQ(strong_components(chain).count, kSystems);
  EXPECT_EQ(strong_components(chain).group.back(), kSystems - 1);
  chain.add(kSystems - 1, 0);
  EXPECT_EQ(strong_components(chain).count, 1U);
}

// Against reachability by definition.
TEST(StrongComponents, AreMutualReachability) {
  RandomStream random(1, "graphs");
  for (int round = 0; round < 200; ++round) {
    const std::size_t n = 2 + random.below(7);
    ComparisonGraph wins(n);
    std::vector<char> reach(n * n);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) {
        if (i == j || random.uniform() < 0.75) continue;
        wins.add(i, j);
        reach[i * n + j] = 1;
      }
    }
    for (std::size_t k = 0; k < n; ++k) {
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j) reach[i * n + j] |= reach[i * n + k] & reach[k * n + j];
      }
    }
    const Components strong = strong_components(wins);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) {
        if (i == j) continue;
        const bool mutual = reach[i * n + j] != 0 && reach[j * n + i] != 0;
        EXPECT_EQ(strong.group[i] == strong.group[j], mutual);
        if (!mutual && reach[i * n + j] != 0) EXPECT_LT(strong.group[i], strong.group[j]);
      }
    }
  }
}

TEST(Identify, IsSilentWhereEveryoneIsLinkedBothWays) {
  const Identification identified = identify(graph(2, {{0, 1}, {1, 0}}), letters(2), std::nullopt);
  EXPECT_THAT(identified.systems, ElementsAre(0, 1));
  EXPECT_EQ(identified.pseudo_votes, 0);
  EXPECT_THAT(identified.warnings, IsEmpty());
}

TEST(Identify, NamesTheGroupsOfADisconnectedGraph) {
  const ComparisonGraph wins = graph(5, {{0, 1}, {1, 0}, {2, 3}, {3, 2}, {4, 2}});
  EXPECT_THAT([&] { identify(wins, letters(5), std::nullopt); },
              ThrowsMessage<InputError>(AllOf(HasSubstr("disconnected"), HasSubstr("2 groups"),
                                              HasSubstr("{a, b}, {c, d, e}"),
                                              HasSubstr("cannot be compared"))));
  const Identification asked = identify(wins, letters(5), 0.5);
  EXPECT_EQ(asked.pseudo_votes, 0.5);
  EXPECT_THAT(asked.groups, ElementsAre(0, 0, 1, 1, 1));
  EXPECT_THAT(asked.warnings, ElementsAre(HasSubstr("{a, b}, {c, d, e}")));
}

TEST(Identify, AddsPseudoVotesWithAWarningWhereStrengthsWouldBeInfinite) {
  // Nobody ever beats a; c and d beat each other and nobody else.
  const ComparisonGraph wins = graph(4, {{0, 1}, {1, 2}, {2, 3}, {3, 2}});
  const Identification identified = identify(wins, letters(4), std::nullopt);
  EXPECT_EQ(identified.pseudo_votes, kAutomaticPseudoVotes);
  EXPECT_THAT(identified.groups, ElementsAre(0, 1, 2, 2));
  EXPECT_THAT(identified.warnings, ElementsAre(AllOf(HasSubstr("not strongly connected"),
                                                     HasSubstr("{a}, {b}, {c, d}"))));
  EXPECT_THAT([&] { identify(wins, letters(4), 0.0); },
              ThrowsMessage<InputError>(
                  AllOf(HasSubstr("not strongly connected"), HasSubstr("{a}, {b}, {c, d}"))));
}

TEST(Identify, LeavesOutWhoWasNeverCompared) {
  const Identification identified = identify(graph(3, {{0, 2}, {2, 0}}), letters(3), std::nullopt);
  EXPECT_THAT(identified.systems, ElementsAre(0, 2));
  EXPECT_THAT(identified.warnings, ElementsAre(HasSubstr("never compared with another one")));
  EXPECT_THAT([] { identify(ComparisonGraph(3), letters(3), std::nullopt); },
              ThrowsMessage<InputError>(HasSubstr("no two systems were compared")));
}

TEST(DescribeComponents, CutsLongLists) {
  StringPool names;
  Components components;
  for (std::uint32_t i = 0; i < 40; ++i) {
    names.add("system " + std::to_string(i));
    components.group.push_back(i < 20 ? 0 : i - 19);
  }
  components.count = 21;
  const std::string text = describe_components(components, names);
  EXPECT_THAT(text, HasSubstr("system 7 and 12 more}"));
  EXPECT_THAT(text, HasSubstr("and 15 more groups"));
}

}  // namespace
}  // namespace amalgam::scores
