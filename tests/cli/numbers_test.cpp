// Networks that predict a number, from the command line: training, evaluation, merging.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "amalgam/core/random.hpp"
#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

using nlohmann::json;

class NumbersCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    if (run_amalgam({"train", "--help"}).code != 0) {
      GTEST_SKIP() << "this build has no learning library";
    }
    std::ofstream table(folder_ / "houses.csv");
    table << "area,age,price\n";
    RandomStream random(1, "houses");
    for (int i = 0; i < 360; ++i) {
      const double area = 100 + 30 * random.normal();
      const double age = 50 * random.uniform();
      table << fmt::format("{:.2f},{:.1f},{:.0f}\n", area, age,
                           3000 * area - 2000 * age + 5000 * random.normal());
    }
    std::ofstream(folder_ / "recipe.yml")
        << "network: {architecture: mlp, hidden: [8]}\ndata: {set: " << path("houses.csv")
        << ", target: price}\nvalidation: split\nepochs: 12\nbatch: 16\n"
        << "optimizer: {name: adam, learning_rate: 0.01}\n";
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  static json succeed(std::vector<std::string> words) {
    words.insert(words.end(), {"--threads", "1", "--json"});
    const RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return json::parse(result.out);
  }
  json train(const std::string& name, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words{"train", path("recipe.yml"), "-o", path(name)};
    words.insert(words.end(), more.begin(), more.end());
    return succeed(words);
  }

  const TemporaryFolder folder_;
};

TEST_F(NumbersCommand, AreLearnedAndJudgedInTheirOwnUnits) {
  const json trained = train("a.safetensors");
  EXPECT_GT(trained["validation"]["r2"].get<double>(), .9);
  EXPECT_TRUE(trained["epochs"][0].contains("validation_r2"));
  EXPECT_FALSE(trained["epochs"][0].contains("validation_accuracy"));
  train("b.safetensors", {"--seed", "2", "--set", "epochs=2"});

  const std::vector<std::string> both{"evaluate",    path("a.safetensors"), path("b.safetensors"),
                                      "--data",      path("houses.csv"),    "--ensemble",
                                      "--reference", path("b.safetensors")};
  const json judged = succeed(both);
  ASSERT_EQ(judged["results"].size(), 3U);
  const json& first = judged["results"][0];
  EXPECT_GT(first["r2"].get<double>(), .9);
  EXPECT_NEAR(first["rmse"].get<double>(), std::sqrt(first["mse"].get<double>()), 1e-6);
  EXPECT_GT(first["rmse"].get<double>(), 3000);
  EXPECT_LT(first["rmse"].get<double>(), 40000);
  EXPECT_LT(first["mse_difference"].get<double>(), 0);
  EXPECT_EQ(judged["results"][1]["mse_difference"], 0);
  const json best = succeed({"evaluate", path("b.safetensors"), path("a.safetensors"), "--data",
                             path("houses.csv"), "--best"});
  EXPECT_EQ(best["best"]["name"], path("a.safetensors"));
  const RunResult table =
      run_amalgam({"evaluate", path("a.safetensors"), "--data", path("houses.csv")});
  EXPECT_NE(table.out.find("rmse"), std::string::npos) << table.err;
  EXPECT_EQ(table.out.find("accuracy"), std::string::npos);
}

TEST_F(NumbersCommand, AreMergedByTheirSquaredError) {
  train("base.safetensors", {"--set", "epochs=1"});
  std::vector<std::string> words{"merge", "-m", "frank_wolfe", "--base", path("base.safetensors")};
  for (const char* seed : {"1", "2"}) {
    const std::string name = std::string("m") + seed + ".safetensors";
    train(name, {"--init", path("base.safetensors"), "--seed", seed});
    words.push_back(path(name));
  }
  words.insert(words.end(),
               {"--data", path("houses.csv"), "-p", "loss=mse", "-p", "line_search=6", "--evaluate",
                "set=" + path("houses.csv"), "-o", path("merged.safetensors")});
  const json merged = succeed(words);
  EXPECT_LT(merged["objective"].get<double>(),
            .5 * merged["trajectory"][0]["objective"].get<double>());
  EXPECT_GT(merged["evaluation"][0]["r2"].get<double>(), .9);
}

TEST_F(NumbersCommand, AreRefusedWhereClassesAreNeeded) {
  train("a.safetensors");
  train("b.safetensors", {"--seed", "2"});
  const std::string a = path("a.safetensors");
  const std::string b = path("b.safetensors");
  const auto refused = [&](std::vector<std::string> words, const std::string& part) {
    words.insert(words.end(), {"--data", path("houses.csv")});
    expect_bad_usage(run_amalgam(words), part);
  };
  const std::string out = path("out.safetensors");
  refused({"merge", "-m", "greedy_soup", a, b, "-o", out}, "'price' is a number to predict");
  refused({"merge", "-m", "adamerging", "--base", a, b, "-o", out}, "needs classes");
  refused({"merge", "-m", "frank_wolfe", "--base", a, b, "-o", out}, "needs classes");
  refused({"fisher", a, "-o", out}, "'gaussian'");
  refused({"study", "soup", a, a, b}, "this command needs classes");
  refused({"evaluate", a, "--calibrated"}, "--calibrated needs classes");
  expect_bad_usage(run_amalgam({"train", path("recipe.yml"), "--set", "label_smoothing=0.1", "-o",
                                path("c.safetensors")}),
                   "label_smoothing needs classes");
}

}  // namespace
}  // namespace amalgam
