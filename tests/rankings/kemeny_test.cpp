#include "amalgam/scores/kemeny/kemeny.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/scores/kemeny/cost_bounds.hpp"
#include "amalgam/scores/kemeny/dynamic_programme.hpp"
#include "amalgam/scores/kemeny/first_optimum.hpp"
#include "amalgam/scores/kemeny/integer_programme.hpp"
#include "amalgam/scores/kemeny/local_search.hpp"
#include "tests/rankings/random_votes.hpp"

namespace amalgam::scores {
namespace {

using kemeny::KemenyOptions;
using kemeny::KemenyOrder;
using kemeny::Order;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Pairs counted from rankings, best first, each given so often.
PairTable votes_of(std::size_t systems, const std::vector<std::pair<Order, double>>& rankings) {
  PairTable pairs(systems);
  for (const auto& [order, count] : rankings) {
    for (std::size_t a = 0; a < order.size(); ++a) {
      for (std::size_t b = a + 1; b < order.size(); ++b) {
        pairs.wins[order[a] * systems + order[b]] += count;
      }
    }
  }
  return pairs;
}

// A solver that is made to do without the dynamic programme over subsets.
KemenyOptions by_bounds_only() {
  KemenyOptions options;
  options.dense_systems = 2;
  return options;
}

// Why this build has none; empty if it has.
std::string no_integer_programmes() {
  std::string reason;
  const kemeny::Leads leads = kemeny::leads_of(votes_of(2, {{{0, 1}, 1}}));
  kemeny::solve_programme(leads, kemeny::Precedence(2), 0, kemeny::ProgrammeDepth::relaxation, 1,
                          reason);
  return reason;
}

void expect_equal(const KemenyOrder& solved, const BruteForce& best, const std::string& what) {
  EXPECT_EQ(solved.order, best.first) << what;
  EXPECT_NEAR(solved.certificate.objective, best.cost, 1e-9) << what;
  EXPECT_TRUE(solved.certificate.optimal) << what;
  EXPECT_NEAR(solved.certificate.bound, best.cost, 1e-9) << what;
  EXPECT_EQ(solved.certificate.unique, best.optima == 1) << what;
}

// 1,000 random tables of 2 to 7 systems with ties and gaps, gaps treated either way.
TEST(Kemeny, EqualsLookingAtEveryOrder) {
  RandomStream random(1, "brute force");
  std::size_t unique = 0;
  for (int trial = 0; trial < 1000; ++trial) {
    const RandomTable shape{.systems = 2 + random.below(6),
                            .tasks = 1 + random.below(7),
                            .levels = 2 + random.below(9),
                            .missing = 0.4 * random.uniform()};
    const ScoreTable table = random_table(shape, random);
    const Missing missing = trial % 3 == 0 ? Missing::complete : Missing::observed;
    const PairTable pairs = count_pairs(table, missing);
    const BruteForce best = brute_force(pairs);
    unique += best.optima == 1 ? 1 : 0;
    const std::string what = "trial " + std::to_string(trial);
    expect_equal(kemeny::kemeny_order(pairs), best, what);
    expect_equal(kemeny::kemeny_order(pairs, by_bounds_only()), best, what + " by bounds");
  }
  // Both kinds of tables were there.
  EXPECT_GT(unique, 100U);
  EXPECT_LT(unique, 900U);
}

TEST(Kemeny, WithoutIntegerProgrammesEqualsLookingAtEveryOrder) {
  RandomStream random(2, "brute force");
  KemenyOptions options = by_bounds_only();
  options.integer_programmes = false;
  for (int trial = 0; trial < 100; ++trial) {
    const PairTable pairs =
        count_pairs(random_table({.systems = 6, .tasks = 5, .levels = 9}, random), {});
    expect_equal(kemeny::kemeny_order(pairs, options), brute_force(pairs),
                 "trial " + std::to_string(trial));
  }
}

// Weighted votes: costs are compared up to rounding, so that equal ones are equal.
TEST(Kemeny, WeightedVotesEqualLookingAtEveryOrder) {
  RandomStream random(3, "brute force");
  for (int trial = 0; trial < 100; ++trial) {
    ScoreTable table =
        random_table({.systems = 6, .tasks = 5, .levels = 4, .missing = 0.1}, random);
    for (TaskInfo& info : table.task_infos) {
      info.weight = 0.1 * static_cast<double>(1 + random.below(5));
    }
    const PairTable pairs = count_pairs(table, Missing::observed);
    expect_equal(kemeny::kemeny_order(pairs), brute_force(pairs), "trial " + std::to_string(trial));
  }
}

// The dynamic programme is checked by looking at every order; beyond that it is the reference.
TEST(Kemeny, BoundsEqualTheDynamicProgramme) {
  RandomStream random(4, "bounds");
  for (int trial = 0; trial < 40; ++trial) {
    const std::size_t systems = 8 + random.below(5);
    const PairTable pairs = count_pairs(
        random_table({.systems = systems, .tasks = 3 + random.below(4), .levels = 12}, random), {});
    const KemenyOrder dense = kemeny::kemeny_order(pairs);
    const KemenyOrder solved = kemeny::kemeny_order(pairs, by_bounds_only());
    EXPECT_EQ(solved.order, dense.order);
    EXPECT_EQ(solved.certificate.objective, dense.certificate.objective);
    EXPECT_EQ(solved.certificate.bound, dense.certificate.bound);
    EXPECT_EQ(solved.certificate.unique, dense.certificate.unique);
  }
}

// Without the dynamic programmes, what is left is the integer programme.
TEST(Kemeny, BranchAndCutEqualsTheDynamicProgramme) {
  std::string reason = no_integer_programmes();
  if (!reason.empty()) GTEST_SKIP() << reason;
  RandomStream random(5, "branch and cut");
  std::size_t better = 0;
  for (int trial = 0; trial < 20; ++trial) {
    const PairTable pairs =
        count_pairs(random_table({.systems = 14, .tasks = 5, .levels = 30}, random), {});
    const kemeny::Leads leads = kemeny::leads_of(pairs);
    const kemeny::Optimum dense = kemeny::subset_optimum(leads);
    // The reverse order is a bad start, which leaves the search something to find.
    Order start(dense.order.rbegin(), dense.order.rend());
    const std::int64_t upper = leads.cost(start);
    const auto programme = kemeny::solve_programme(
        leads, kemeny::Precedence(14), upper, kemeny::ProgrammeDepth::branch_and_cut, 60, reason);
    ASSERT_TRUE(programme);
    EXPECT_TRUE(programme->optimal);
    ASSERT_TRUE(programme->better);
    EXPECT_EQ(leads.cost(*programme->better), dense.cost);
    EXPECT_LE(programme->bounds.bound, dense.cost);
    for (std::size_t a = 0; a < 14; ++a) {
      for (std::size_t b = a + 1; b < 14; ++b) {
        const std::size_t pair = dense.order[a] * std::size_t{14} + dense.order[b];
        EXPECT_LE(programme->bounds.with_pair[pair], dense.cost);
      }
    }
    // With the least cost known, nothing better is found, and that is said.
    const auto again = kemeny::solve_programme(leads, kemeny::Precedence(14), dense.cost,
                                               kemeny::ProgrammeDepth::branch_and_cut, 60, reason);
    EXPECT_TRUE(again->optimal);
    EXPECT_FALSE(again->better);
    ++better;
  }
  EXPECT_EQ(better, 20U);
}

// Local search, linear relaxation and branch and cut alone, which also look for other orders of
// least cost and for the first of them.
TEST(Kemeny, WithoutDynamicProgrammesIsTheSameOrder) {
  if (std::string why = no_integer_programmes(); !why.empty()) GTEST_SKIP() << why;
  RandomStream random(9, "no dynamic programme");
  KemenyOptions options = by_bounds_only();
  options.most_states = 1;
  std::size_t unique = 0;
  for (int trial = 0; trial < 40; ++trial) {
    const RandomTable shape = trial % 2 == 0
                                  ? RandomTable{.systems = 13, .tasks = 9, .levels = 1000}
                                  : RandomTable{.systems = 13, .tasks = 6, .levels = 5};
    const PairTable pairs = count_pairs(random_table(shape, random), {});
    const KemenyOrder dense = kemeny::kemeny_order(pairs);
    const KemenyOrder solved = kemeny::kemeny_order(pairs, options);
    EXPECT_EQ(solved.order, dense.order);
    EXPECT_TRUE(solved.certificate.optimal);
    EXPECT_EQ(solved.certificate.objective, dense.certificate.objective);
    EXPECT_EQ(solved.certificate.unique, dense.certificate.unique);
    EXPECT_THAT(solved.warnings, IsEmpty());
    unique += solved.certificate.unique ? 1 : 0;
  }
  EXPECT_GT(unique, 2U);
  EXPECT_LT(unique, 38U);
}

// From the last of the best orders, with searches that look at every order.
TEST(Kemeny, GoesFromAnyOptimumToTheFirst) {
  RandomStream random(10, "first");
  for (int trial = 0; trial < 100; ++trial) {
    const PairTable pairs =
        count_pairs(random_table({.systems = 6, .tasks = 4, .levels = 4}, random), {});
    const kemeny::Leads leads = kemeny::leads_of(pairs);
    const BruteForce best = brute_force(pairs);
    const std::int64_t least = leads.cost(best.first);
    const auto search = [&](const kemeny::Precedence& known) -> kemeny::Probe {
      Order order{5, 4, 3, 2, 1, 0};
      do {
        bool fits = leads.cost(order) == least;
        for (std::size_t i = 0; i < 6 && fits; ++i) {
          for (std::size_t j = 0; j < i; ++j) fits = fits && !known.before(order[i], order[j]);
        }
        if (fits) return {kemeny::Probe::Outcome::found, order};
      } while (std::ranges::prev_permutation(order).found);
      return {kemeny::Probe::Outcome::none, {}};
    };
    const Order last = search(kemeny::Precedence(6)).order;
    const auto first = kemeny::first_optimum(leads, kemeny::Precedence(6), last, search);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->order, best.first);
    EXPECT_EQ(first->unique, best.optima == 1);
    EXPECT_EQ(first->cost, least);
    // Whoever knows nothing is not made to guess, unless an exchange of two shows it all.
    const auto unknown =
        kemeny::first_optimum(leads, kemeny::Precedence(6), last,
                              [](const kemeny::Precedence& /*pairs*/) { return kemeny::Probe{}; });
    if (unknown) EXPECT_EQ(unknown->order, best.first);
  }
}

// Bounds with a pair are never above the least cost of an order with that pair.
TEST(Kemeny, CycleBoundsHold) {
  RandomStream random(6, "cycles");
  std::size_t tight = 0;
  for (int trial = 0; trial < 100; ++trial) {
    const PairTable pairs =
        count_pairs(random_table({.systems = 6, .tasks = 3, .levels = 9}, random), {});
    const kemeny::Leads leads = kemeny::leads_of(pairs);
    const kemeny::CostBounds bounds = kemeny::cycle_bounds(leads);
    Order order{0, 1, 2, 3, 4, 5};
    std::vector<std::int64_t> least(36, std::numeric_limits<std::int64_t>::max());
    do {
      const std::int64_t cost = leads.cost(order);
      for (std::size_t a = 0; a < 6; ++a) {
        for (std::size_t b = a + 1; b < 6; ++b) {
          std::int64_t& with = least[order[a] * 6 + order[b]];
          with = std::min(with, cost);
        }
      }
    } while (std::ranges::next_permutation(order).found);
    for (std::size_t pair = 0; pair < 36; ++pair) {
      if (pair / 6 != pair % 6) EXPECT_LE(bounds.with_pair[pair], least[pair]);
    }
    tight += bounds.bound == std::ranges::min(least) ? 1 : 0;
  }
  EXPECT_GT(tight, 50U);
}

// Card, check 1: B beats A 3:1, C beats B 3:1, A and C 2:2. C > B > A costs 4, the next best 6.
TEST(Kemeny, OrdersByPairsWhereTheMeanSaysTheOpposite) {
  const std::vector<double> values{50, 50, 59, 90, 51, 51, 60, 39, 52, 52, 10, 40};
  const PairTable pairs = count_pairs(make_score_table(values, 3, 4), Missing::observed);
  const KemenyOrder solved = kemeny::kemeny_order(pairs);
  EXPECT_THAT(solved.order, ElementsAre(2, 1, 0));
  EXPECT_EQ(solved.certificate.objective, 4);
  EXPECT_TRUE(solved.certificate.unique);
  EXPECT_EQ(kemeny::order_cost(pairs, Order{1, 0, 2}), 6);
}

// Card, check 2: of three optima of cost 4, ABC is the first by name.
TEST(Kemeny, TakesTheFirstOfACycle) {
  const PairTable pairs = votes_of(3, {{{0, 1, 2}, 1}, {{1, 2, 0}, 1}, {{2, 0, 1}, 1}});
  for (const KemenyOptions& options : {KemenyOptions{}, by_bounds_only()}) {
    const KemenyOrder solved = kemeny::kemeny_order(pairs, options);
    EXPECT_THAT(solved.order, ElementsAre(0, 1, 2));
    EXPECT_EQ(solved.certificate.objective, 4);
    EXPECT_TRUE(solved.certificate.optimal);
    EXPECT_FALSE(solved.certificate.unique);
    EXPECT_THAT(solved.warnings, IsEmpty());
  }
}

// Card, check 3: Borda's winner is B, Condorcet's and Kemeny's is A, at a cost of 4.
TEST(Kemeny, PrefersTheCondorcetWinner) {
  const PairTable pairs = votes_of(3, {{{0, 1, 2}, 3}, {{1, 2, 0}, 2}});
  const KemenyOrder solved = kemeny::kemeny_order(pairs);
  EXPECT_THAT(solved.order, ElementsAre(0, 1, 2));
  EXPECT_EQ(solved.certificate.objective, 4);
  EXPECT_EQ(kemeny::borda_order(kemeny::leads_of(pairs)).front(), 1U);
}

// Systems that tie everywhere, in the middle of a cycle of others: too many for any table of
// subsets, and still the first of all optima.
TEST(Kemeny, ManyEqualSystemsInACycle) {
  constexpr std::size_t kSystems = 43;
  std::vector<double> values;
  for (std::size_t system = 0; system < kSystems; ++system) {
    const bool equal = system < 40;
    const auto other = static_cast<double>(system - 40);
    values.insert(values.end(), {equal ? 1 : other, equal ? 1 : std::fmod(other + 1, 3),
                                 equal ? 1 : std::fmod(other + 2, 3)});
  }
  const PairTable pairs = count_pairs(make_score_table(values, kSystems, 3), Missing::observed);
  const KemenyOrder solved = kemeny::kemeny_order(pairs);
  EXPECT_TRUE(solved.certificate.optimal);
  EXPECT_FALSE(solved.certificate.unique);
  EXPECT_THAT(solved.warnings, IsEmpty());
  for (System system = 0; system < 40; ++system) EXPECT_EQ(solved.order[system], system);
}

// All even: every order is one of least cost.
TEST(Kemeny, NoMajorityAtAllIsTheOrderOfNames) {
  const std::vector<double> values(60, 1.0);
  const PairTable pairs = count_pairs(make_score_table(values, 30, 2), Missing::observed);
  const KemenyOrder solved = kemeny::kemeny_order(pairs);
  EXPECT_TRUE(std::ranges::is_sorted(solved.order));
  EXPECT_EQ(solved.certificate.objective, 30 * 29 / 2);
  EXPECT_TRUE(solved.certificate.optimal);
  EXPECT_FALSE(solved.certificate.unique);
}

// Random majorities of 40 systems are a hard case. With no time, the cost and bound are honest.
TEST(Kemeny, SaysWhatIsNotProven) {
  RandomStream random(7, "hard");
  const PairTable pairs =
      count_pairs(random_table({.systems = 40, .tasks = 3, .levels = 1000}, random), {});
  const KemenyOrder solved =
      kemeny::kemeny_order(pairs, {.seconds = 0, .dense_systems = 10, .most_states = 1000});
  EXPECT_FALSE(solved.certificate.optimal);
  EXPECT_FALSE(solved.certificate.unique);
  EXPECT_LT(solved.certificate.bound, solved.certificate.objective);
  EXPECT_EQ(solved.certificate.objective, kemeny::order_cost(pairs, solved.order));
  EXPECT_GE(solved.certificate.bound, kemeny::cost_floor(pairs));
  EXPECT_EQ(solved.warnings.size(), 2U);
}

TEST(Kemeny, LocalSearchEndsWhereNoInsertionHelps) {
  RandomStream random(8, "local");
  const kemeny::Leads leads = kemeny::leads_of(
      count_pairs(random_table({.systems = 30, .tasks = 5, .levels = 100}, random), {}));
  Order order = kemeny::borda_order(leads);
  const std::int64_t before = leads.cost(order);
  kemeny::improve_by_insertions(leads, order);
  const std::int64_t cost = leads.cost(order);
  EXPECT_LT(cost, before);
  for (std::size_t from = 0; from < order.size(); ++from) {
    for (std::size_t to = 0; to < order.size(); ++to) {
      Order moved = order;
      moved.erase(moved.begin() + static_cast<std::ptrdiff_t>(from));
      moved.insert(moved.begin() + static_cast<std::ptrdiff_t>(to), order[from]);
      EXPECT_GE(leads.cost(moved), cost);
    }
  }
}

}  // namespace
}  // namespace amalgam::scores
