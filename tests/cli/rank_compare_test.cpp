#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class RankFilesTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }
  std::string rank_to(const std::string& name, std::vector<std::string> words) const {
    words.insert(words.begin(), "rank");
    words.emplace_back("--json");
    const RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return write(name, result.out);
  }

  TemporaryFolder folder_;
};

// Means order A B C, Borda sums C B A: all three pairs are the other way round.
TEST_F(RankFilesTest, ComparesRankingsThatRankWrote) {
  const std::string board = write("board.csv",
                                  "Model,t1,t2,t3,t4\n"
                                  "A,50,50,59,90\nB,51,51,60,39\nC,52,52,10,40\n");
  const std::string means = rank_to("mean.json", {board, "--method", "mean"});
  const std::string borda = rank_to("borda.json", {board, "--method", "borda"});
  const auto same = run_amalgam({"rank", "compare", means, means, "--json"}).json();
  EXPECT_EQ(same["kendall_tau_b"], 1);
  EXPECT_EQ(same["kendall_distance"], 0);
  EXPECT_EQ(same["first"]["method"], "mean");
  const auto other = run_amalgam({"rank", "compare", means, borda, "--json"}).json();
  EXPECT_EQ(other["common_systems"], 3);
  EXPECT_LT(other["kendall_tau_b"], 1);
  EXPECT_EQ(other["top_overlap"].size(), 2U);  // of 1 and 3; there are no 5

  const RunResult shown = run_amalgam({"rank", "compare", means, borda});
  EXPECT_EQ(shown.code, 0) << shown.err;
  EXPECT_THAT(shown.out, AllOf(HasSubstr("3 systems are in both rankings"),
                               HasSubstr("Kendall's tau-b"), HasSubstr("largest moves")));
}

TEST_F(RankFilesTest, NamesSystemsOfOneRankingAndRefusesRankingsWithoutCommonOnes) {
  const std::string first = write("a.csv", "system,rank\nx,1\ny,2\nz,3\n");
  const std::string second = write("b.csv", "system,rank\ny,1\nx,2\nw,3\n");
  const RunResult shown = run_amalgam({"rank", "compare", first, second});
  EXPECT_THAT(shown.out, AllOf(HasSubstr("a.csv alone: z"), HasSubstr("b.csv alone: w"),
                               HasSubstr("Kendall distance      1 of 1 pairs")));
  const std::string third = write("c.csv", "system,rank\nu,1\nv,2\n");
  expect_bad_usage(run_amalgam({"rank", "compare", first, third}), "0 systems in common");
  expect_bad_usage(run_amalgam({"rank", "compare", first, (folder_ / "no.json").string()}),
                   "no.json: cannot be opened");
  expect_bad_usage(run_amalgam({"rank", "compare", first, second, "--persistence", "1"}),
                   "expected a number between 0 and 1");
}

TEST_F(RankFilesTest, SystemsOfEqualRankAreUndefinedNotZero) {
  const std::string tied = write("a.csv", "system,rank\nx,1\ny,1\n");
  const std::string ordered = write("b.csv", "system,rank\nx,1\ny,2\n");
  const auto json = run_amalgam({"rank", "compare", tied, ordered, "--json"}).json();
  EXPECT_TRUE(json["kendall_tau_b"].is_null());
  EXPECT_TRUE(json["spearman"].is_null());
  EXPECT_EQ(json["kendall_tau_a"], 0);
}

TEST_F(RankFilesTest, SeveralValuesNeedAPolicy) {
  const std::string table = write("twice.csv", "s,t\na,1\na,5\nb,2\n");
  expect_bad_usage(run_amalgam({"rank", table}), "twice.csv:3:1: system 'a'", "second time");
  const auto first = [&](const std::string& policy) {
    const RunResult result =
        run_amalgam({"rank", table, "--method", "mean", "--repeats", policy, "--json"});
    EXPECT_EQ(result.code, 0) << result.err;
    return std::pair<std::string, double>(result.json()["ranking"][0]["system"],
                                          result.json()["ranking"][0]["score"]);
  };
  EXPECT_EQ(first("mean"), std::pair(std::string("a"), 3.0));
  EXPECT_EQ(first("first"), std::pair(std::string("b"), 2.0));
  EXPECT_EQ(first("last"), std::pair(std::string("a"), 5.0));
}

TEST_F(RankFilesTest, TwoScalesOrDirectionsInOneTaskAreRefused) {
  const std::string kinds =
      write("kinds.csv", "system,task,score,kind\na,t,1,binary\nb,t,2,ordinal\n");
  expect_bad_usage(run_amalgam({"rank", kinds}), "kinds.csv:3", "task 't' is ordinal here");
  const std::string directions =
      write("directions.csv", "system,task,score,higher_is_better\na,t,1,true\nb,t,2,false\n");
  expect_bad_usage(run_amalgam({"rank", directions}), "directions.csv:3",
                   "of task 't' it says that lower is better");
  const std::string grades = write("grades.csv", "s,t\na,0.5\nb,0.25\n");
  expect_bad_usage(run_amalgam({"rank", grades, "--kind", "t=binary"}), "expected 0 or 1");
}

TEST_F(RankFilesTest, AnUnknownDirectionIsAWarningUntilItIsSaid) {
  const std::string table = write("loss.csv", "s,test_loss,t\na,1,1\nb,2,2\n");
  const RunResult warned = run_amalgam({"rank", table, "--json"});
  EXPECT_EQ(warned.code, 0);
  EXPECT_THAT(warned.err, HasSubstr("task 'test_loss' sounds as if lower were better"));
  EXPECT_THAT(warned.json()["warnings"].dump(), HasSubstr("test_loss"));
  for (const char* option : {"--lower-is-better", "--higher-is-better"}) {
    EXPECT_THAT(run_amalgam({"rank", table, option, "test_loss", "--json"}).err,
                Not(HasSubstr("test_loss")));
  }
}

TEST_F(RankFilesTest, NegativeWeightsAndUnknownWinnersAreRefused) {
  const std::string battles =
      write("battles.csv", "model_a,model_b,winner,weight\na,b,a,1\na,b,b,-2\n");
  expect_bad_usage(run_amalgam({"rank", battles}), "battles.csv:3:7: the weight is '-2'");
  const std::string winner = write("winner.csv", "model_a,model_b,winner\na,b,c\n");
  expect_bad_usage(run_amalgam({"rank", winner}), "winner.csv:2:5: the winner is 'c'");
  const std::string weights =
      write("weights.csv", "system,task,score,weight\na,t,1,-1\nb,t,2,-1\n");
  expect_bad_usage(run_amalgam({"rank", weights}), "weights.csv:2:7: the weight is '-1'");
}

TEST_F(RankFilesTest, FoldersThatNoToolWroteAreRefused) {
  write("notes.txt", "nothing");
  expect_bad_usage(run_amalgam({"rank", folder_.path().string()}),
                   "neither results of lm-evaluation-harness nor runs of HELM nor logs of Inspect");
}

}  // namespace
}  // namespace amalgam
