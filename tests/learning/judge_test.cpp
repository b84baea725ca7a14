// How claims are judged on several seeds.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/experiments/experiment.hpp"

namespace amalgam::experiments {
namespace {

std::vector<Figures> seeds_of(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<Figures> seeds;
  for (std::size_t i = 0; i < a.size(); ++i) seeds.push_back({{"a", a[i]}, {"b", b[i]}});
  return seeds;
}

Claim claim(Claim::Kind kind, double margin, bool primary = true) {
  return {.text = "a above b",
          .kind = kind,
          .difference = difference("a", "b"),
          .margin = margin,
          .primary = primary};
}

// Differences 1, 2, 3, 4, 5: mean 3, s = sqrt(2.5), standard error sqrt(0.5); t(0.975, 4) = 2.776.
TEST(Judge, MeasuresPairedDifferencesWithStudentsInterval) {
  const auto seeds = seeds_of({2, 4, 6, 8, 10}, {1, 2, 3, 4, 5});
  const std::vector<Claim> claims{claim(Claim::Kind::at_least, 0)};
  const JudgedClaim judged = judge(claims, seeds).front();
  EXPECT_DOUBLE_EQ(judged.measured, 3);
  EXPECT_NEAR(judged.interval.low, 3 - 2.776445 * 0.7071068, 1e-5);
  EXPECT_NEAR(judged.interval.high, 3 + 2.776445 * 0.7071068, 1e-5);
  // t = 3 / 0.7071 = 4.2426 with 4 degrees of freedom, one-sided.
  EXPECT_NEAR(judged.p, 0.006617, 1e-5);
  EXPECT_TRUE(judged.holds);
  EXPECT_EQ(judged.seeds_holding, 5U);
}

TEST(Judge, TheMarginMustBeExceeded) {
  const auto seeds = seeds_of({2, 4, 6, 8, 10}, {1, 2, 3, 4, 5});
  const std::vector<Claim> claims{claim(Claim::Kind::at_least, 3)};
  const JudgedClaim judged = judge(claims, seeds).front();
  EXPECT_NEAR(judged.p, 0.5, 1e-12);
  EXPECT_FALSE(judged.holds);
  EXPECT_EQ(judged.seeds_holding, 3U);
}

TEST(Judge, EquivalenceNeedsBothSides) {
  const auto seeds = seeds_of({1, 1.01, .99, 1.02, .98}, {1, 1, 1, 1, 1});
  const std::vector<Claim> claims{claim(Claim::Kind::within, .05),
                                  claim(Claim::Kind::within, .001)};
  const auto judged = judge(claims, seeds);
  EXPECT_TRUE(judged[0].holds);
  EXPECT_FALSE(judged[1].holds);
}

TEST(Judge, AlwaysMeansEverySeed) {
  const std::vector<Claim> claims{claim(Claim::Kind::always, 0)};
  EXPECT_TRUE(judge(claims, seeds_of({1, 1}, {1, 0})).front().holds);
  const JudgedClaim judged = judge(claims, seeds_of({1, 1, 0}, {1, 0, 1})).front();
  EXPECT_FALSE(judged.holds);
  EXPECT_EQ(judged.seeds_holding, 2U);
}

TEST(Judge, HolmCountsPrimaryClaimsOnly) {
  const auto seeds = seeds_of({2, 4, 6, 8, 10}, {1, 2, 3, 4, 5});
  const std::vector<Claim> claims{claim(Claim::Kind::at_least, 0), claim(Claim::Kind::at_least, 1),
                                  claim(Claim::Kind::at_least, 1, /*primary=*/false)};
  const auto judged = judge(claims, seeds);
  EXPECT_DOUBLE_EQ(judged[0].adjusted_p, 2 * judged[0].p);
  EXPECT_DOUBLE_EQ(judged[1].adjusted_p, judged[1].p);
  EXPECT_DOUBLE_EQ(judged[2].adjusted_p, judged[2].p);
}

TEST(Judge, EqualDifferencesNeedNoTest) {
  const std::vector<Claim> claims{claim(Claim::Kind::at_least, .5),
                                  claim(Claim::Kind::at_least, 1.5)};
  const auto judged = judge(claims, seeds_of({2, 3}, {1, 2}));
  EXPECT_TRUE(judged[0].holds);
  EXPECT_FALSE(judged[1].holds);
}

TEST(Judge, OneSeedShowsNothing) {
  const std::vector<Claim> claims{claim(Claim::Kind::at_least, 0)};
  EXPECT_FALSE(judge(claims, seeds_of({2}, {1})).front().holds);
  EXPECT_THROW(judge(claims, {}), Error);
}

TEST(Experiments, HaveUniqueSlugsClaimsAndRows) {
  std::set<std::string> slugs;
  for (const Experiment* experiment : all_experiments()) {
    EXPECT_TRUE(slugs.insert(experiment->slug).second) << experiment->slug;
    EXPECT_FALSE(experiment->rows.empty()) << experiment->slug;
    EXPECT_TRUE(std::any_of(experiment->claims.begin(), experiment->claims.end(),
                            [](const Claim& one) { return one.primary; }))
        << experiment->slug;
    EXPECT_EQ(&find_experiment(experiment->slug), experiment);
  }
  EXPECT_THROW(find_experiment("model-soup"), InputError);
}

}  // namespace
}  // namespace amalgam::experiments
