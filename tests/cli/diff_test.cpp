#include <gtest/gtest.h>

#include <cmath>

#include "amalgam/core/random.hpp"
#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

// With the base C = (0, 1, 0, 0): A - C = (3, 0, 0, -1) and B - C = (0, 0, 4, 2).
class DiffTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  std::string a_ =
      write_safetensors(folder_ / "a.safetensors",
                        {make_tensor("w", {2, 2}, {3, 1, 0, -1}), make_tensor("only.a", {1}, {1})});
  std::string b_ =
      write_safetensors(folder_ / "b.safetensors",
                        {make_tensor("w", {2, 2}, {0, 1, 4, 2}), make_tensor("only.b", {1}, {1})});
  std::string c_ =
      write_safetensors(folder_ / "c.safetensors", {make_tensor("w", {2, 2}, {0, 1, 0, 0})});
};

TEST_F(DiffTest, WithoutABaseGivesDistancesAndNulls) {
  const RunResult result = run_amalgam({"diff", a_, b_, "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = result.json();
  EXPECT_EQ(keys_of(json), (std::vector<std::string>{"tensors", "only_in_a", "only_in_b"}));
  EXPECT_EQ(json["only_in_a"], std::vector<std::string>{"only.a"});
  EXPECT_EQ(json["only_in_b"], std::vector<std::string>{"only.b"});
  ASSERT_EQ(json["tensors"].size(), 1U);
  const auto& tensor = json["tensors"][0];
  EXPECT_EQ(keys_of(tensor), (std::vector<std::string>{"name", "distance", "relative_distance",
                                                       "cosine", "sign_conflict"}));
  EXPECT_EQ(tensor["name"], "w");
  // A - B = (3, 0, -4, -3), |A| = sqrt(11).
  EXPECT_DOUBLE_EQ(tensor["distance"].get<double>(), std::sqrt(34.0));
  EXPECT_DOUBLE_EQ(tensor["relative_distance"].get<double>(), std::sqrt(34.0 / 11.0));
  EXPECT_TRUE(tensor["cosine"].is_null());
  EXPECT_TRUE(tensor["sign_conflict"].is_null());
}

TEST_F(DiffTest, WithABaseComparesTaskVectors) {
  const RunResult result = run_amalgam({"diff", a_, b_, "--base", c_, "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto tensor = result.json()["tensors"][0];
  // Dot -2, norms sqrt(10) and sqrt(20); only the last of four elements is nonzero in both.
  EXPECT_DOUBLE_EQ(tensor["cosine"].get<double>(), -2.0 / std::sqrt(200.0));
  EXPECT_EQ(tensor["sign_conflict"], 0.25);
}

TEST_F(DiffTest, EqualCheckpointsHaveDistanceZero) {
  const auto tensors = run_amalgam({"diff", a_, a_, "--base", a_, "--json"}).json()["tensors"];
  ASSERT_EQ(tensors.size(), 2U);
  for (const auto& tensor : tensors) {
    EXPECT_EQ(tensor["distance"], 0.0);
    EXPECT_EQ(tensor["relative_distance"], 0.0);
    EXPECT_TRUE(tensor["cosine"].is_null());  // of zero vectors
    EXPECT_EQ(tensor["sign_conflict"], 0.0);
  }
}

TEST_F(DiffTest, ATensorThatTheBaseLacksIsReportedOnStderr) {
  const std::string other =
      write_safetensors(folder_ / "d.safetensors", {make_tensor("x", {1}, {0})});
  const RunResult result = run_amalgam({"diff", a_, b_, "--base", other, "--json"});
  EXPECT_EQ(result.code, 0);
  EXPECT_NE(result.err.find("'w'"), std::string::npos);
  EXPECT_TRUE(result.json()["tensors"][0]["cosine"].is_null());
}

TEST_F(DiffTest, DifferentShapesAreAnErrorThatNamesBothFiles) {
  const std::string other =
      write_safetensors(folder_ / "d.safetensors", {make_tensor("w", {4}, {0, 0, 0, 0})});
  expect_bad_usage(run_amalgam({"diff", a_, other, "--json"}), "a.safetensors", "d.safetensors",
                   "'w'", "[2, 2]", "[4]");
}

TEST_F(DiffTest, ListsUpToTenTensorsOfOtherShapes) {
  std::vector<MemoryTensor> left;
  std::vector<MemoryTensor> right;
  for (int i = 0; i < 12; ++i) {
    const std::string name = "t" + std::to_string(10 + i);
    left.push_back(make_tensor(name, {2}, {1, 2}));
    right.push_back(make_tensor(name, {1}, {1}));
  }
  left.push_back(make_tensor("same", {1}, {1}));
  right.push_back(make_tensor("same", {1}, {1}));
  const RunResult result =
      run_amalgam({"diff", write_safetensors(folder_ / "left.safetensors", left),
                   write_safetensors(folder_ / "right.safetensors", right)});
  expect_bad_usage(result, "'t10'", "'t19'", "; and 2 more");
  EXPECT_EQ(result.err.find("'t20'"), std::string::npos) << result.err;
  EXPECT_EQ(result.err.find("'same'"), std::string::npos) << result.err;
}

TEST_F(DiffTest, ShowsATableToPeople) {
  const RunResult result = run_amalgam({"diff", a_, b_, "--base", c_});
  EXPECT_EQ(result.code, 0);
  EXPECT_NE(result.out.find("w      5.83095    1.7581  -0.141421           0.25"),
            std::string::npos)
      << result.out;
  EXPECT_NE(result.out.find("only in " + a_ + ": only.a"), std::string::npos) << result.out;
}

TEST(Diff, HasTheSameBitsForAnyNumberOfThreads) {
  RandomStream random(2, "diff");
  const TemporaryFolder folder;
  std::vector<std::string> paths;
  for (const char* name : {"a.safetensors", "b.safetensors", "c.safetensors"}) {
    std::vector<double> values;
    for (int i = 0; i < 400'003; ++i) values.push_back(random.normal());
    paths.push_back(write_safetensors(folder / name, {make_tensor("x", {values.size()}, values)}));
  }
  const auto run = [&](const char* threads) {
    return run_amalgam(
               {"diff", paths[0], paths[1], "--base", paths[2], "--json", "--threads", threads})
        .out;
  };
  const std::string one = run("1");
  // Independent normal vectors: |A - B| is near sqrt(2 n), the task vectors' cosine near 1/2, and a
  // third of the signs conflict (angle 60 degrees: 60/180).
  const auto tensor = nlohmann::json::parse(one)["tensors"][0];
  EXPECT_NEAR(tensor["distance"].get<double>(), std::sqrt(2.0 * 400'003), 5);
  EXPECT_NEAR(tensor["cosine"].get<double>(), 0.5, 0.01);
  EXPECT_NEAR(tensor["sign_conflict"].get<double>(), 1.0 / 3, 0.01);
  EXPECT_EQ(run("2"), one);
  EXPECT_EQ(run("5"), one);
}

}  // namespace
}  // namespace amalgam
