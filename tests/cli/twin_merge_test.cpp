// `amalgam merge --method twin_merging`, what it writes, and how that is evaluated.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/learned_merge_fixture.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class TwinMergeCommand : public LearnedMergeCommand {
 protected:
  std::vector<std::string> words(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all{"merge",
                                 "--method",
                                 "twin_merging",
                                 member("a"),
                                 member("b"),
                                 "--base",
                                 member("base"),
                                 "--data",
                                 path("data"),
                                 "--task",
                                 "shift=0",
                                 "--task",
                                 "invert",
                                 "-p",
                                 "router_epochs=30",
                                 "-p",
                                 "router_batch=32",
                                 "-p",
                                 "router_learning_rate=0.01"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

TEST_F(TwinMergeCommand, WritesASharedModelModulesAndARouterThatAreEvaluatedTogether) {
  const json merged =
      json::parse(succeed(words({"-o", path("twin"), "-p", "density=1", "--evaluate",
                                 "set=" + path("data") + ",corrupt=invert", "--json"}))
                      .out);
  EXPECT_EQ(merged["modules"].size(), 2U);
  EXPECT_GT(merged["router_accuracy"], .8);
  ASSERT_EQ(merged["evaluation"].size(), 1U);
  for (const char* file : {"shared.safetensors", "module-0.safetensors", "module-1.safetensors",
                           "router.safetensors", "twin.json"}) {
    EXPECT_TRUE(fs::exists(folder_ / "twin" / file)) << file;
  }
  // With whole modules one task's share is that expert.
  const auto judged = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all{"evaluate", path("twin"), member("a"), member("b"),
                                 "--data",   path("data"), "--json"};
    all.insert(all.end(), more.begin(), more.end());
    return json::parse(succeed(all).out)["results"];
  };
  const json tasks = json::parse(std::ifstream(folder_ / "twin" / "twin.json"))["tasks"];
  for (std::size_t k = 0; k < 2; ++k) {
    const json results = judged({"--expert", tasks[k].get<std::string>()});
    EXPECT_EQ(results[0]["accuracy"], results[1 + k]["accuracy"]);
    EXPECT_NEAR(results[0]["nll"].get<double>(), results[1 + k]["nll"].get<double>(), 1e-5);
  }
  const json routed = judged({"--corrupt", "invert"})[0];
  EXPECT_EQ(routed["accuracy"], merged["evaluation"][0]["accuracy"]);
  const json& router = routed["router"];
  EXPECT_GE(router["entropy"], 0);
  EXPECT_LE(router["entropy"], std::log(2.0));
  EXPECT_GT(router["shares"][tasks[1].get<std::string>()], .5) << "the inverted images' expert";
  EXPECT_EQ(router["without_expert"], 0);
  EXPECT_FALSE(judged({"--expert", tasks[0].get<std::string>()})[0].contains("router"));
  EXPECT_NE(succeed({"evaluate", path("twin"), "--data", path("data")})
                .out.find("entropy of the router's shares"),
            std::string::npos);
}

TEST_F(TwinMergeCommand, RefusesWhatDoesNotFit) {
  expect_bad_usage(run_amalgam(words({"-o", path("twin.safetensors")})), "is a folder");
  expect_bad_usage(run_amalgam(words({"-o", path("twin"), "--task", "contrast=2"})),
                   "3 tasks for 2 experts");
  expect_bad_usage(run_amalgam(words({"-o", path("twin"), "-p", "density=2"})), "density");
  EXPECT_FALSE(fs::exists(folder_ / "twin"));
  succeed(words({"-o", path("twin"), "--quiet"}));
  expect_bad_usage(run_amalgam(words({"-o", path("twin")})), "exists already");
  succeed(words({"-o", path("twin"), "--overwrite", "--quiet"}));
  expect_bad_usage(
      run_amalgam({"evaluate", path("twin"), "--data", path("data"), "--expert", "nobody"}),
      "no such task");
  fs::resize_file(folder_ / "twin" / "module-1.safetensors", 50);
  expect_bad_usage(run_amalgam({"evaluate", path("twin"), "--data", path("data")}),
                   "module-1.safetensors");
  std::ofstream(folder_ / "twin" / "twin.json") << "{\"format\": \"amalgam-twin-1\"}";
  expect_bad_usage(run_amalgam({"evaluate", path("twin"), "--data", path("data")}), "twin.json");
}

}  // namespace
}  // namespace amalgam
