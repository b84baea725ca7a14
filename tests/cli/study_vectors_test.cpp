// `amalgam study vectors`: norms, cosines and sign conflicts worked out by hand.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

// Task vectors (3, 0, 0, -1) and (0, 0, 4, 2), norms sqrt(10) and sqrt(20), dot -2.
class StudyVectors : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  std::string base_ = checkpoint("base", {0, 2, 0, 0});
  std::string a_ = checkpoint("a", {3, 2, 0, -1});
  std::string b_ = checkpoint("b", {0, 2, 4, 2});

  std::string checkpoint(const std::string& name, std::vector<double> values) {
    return write_safetensors(folder_ / (name + ".safetensors"), {make_tensor("w", {2, 2}, values)});
  }
};

TEST_F(StudyVectors, HasNormsCosinesAndConflicts) {
  const std::string sum = checkpoint("sum", {3, 2, 4, 1});
  const RunResult result =
      run_amalgam({"study", "vectors", base_, a_, b_, "--merged", sum, "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = result.json();
  ASSERT_EQ(json["models"].size(), 3U);
  EXPECT_DOUBLE_EQ(json["models"][0]["norm"].get<double>(), std::sqrt(10.0));
  EXPECT_DOUBLE_EQ(json["models"][1]["relative_norm"].get<double>(), std::sqrt(20.0) / 2);
  EXPECT_TRUE(json["models"][2]["merged"]);
  EXPECT_DOUBLE_EQ(json["cosines"][0][1].get<double>(), -2 / std::sqrt(200.0));
  EXPECT_DOUBLE_EQ(json["cosines"][1][0].get<double>(), -2 / std::sqrt(200.0));
  EXPECT_EQ(json["cosines"][2][2], 1);
  EXPECT_EQ(json["pairs"][0]["sign_conflict"], .25);
  EXPECT_EQ(json["pairs"][0]["tensors"][0]["name"], "w");
  const RunResult table = run_amalgam({"study", "vectors", base_, a_, b_});
  EXPECT_NE(table.out.find("opposite signs"), std::string::npos) << table.out;
}

TEST_F(StudyVectors, WarnsOfMembersThatDoNotShareTheBase) {
  const std::string c = checkpoint("c", {9, 9, 9, 9});
  const std::string d = checkpoint("d", {9, 9, 9, 8});
  const RunResult result = run_amalgam({"study", "vectors", base_, c, d});
  EXPECT_EQ(result.code, 0);
  EXPECT_NE(result.err.find("probably do not share this base"), std::string::npos) << result.err;
  EXPECT_EQ(run_amalgam({"study", "vectors", base_, a_, b_}).err.find("share"), std::string::npos);
}

TEST_F(StudyVectors, OfOneMemberAndOfTheBaseItself) {
  const auto json = run_amalgam({"study", "vectors", base_, base_, "--json"}).json();
  EXPECT_EQ(json["models"][0]["norm"], 0);
  EXPECT_TRUE(json["cosines"][0][0].is_null());
}

TEST_F(StudyVectors, NamesTheTensorThatIsMissing) {
  const std::string other =
      write_safetensors(folder_ / "other.safetensors", {make_tensor("v", {1}, {1})});
  expect_bad_usage(run_amalgam({"study", "vectors", base_, a_, other}), "tensor 'v'");
}

}  // namespace
}  // namespace amalgam
