// `amalgam study`: its figures on small networks, and what it refuses.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/learned_merge_fixture.hpp"

namespace amalgam {
namespace {

using nlohmann::json;
using StudyCommand = LearnedMergeCommand;

TEST_F(StudyCommand, InterpolationHasACurveWhoseEndsAreTheNetworks) {
  const json study =
      json::parse(succeed({"study", "interpolation", member("a"), member("b"), "--data",
                           path("data"), "--shift", "noise=0.5", "--steps", "4", "--json"})
                      .out);
  ASSERT_EQ(study["places"].size(), 2U);
  const json& here = study["places"][0];
  ASSERT_EQ(here["curve"].size(), 5U);
  EXPECT_EQ(here["curve"][0]["accuracy"], accuracy("a"));
  EXPECT_EQ(here["curve"][4]["accuracy"], accuracy("b"));
  EXPECT_EQ(here["curve"][2]["accuracy"], here["weights"]["merged_accuracy"]);
  double sum = 0;
  for (const auto& [cell, share] : here["weights"]["right_first_second_merged"].items()) {
    sum += share.get<double>();
  }
  EXPECT_NEAR(sum, 1, 1e-12);
  // Logits times 1 are the plain ensemble.
  EXPECT_EQ(here["balance"][4]["accuracy"], here["outputs"]["merged_accuracy"]);
  const RunResult table = succeed(
      {"study", "interpolation", member("a"), member("b"), "--data", path("data"), "--steps", "2"});
  EXPECT_NE(table.out.find("only the merge right"), std::string::npos);
  expect_bad_usage(run_amalgam({"study", "interpolation", member("a"), path("gone.safetensors")}),
                   "gone.safetensors");
}

TEST_F(StudyCommand, InterpolationWarnsOfNetworksThatAreNoRelatives) {
  succeed({"train", path("recipe.yml"), "--seed", "78", "-o", member("other"), "--quiet"});
  const auto warned = [&](const std::string& second) {
    const RunResult run = succeed({"study", "interpolation", member("base"), member(second),
                                   "--data", path("data"), "--steps", "1"});
    return run.err.find("probably not fine-tuned from it") != std::string::npos;
  };
  EXPECT_TRUE(warned("other"));
  EXPECT_FALSE(warned("a"));
}

TEST_F(StudyCommand, SoupComparesEveryPairWithItsEnsemble) {
  // A network that is no relative of the others.
  succeed({"train", path("recipe.yml"), "--seed", "77", "-o", member("other"), "--quiet"});
  const std::vector<std::string> words{"study",     "soup",          member("base"), member("a"),
                                       member("b"), member("other"), "--data",       path("data"),
                                       "--split",   "test"};
  std::vector<std::string> with_json = words;
  with_json.emplace_back("--json");
  const json study = json::parse(succeed(with_json).out);
  ASSERT_EQ(study["pairs"].size(), 3U);
  const json& pair = study["pairs"][0];
  EXPECT_EQ(pair["members"], (json{member("a"), member("b")}));
  EXPECT_NEAR(pair["mean_error"].get<double>(), 1 - (accuracy("a") + accuracy("b")) / 2, 1e-12);
  succeed({"merge", "-m", "linear", member("a"), member("b"), "-p", "weight=1", "-o",
           member("average")});
  EXPECT_NEAR(pair["middle_error"].get<double>(), 1 - accuracy("average"), 1e-12);
  EXPECT_NEAR(pair["soup_minus_ensemble"].get<double>(),
              pair["soup_loss"].get<double>() - pair["ensemble_loss"].get<double>(), 1e-12);
  // Close to each other the soup is the ensemble; far away it is not.
  EXPECT_LT(std::abs(pair["soup_minus_ensemble"].get<double>()), .05);
  EXPECT_LT(pair["relative_distance"], study["pairs"][2]["relative_distance"]);
  EXPECT_GT(pair["angle"], 0);
  EXPECT_TRUE(study.contains("angle_and_advantage"));  // null where all advantages are equal
  EXPECT_NE(succeed(words).out.find("advantage %"), std::string::npos);
  expect_bad_usage(run_amalgam({"study", "soup", member("base"), member("a")}), "at least two");
}

TEST_F(StudyCommand, MergingHasRowsAndFindings) {
  std::ofstream(folder_ / "study.yml")
      << "tasks: [{set: " << path("data") << ", name: one}, {set: " << path("data")
      << ", corrupt: noise=0.2}]\nheld_out: [{set: " << path("data")
      << ", corrupt: invert}]\ncounts: [1, 2]\nsettings:\n";
  for (const char* base : {"strong", "weak"}) {
    std::ofstream(folder_ / "study.yml", std::ios::app)
        << "  - {base: " << base << ", size: 8, seed: 1, model: " << member("base")
        << ", experts: [" << member("a") << ", " << member("b") << "]}\n";
  }
  const json study = json::parse(succeed({"study", "merging", path("study.yml"), "--json"}).out);
  ASSERT_EQ(study["rows"].size(), 2U * 2U * 4U);
  EXPECT_EQ(study["rows"][0]["experts"].size(), 1U);
  EXPECT_EQ(study["rows"][0]["held_in"], 1);  // the average of one expert
  // The base gets no inverted image right, so nothing is relative to it.
  EXPECT_TRUE(study["rows"][0]["held_out"].is_null());
  EXPECT_EQ(study["findings"][0]["text"], "base 'weak' above base 'strong'");
  EXPECT_EQ(study["findings"][0]["estimate"], 0);  // they are the same files
  EXPECT_NE(succeed({"study", "merging", path("study.yml")}).out.find("from 1 experts to 2"),
            std::string::npos);

  std::ofstream(folder_ / "bad.yml")
      << "tasks: [{set: " << path("data") << "}]\nsettings: [{model: m, experts: [a, b]}]\n";
  expect_bad_usage(run_amalgam({"study", "merging", path("bad.yml")}), "2 experts for 1 tasks");
  std::ofstream(folder_ / "bad.yml") << "settings: []\n";
  expect_bad_usage(run_amalgam({"study", "merging", path("bad.yml")}), "tasks");
  std::ofstream(folder_ / "bad.yml") << "tasks: 3\nsettings: [{}]\n";
  expect_bad_usage(run_amalgam({"study", "merging", path("bad.yml")}), "list");
  std::ofstream(folder_ / "bad.yml") << "- 1\n";
  expect_bad_usage(run_amalgam({"study", "merging", path("bad.yml")}), "bad.yml");
}

}  // namespace
}  // namespace amalgam
