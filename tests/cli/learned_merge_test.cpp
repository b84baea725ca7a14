// Training, and merging by methods that look at data, from the command line, on a small image set.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/learned_merge_fixture.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

TEST_F(LearnedMergeCommand, EveryMethodMakesANetworkThatWorks) {
  EXPECT_EQ(merge("greedy_soup", {"-p", "strict=true"})["trials"].size(), 2U);
  const json soup = merge("learned_soup", {"-p", "granularity=whole"});
  EXPECT_NEAR(soup["coefficients"][0]["values"][0].get<double>() +
                  soup["coefficients"][0]["values"][1].get<double>(),
              1, 1e-9);
  const json adapted = merge("adamerging", {"--base", member("base"), "-p", "steps=10", "--task",
                                            "shift=1", "--task", "noise=0.1"});
  EXPECT_EQ(adapted["entropy_after"].size(), 2U);
  EXPECT_EQ(
      merge("frank_wolfe", {"--base", member("base"), "-p", "iterations=3"})["trajectory"].size(),
      3U);
  merge("frank_wolfe", {"--base", member("base"), "-p", "variant=soft", "-p", "iterations=1", "-p",
                        "steps=5", "--overwrite"});
  for (const char* name : {"a", "b"}) {
    succeed({"gram", member(name), "-o", path(name + std::string(".gram.safetensors")), "--data",
             path("data"), "--quiet"});
  }
  // What it needs of the data is in the Gram files.
  const std::string grams = "gram=" + path("a.gram.safetensors") + "," + path("b.gram.safetensors");
  succeed({"merge", "-m", "regmean", member("a"), member("b"), "-p", grams, "-o",
           path("regmean.safetensors")});
  expect_bad_usage(run_amalgam({"merge", "-m", "regmean", member("a"), member("b"), "-p", grams,
                                "--data", path("data"), "-o", path("no.safetensors")}),
                   "'regmean' looks at no data");
  EXPECT_EQ(merge("pleas", {"-p", "budget=1.2"})["groups"].size(), 1U);
  EXPECT_EQ(merge("zipit", {"-p", "beta=0.5"})["groups"][0]["into"].size(), 2U);
  for (const char* name :
       {"greedy_soup", "learned_soup", "adamerging", "frank_wolfe", "regmean", "pleas", "zipit"}) {
    EXPECT_GT(accuracy(name), .8) << name;
  }
}

// The documented example has a recipe with a network and starts from a checkpoint all the same.
TEST_F(LearnedMergeCommand, AStartGivenToTrainTakesThePlaceOfTheRecipesNetwork) {
  succeed({"train", path("recipe.yml"), "--init", path("base.safetensors"), "--set",
           "optimizer.learning_rate=0.01", "-o", path("tuned.safetensors"), "--quiet"});
  const json best = json::parse(succeed({"evaluate", member("a"), path("tuned.safetensors"),
                                         "--data", path("data"), "--best", "--json"})
                                    .out);
  EXPECT_TRUE(best["best"]["name"].is_string());
}

TEST_F(LearnedMergeCommand, OutputsAreNoInputsAndCountsAreNotNegative) {
  expect_bad_usage(run_amalgam({"fisher", member("a"), "-o", member("a"), "--overwrite", "--data",
                                path("data")}),
                   "the output is also an input");
  expect_bad_usage(run_amalgam({"evaluate", member("a"), "--examples", "-1"}), "-1");
  expect_bad_usage(run_amalgam({"merge", "-m", "linear", member("a"), "-p", "weight=1", "-o",
                                path("x.safetensors"), "--seed", "-1"}),
                   "-1");
}

TEST_F(LearnedMergeCommand, SaysWhatIsMissing) {
  const auto refused = [&](std::vector<std::string> words, const std::string& part) {
    words.insert(words.begin(), "merge");
    words.insert(words.end(), {"--data", path("data"), "-o", path("out.safetensors")});
    expect_bad_usage(run_amalgam(words), part);
    EXPECT_FALSE(fs::exists(folder_ / "out.safetensors"));
  };
  refused({"-m", "adamerging", member("a")}, "needs a base");
  refused({"-m", "greedy_soup", member("a"), "-p", "strickt=true"}, "did you mean 'strict'");
  refused({"-m", "frank_wolfe", "--base", member("base"), member("a"), "--task", "blurr=1"},
          "did you mean 'blur'");
  expect_bad_usage(run_amalgam({"merge", "-m", "regmean", member("a"), member("b"), "-o",
                                path("out.safetensors")}),
                   "'gram'");
  expect_bad_usage(run_amalgam({"merge", "-m", "regmean", member("a"), member("b"), "-p",
                                "gram=" + member("a"), "-o", path("out.safetensors")}),
                   "one for each");
  expect_bad_usage(run_amalgam({"merge", "-m", "greedy_soup", member("a"), member("b"), "--data",
                                path("data"), "-o", member("a"), "--overwrite"}),
                   "the output is also an input");
}

}  // namespace
}  // namespace amalgam
