#include "amalgam/core/assignment.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"

namespace amalgam {
namespace {

using testing::ElementsAre;

double brute_force(const std::vector<double>& entries, std::size_t n, Goal goal) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  const bool maximise = goal == Goal::maximise;
  double best = std::numeric_limits<double>::infinity() * (maximise ? -1 : 1);
  do {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += entries[i * n + order[i]];
    best = maximise ? std::max(best, sum) : std::min(best, sum);
  } while (std::ranges::next_permutation(order).found);
  return best;
}

// Of 4 1 3 / 2 0 5 / 3 2 2 the best is 4 + 5 + 2 = 11 (next: 9), the least 1 + 2 + 2 = 5.
TEST(LinearAssignment, SolvesTheWorkedExample) {
  const std::vector<double> entries{4, 1, 3, 2, 0, 5, 3, 2, 2};
  const Assignment most = linear_assignment(entries, 3, Goal::maximise);
  EXPECT_THAT(most.columns, ElementsAre(0, 2, 1));
  EXPECT_DOUBLE_EQ(most.value, 11);
  const Assignment least = linear_assignment(entries, 3, Goal::minimise);
  EXPECT_THAT(least.columns, ElementsAre(1, 0, 2));
  EXPECT_DOUBLE_EQ(least.value, 5);
}

RC_GTEST_PROP(LinearAssignment, IsAsGoodAsTheBestOfAllPermutations, (std::vector<int> raw)) {
  RC_PRE(!raw.empty());
  const std::size_t n = 1 + raw.size() % 6;
  std::vector<double> entries(n * n);
  for (std::size_t i = 0; i < entries.size(); ++i) entries[i] = raw[i % raw.size()] % 9;
  for (const Goal goal : {Goal::minimise, Goal::maximise}) {
    const Assignment found = linear_assignment(entries, n, goal);
    RC_ASSERT(found.value == brute_force(entries, n, goal));
    std::vector<std::int64_t> sorted = found.columns;
    std::ranges::sort(sorted);
    for (std::size_t j = 0; j < n; ++j) RC_ASSERT(sorted[j] == static_cast<std::int64_t>(j));
  }
}

// Costs u_i + v_j + slack, where the slack is 0 along one permutation only, so it is the best one.
TEST(LinearAssignment, FindsAPlantedPermutationOfManyUnits) {
  constexpr std::size_t kUnits = 150;
  RandomStream random(3, "planted");
  std::vector<std::int64_t> planted(kUnits);
  std::iota(planted.begin(), planted.end(), 0);
  for (std::size_t left = kUnits; left > 1; --left) {
    std::swap(planted[left - 1], planted[random.below(left)]);
  }
  std::vector<double> rows(kUnits);
  std::vector<double> columns(kUnits);
  for (std::size_t i = 0; i < kUnits; ++i) {
    rows[i] = 10 * random.normal();
    columns[i] = 10 * random.normal();
  }
  std::vector<double> entries(kUnits * kUnits);
  for (std::size_t i = 0; i < kUnits; ++i) {
    for (std::size_t j = 0; j < kUnits; ++j) {
      const bool best = planted[i] == static_cast<std::int64_t>(j);
      entries[i * kUnits + j] = rows[i] + columns[j] + (best ? 0 : 0.01 + random.uniform());
    }
  }
  EXPECT_EQ(linear_assignment(entries, kUnits, Goal::minimise).columns, planted);
  for (double& entry : entries) entry = -entry;
  EXPECT_EQ(linear_assignment(entries, kUnits, Goal::maximise).columns, planted);
}

TEST(LinearAssignment, BreaksTiesByTheLowestColumn) {
  EXPECT_THAT(linear_assignment(std::vector<double>(9, 1.0), 3, Goal::maximise).columns,
              ElementsAre(0, 1, 2));
}

TEST(LinearAssignment, RefusesWhatIsNotASquareOfNumbers) {
  EXPECT_TRUE(linear_assignment({}, 0, Goal::minimise).columns.empty());
  EXPECT_THROW(linear_assignment(std::vector<double>(6, 1.0), 3, Goal::minimise), InputError);
  std::vector<double> entries(4, 1.0);
  entries[2] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(linear_assignment(entries, 2, Goal::minimise), InputError);
  entries[2] = std::numeric_limits<double>::infinity();
  EXPECT_THROW(linear_assignment(entries, 2, Goal::maximise), InputError);
}

}  // namespace
}  // namespace amalgam
