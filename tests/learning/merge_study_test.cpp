#include "amalgam/weights/learned/merge_study.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "amalgam/core/error.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learned {
namespace {

using learning::toy_data;
using learning::toy_network;

// Cards merging-at-scale, check 10, and twin-merging, check 9.
TEST(NormalisedMean, IsRelativeToTheReferences) {
  EXPECT_NEAR(normalised_mean(std::vector<double>{.8, .6}, std::vector<double>{.9, .5}), 1.044444,
              1e-6);
  EXPECT_DOUBLE_EQ(normalised_mean(std::vector<double>{90, 45}, std::vector<double>{90, 90}), .75);
  EXPECT_NEAR(
      normalised_mean(std::vector<double>{101.06, 94.35, 97.51, 98.78, 98.06, 94.56, 99.64, 82.67},
                      std::vector<double>(8, 100.0)),
      .9583, 5e-5);
  EXPECT_THROW(normalised_mean(std::vector<double>{1}, std::vector<double>{0}), InputError);
  EXPECT_THROW(normalised_mean({}, {}), InputError);
}

StudySetting toy_setting(std::size_t experts) {
  StudySetting setting{.base = "toy", .size = 8, .seed = 3};
  setting.network = toy_network("mlp", {{"hidden", {8}}}, 1);
  for (std::size_t i = 0; i < experts; ++i) {
    setting.experts.push_back(learning::state_of(*toy_network("mlp", {{"hidden", {8}}}, 10 + i)));
    setting.validation.push_back(toy_data(40, 20 + i));
    setting.test.push_back(toy_data(50, 30 + i));
  }
  setting.held_out.push_back(toy_data(30, 50));
  return setting;
}

TEST(StudyMerges, HasARowPerSubsetAndMethod) {
  std::size_t merges = 0;
  const auto rows = study_merges(
      toy_setting(3), {.counts = {2, 3}, .subsets = 5, .after_merge = [&] { ++merges; }});
  // Three pairs (not five: there are no more) and all three at once.
  ASSERT_EQ(rows.size(), 4U * 4U);
  EXPECT_EQ(merges, 4U * (1 + 3 * 11));
  EXPECT_EQ(rows.front().experts, (std::vector<std::size_t>{0, 1}));
  EXPECT_EQ(rows.back().experts, (std::vector<std::size_t>{0, 1, 2}));
  for (const StudyRow& row : rows) {
    EXPECT_TRUE(std::isnan(row.chosen) == (row.method == "average"));
    EXPECT_GE(row.held_in_raw, 0);
    EXPECT_LE(row.held_in_raw, 1);
  }
}

// Of one expert the average is that expert, and as good.
TEST(StudyMerges, OfOneExpertByAveragingScoresOne) {
  const auto rows = study_merges(toy_setting(2), {.counts = {1}, .subsets = 2});
  for (const StudyRow& row : rows) {
    if (row.method == "average") {
      EXPECT_DOUBLE_EQ(row.held_in, 1);
    }
  }
}

TEST(StudyMerges, RefusesWhatDoesNotFit) {
  EXPECT_THROW(study_merges(toy_setting(2), {.counts = {3}}), InputError);
  EXPECT_THROW(study_merges(toy_setting(0), {.counts = {1}}), InputError);
  StudySetting setting = toy_setting(2);
  setting.test.pop_back();
  EXPECT_THROW(study_merges(setting, {.counts = {2}}), InputError);
  EXPECT_THROW(study_merges(toy_setting(2), {.methods = {}, .counts = {2}}), InputError);
}

StudyRow row(const char* base, double size, std::uint64_t seed, const char* method,
             std::vector<std::size_t> experts, double held_in) {
  return {.base = base,
          .size = size,
          .seed = seed,
          .method = method,
          .experts = std::move(experts),
          .held_in = held_in,
          .held_out = held_in + .2};
}

TEST(StudyFindings, CompareRowsThatDifferInOneThing) {
  std::vector<StudyRow> rows;
  for (const std::uint64_t seed : {1, 2}) {
    for (const double size : {32.0, 128.0}) {
      for (const std::size_t count : {2, 4}) {
        for (const char* method : {"a", "b"}) {
          std::vector<std::size_t> experts(count);
          const double score = .5 + .05 * std::log2(size / 32) - (count == 4 ? .1 : 0.0) +
                               (method[0] == 'a' ? .02 : 0.0) + .01 * static_cast<double>(seed);
          rows.push_back(row("weak", size, seed, method, experts, score));
          rows.push_back(row("strong", size, seed, method, experts, score + .3));
        }
      }
    }
  }
  const auto findings = study_findings(rows);
  ASSERT_EQ(findings.size(), 6U);
  EXPECT_EQ(findings[0].text, "base 'strong' above base 'weak'");
  EXPECT_NEAR(findings[0].estimate, .3, 1e-9);
  EXPECT_NEAR(findings[1].estimate, .05, 1e-9);
  EXPECT_NEAR(findings[2].estimate, -.1, 1e-9);
  EXPECT_NEAR(findings[3].estimate, .02, 1e-9);
  EXPECT_NEAR(findings[4].estimate, .02, 1e-9);
  // The strong base's pairs, and its four-expert merges of the larger size with method a or seed 2.
  double above = 0;
  for (const StudyRow& one : rows) above += one.held_out > 1 ? 1 : 0;
  EXPECT_NEAR(findings[5].estimate, above / static_cast<double>(rows.size()), 1e-9);
  EXPECT_TRUE(study_findings({}).empty());
}

}  // namespace
}  // namespace amalgam::learned
