// Training, and merging by methods that look at data, from the command line, on a small image set.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "amalgam/core/random.hpp"
#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// A folder of IDX files: 8 x 8 images whose bright quarter tells the class.
void write_images(const fs::path& folder, const std::string& prefix, std::uint32_t count,
                  std::uint64_t seed) {
  const auto header = [](std::initializer_list<std::uint32_t> sizes) {
    std::string bytes{0, 0, 8, static_cast<char>(sizes.size())};
    for (const std::uint32_t size : sizes) {
      for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(size >> shift);
    }
    return bytes;
  };
  std::string images = header({count, 8, 8});
  std::string labels = header({count});
  RandomStream random(seed, prefix);
  for (std::uint32_t n = 0; n < count; ++n) {
    const auto label = static_cast<unsigned>(random.below(4));
    labels += static_cast<char>(label);
    for (unsigned pixel = 0; pixel < 64; ++pixel) {
      const bool bright = pixel / 32 == label / 2 && pixel % 8 / 4 == label % 2;
      images += static_cast<char>((bright ? 120 : 20) + random.below(100));
    }
  }
  std::ofstream(folder / (prefix + "-images-idx3-ubyte"), std::ios::binary) << images;
  std::ofstream(folder / (prefix + "-labels-idx1-ubyte"), std::ios::binary) << labels;
}

class LearnedMergeCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    if (run_amalgam({"train", "--help"}).code != 0) {
      GTEST_SKIP() << "this build has no learning library";
    }
    fs::create_directory(folder_ / "data");
    write_images(folder_ / "data", "train", 600, 1);
    write_images(folder_ / "data", "t10k", 200, 2);
    std::ofstream(folder_ / "recipe.yml")
        << "network: {architecture: mlp, hidden: [8]}\ndata: {set: " << path("data")
        << "}\nepochs: 2\nbatch: 32\n";
    succeed({"train", path("recipe.yml"), "-o", path("base.safetensors"), "--quiet"});
    for (const char* name : {"a", "b"}) {
      succeed({"train", path("recipe.yml"), "--init", path("base.safetensors"), "--seed",
               name == std::string("a") ? "1" : "2", "-o", member(name), "--quiet"});
    }
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string member(const std::string& name) const { return path(name + ".safetensors"); }
  // Networks as small as these are fastest on one thread.
  static RunResult succeed(std::vector<std::string> words) {
    words.insert(words.end(), {"--threads", "1"});
    RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return result;
  }
  // Merges a and b, and gives what --json printed.
  json merge(const std::string& method, const std::vector<std::string>& more) const {
    std::vector<std::string> words{
        "merge",  "--method",   method,   member("a"), member("b"),
        "--data", path("data"), "--json", "-o",        path(method + ".safetensors")};
    words.insert(words.end(), more.begin(), more.end());
    return json::parse(succeed(words).out);
  }
  double accuracy(const std::string& name) const {
    const json judged =
        json::parse(succeed({"evaluate", member(name), "--data", path("data"), "--json"}).out);
    return judged["results"][0]["accuracy"];
  }

  const TemporaryFolder folder_;
};

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
  merge("regmean", {"-p", "gram=" + path("a.gram.safetensors") + "," + path("b.gram.safetensors")});
  for (const char* name : {"greedy_soup", "learned_soup", "adamerging", "frank_wolfe", "regmean"}) {
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
  refused({"-m", "regmean", member("a"), member("b")}, "'gram'");
  refused({"-m", "regmean", member("a"), member("b"), "-p", "gram=" + member("a")}, "one for each");
  refused({"-m", "frank_wolfe", "--base", member("base"), member("a"), "--task", "blurr=1"},
          "did you mean 'blur'");
  expect_bad_usage(run_amalgam({"merge", "-m", "greedy_soup", member("a"), member("b"), "--data",
                                path("data"), "-o", member("a"), "--overwrite"}),
                   "the output is also an input");
}

}  // namespace
}  // namespace amalgam
