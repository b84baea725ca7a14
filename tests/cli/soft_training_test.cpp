// From annotations to a network: `amalgam label aggregate --soft`, `train` on it, `evaluate`.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "amalgam/core/random.hpp"
#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

class SoftTraining : public ::testing::Test {
 protected:
  void SetUp() override {
    if (run_amalgam({"train", "--help"}).code != 0) {
      GTEST_SKIP() << "this build has no learning library";
    }
    // x tells the class of five rows in six; each of five workers is wrong on a fifth of the rows.
    RandomStream random(1, "rows");
    std::string rows = "id,x,noise\n";
    std::string test = "id,x,noise,truth\n";
    std::string annotations = "task,worker,label\n";
    for (int i = 0; i < 360; ++i) {
      const bool good = random.below(2) == 1;
      const std::string row = "r" + std::to_string(i) + "," +
                              std::to_string((good ? 1 : -1) + random.normal()) + "," +
                              std::to_string(random.normal());
      if (i >= 240) {
        test += row + (good ? ",good\n" : ",bad\n");
        continue;
      }
      rows += row + "\n";
      for (int w = 0; w < 5; ++w) {
        const bool said = random.below(5) == 0 ? !good : good;
        annotations +=
            "r" + std::to_string(i) + ",w" + std::to_string(w) + (said ? ",good\n" : ",bad\n");
      }
    }
    folder_.write("rows.csv", rows);
    folder_.write("test.csv", test);
    folder_.write("annotations.csv", annotations);
    run({"label", "aggregate", path("annotations.csv"), "--method", "average", "--out",
         path("labels.csv"), "--soft", path("soft.csv"), "--quiet"});
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  static RunResult run(const std::vector<std::string>& words) {
    RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return result;
  }
  void write_recipe(const std::string& network, const std::string& soft,
                    const std::string& data = "") const {
    folder_.write("recipe.yml", "network: {architecture: mlp, hidden: [8]" + network +
                                    "}\ndata: {set: " + path("rows.csv") + ", soft: {file: " +
                                    path("soft.csv") + ", task: id" + soft + "}" + data +
                                    "}\nepochs: 20\nbatch: 32\nvalidation: split\noptimizer: "
                                    "{name: adam, learning_rate: 0.02}\n");
  }
  nlohmann::ordered_json judged(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words{"evaluate",     path("net.safetensors"),
                                   "--data",       path("test.csv"),
                                   "--split",      "all",
                                   "--label",      "truth",
                                   "--calibrated", "--json",
                                   "--quiet"};
    words.insert(words.end(), more.begin(), more.end());
    return run(words).json()["results"][0];
  }

  const TemporaryFolder folder_;
};

TEST_F(SoftTraining, AnnotationsBecomeANetworkWithoutATrueLabel) {
  write_recipe("", "");
  const auto trained = run({"train", path("recipe.yml"), "-o", path("net.safetensors"), "--json",
                            "--quiet", "--threads", "1"})
                           .json();
  EXPECT_EQ(trained["examples"], 180);
  EXPECT_GT(trained["validation"]["accuracy"], 0.6);
  const auto figures = judged();
  EXPECT_EQ(figures["examples"], 120);
  EXPECT_GT(figures["accuracy"], 0.75);
  EXPECT_GT(figures["macro_f1"], 0.75);
  EXPECT_LT(figures["brier"], 0.4);
  // A temperature takes back what the annotators' doubt adds: better than -nll.
  EXPECT_GT(figures["calibrated_log_likelihood"], -figures["nll"].get<double>());
  EXPECT_LT(figures["calibrated_log_likelihood"], 0);
  const RunResult without = run_amalgam(
      {"evaluate", path("net.safetensors"), "--data", path("test.csv"), "--split", "all"});
  EXPECT_EQ(without.code, 2);
  EXPECT_NE(without.err.find("--label"), std::string::npos) << without.err;
}

TEST_F(SoftTraining, LabelsMayBeDrawnAndTwoHeadsShareTheWork) {
  write_recipe("", ", use: sampled");
  run({"train", path("recipe.yml"), "-o", path("net.safetensors"), "--quiet", "--threads", "1"});
  EXPECT_GT(judged()["accuracy"], 0.75);
  write_recipe(", heads: [{name: label}, {name: soft}]", ", head: soft", ", head: label");
  run({"train", path("recipe.yml"), "-o", path("net.safetensors"), "--overwrite", "--quiet",
       "--threads", "1"});
  EXPECT_GT(judged({"--head", "label"})["accuracy"], 0.75);
  // Each head has probabilities of its own.
  EXPECT_NE(judged({"--head", "soft"})["nll"], judged({"--head", "label"})["nll"]);
  write_recipe("", ", use: sampled, head: soft");
  const RunResult refused =
      run_amalgam({"train", path("recipe.yml"), "-o", path("other.safetensors")});
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("data.soft.head"), std::string::npos) << refused.err;
}

}  // namespace
}  // namespace amalgam
