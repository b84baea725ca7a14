// Training, and merging by methods that look at data, from the command line, on a small image set.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
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

// A member with a NaN, as after a training run that went wrong.
class BrokenMember : public LearnedMergeCommand {
 protected:
  void SetUp() override {
    LearnedMergeCommand::SetUp();
    if (IsSkipped()) return;
    std::string bytes = contents_of(member("b"));
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), sizeof header);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::memcpy(bytes.data() + sizeof header + header, &nan, sizeof nan);
    std::ofstream(member("broken"), std::ios::binary) << bytes;
  }
  std::vector<std::string> merging(const std::string& method) const {
    return {"merge",          "-m",     method,       "--base", member("base"),         member("a"),
            member("broken"), "--data", path("data"), "-o",     path("out.safetensors")};
  }
};

TEST_F(BrokenMember, IsRefusedByNameAndNothingIsWritten) {
  for (const char* method : {"adamerging", "learned_soup", "pleas", "zipit"}) {
    std::vector<std::string> words = merging(method);
    if (method != std::string("adamerging")) words.erase(words.begin() + 3, words.begin() + 5);
    expect_bad_usage(run_amalgam(words), "broken.safetensors: tensor 'layers.0.bias' has NaN");
    EXPECT_FALSE(fs::exists(folder_ / "out.safetensors")) << method;
  }
  std::vector<std::string> strict = merging("frank_wolfe");
  strict.insert(strict.end(), {"-p", "strict=true"});
  expect_bad_usage(run_amalgam(strict), "broken.safetensors: tensor 'layers.0.bias' has NaN");
  expect_bad_usage(run_amalgam({"gram", member("broken"), "--data", path("data"), "-o",
                                path("out.safetensors")}),
                   "has NaN at index 0");
}

TEST_F(BrokenMember, IsLeftOutOfSoupsAndPoolsWithAWarning) {
  const json soup = merge("greedy_soup", {member("broken")});
  EXPECT_EQ(soup["ingredients"].size() + soup["left_out"].size(), 3U) << soup;
  EXPECT_EQ(soup["left_out"][0]["file"], member("broken"));

  // Of a pool what is of another kind is left out as well.
  std::ofstream(folder_ / "wide.yml")
      << "network: {architecture: mlp, hidden: [9]}\ndata: {set: " << path("data")
      << "}\nepochs: 1\n";
  succeed({"train", path("wide.yml"), "-o", member("wide"), "--quiet"});
  const RunResult run =
      succeed({"merge", "-m", "frank_wolfe", "--base", member("base"), member("broken"),
               member("a"), member("wide"), "--data", path("data"), "-p", "iterations=3", "-p",
               "granularity=whole", "--json", "-o", path("moved.safetensors")});
  EXPECT_NE(run.err.find("broken.safetensors"), std::string::npos) << run.err;
  const json moved = json::parse(run.out);
  ASSERT_EQ(moved["left_out"].size(), 2U) << moved;
  EXPECT_EQ(moved["vertices"], (json{member("a"), "start"}));
  const json& shares = moved["shares"][0]["values"];
  EXPECT_NEAR(shares[0].get<double>() + shares[1].get<double>(), 1, 1e-12);
  EXPECT_EQ(moved["trajectory"][0]["scores"].size(), 1U);
  // The warning of the member comes before the error.
  const RunResult none =
      run_amalgam({"merge", "-m", "frank_wolfe", "--base", member("base"), member("broken"),
                   "--data", path("data"), "-o", path("none.safetensors")});
  EXPECT_EQ(none.code, 2);
  EXPECT_NE(none.err.find("no member is left"), std::string::npos) << none.err;
}

TEST_F(BrokenMember, IsWarnedOfWhenItIsEvaluated) {
  const RunResult run = succeed({"evaluate", member("broken"), "--data", path("data"), "--json"});
  EXPECT_NE(run.err.find("predictions of 200 of 200 examples are not finite"), std::string::npos)
      << run.err;
  EXPECT_TRUE(json::parse(run.out)["results"][0]["nll"].is_null());
}

TEST_F(LearnedMergeCommand, SoupsArePrunedOrStirredInPasses) {
  const json pruned = merge("greedy_soup", {member("base"), "-p", "pruned=true"});
  EXPECT_GE(pruned["score"].get<double>(), pruned["start"].get<double>());
  const json stirred = merge("greedy_soup", {member("base"), "-p", "order=random", "-p", "passes=3",
                                             "--seed", "4", "--overwrite"});
  EXPECT_GE(stirred["trials"].size(), 3U);
  EXPECT_EQ(stirred["trials"][0]["score"], stirred["start"]);
}

TEST_F(LearnedMergeCommand, FrankWolfeStepsAwayAndKeepsTheBestPoint) {
  for (const char* direction : {"away", "pairwise"}) {
    const json moved =
        merge("frank_wolfe", {"--base", member("base"), "-p", std::string("direction=") + direction,
                              "-p", "keep_best=true", "-p", "gradient_batch=100", "--overwrite"});
    EXPECT_LE(moved["objective"].get<double>(), moved["trajectory"][0]["objective"]);
    EXPECT_EQ(moved["trajectory"][0]["away"].size(), moved["trajectory"][0]["picks"].size());
  }
  expect_bad_usage(run_amalgam({"merge", "-m", "frank_wolfe", "--base", member("base"), member("a"),
                                "--data", path("data"), "-p", "direction=away", "-p", "inner=ties",
                                "-o", path("out.safetensors")}),
                   "by task arithmetic only");
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
