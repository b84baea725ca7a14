#include "amalgam/scores/kemeny/precedence.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"

namespace amalgam::scores::kemeny {
namespace {

using ::testing::ElementsAre;

// Of any two systems one may precede the other, or each: parts against what can be reached.
TEST(Precedence, PartsAreStronglyConnectedAndInOrder) {
  RandomStream random(1, "parts");
  std::size_t parts_seen = 0;
  for (int trial = 0; trial < 300; ++trial) {
    const std::size_t n = 1 + random.below(12);
    Precedence arcs(n);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = i + 1; j < n; ++j) {
        // Mostly from the smaller to the larger, so that there are several parts.
        const std::uint64_t way = random.below(12);
        if (way > 0) arcs.add(i, j);
        if (way < 2) arcs.add(j, i);
      }
    }
    const auto parts = parts_in_order(
        n, [&](std::size_t before, std::size_t after) { return arcs.before(before, after); });
    Precedence reach = arcs;
    reach.close();
    std::vector<std::size_t> part_of(n, n);
    for (std::size_t part = 0; part < parts.size(); ++part) {
      for (const System system : parts[part]) part_of[system] = part;
    }
    for (std::size_t i = 0; i < n; ++i) {
      ASSERT_LT(part_of[i], n);
      for (std::size_t j = 0; j < n; ++j) {
        if (i == j) continue;
        const bool together = reach.before(i, j) && reach.before(j, i);
        EXPECT_EQ(part_of[i] == part_of[j], together);
        if (!together) EXPECT_EQ(part_of[i] < part_of[j], arcs.before(i, j));
      }
    }
    parts_seen += parts.size();
  }
  EXPECT_GT(parts_seen, 400U);
}

TEST(Precedence, FirstOrderTakesTheSmallestNumberThatMayFollow) {
  Precedence precedence(4);
  precedence.add(3, 0);
  precedence.add(2, 1);
  const FirstOrder first = first_order(precedence);
  EXPECT_THAT(first.order, ElementsAre(2, 1, 3, 0));
  EXPECT_FALSE(first.only);
  precedence.add(1, 3);
  EXPECT_TRUE(first_order(precedence).only);
  precedence.add(0, 2);
  EXPECT_THROW(first_order(precedence), Error);
}

TEST(Precedence, CloseAddsWhatFollows) {
  Precedence precedence(4);
  precedence.add(2, 0);
  precedence.add(0, 3);
  precedence.add(3, 1);
  precedence.close();
  EXPECT_TRUE(precedence.before(2, 1));
  EXPECT_FALSE(precedence.before(1, 2));
  EXPECT_FALSE(precedence.is_free(2, 3));
  const Precedence part = precedence.part(std::vector<System>{1, 2});
  EXPECT_TRUE(part.before(1, 0));
}

}  // namespace
}  // namespace amalgam::scores::kemeny
