#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class RankUncertaintyTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  static std::string content(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }

  // Of 20 questions a answers 8 rightly that b does not, b 2 that a does not; c has 5 values.
  static std::string answers() {
    std::string text = "system,task,instance,score\n";
    for (int k = 0; k < 20; ++k) {
      text += "a,quiz," + std::to_string(k) + "," + (k < 8 || k >= 15 ? "1" : "0") + "\n";
      text += "b,quiz," + std::to_string(k) + "," + (k >= 13 ? "1" : "0") + "\n";
      if (k % 4 == 0) text += "c,quiz," + std::to_string(k) + "," + (k % 8 == 0 ? "1" : "0") + "\n";
    }
    return text;
  }

  TemporaryFolder folder_;
  std::string answers_ = write("answers.csv", answers());
  std::string battles_ = write("battles.csv",
                               "model_a,model_b,winner\n"
                               "x,y,model_a\ny,x,model_a\nx,y,model_b\nx,y,model_a\n"
                               "y,z,model_a\nz,y,model_a\n");
};

TEST_F(RankUncertaintyTest, SignificanceIsMcNemarsOfRightAndWrong) {
  const RunResult result =
      run_amalgam({"rank", "significance", answers_, "--long", "--kind", "quiz=binary", "--against",
                   "b", "--out", path("pairs.csv"), "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto found = result.json();
  EXPECT_EQ(found["test"], "mcnemar");
  EXPECT_EQ(found["tested"], 2);
  const auto& pair = found["pairs"][0]["first"] == "a" ? found["pairs"][0] : found["pairs"][1];
  EXPECT_EQ(pair["second"], "b");
  EXPECT_EQ(pair["wins"], 8);
  EXPECT_EQ(pair["losses"], 2);
  EXPECT_EQ(pair["ties"], 10);
  EXPECT_NEAR(pair["p"], 112.0 / 1024, 1e-12);
  EXPECT_NEAR(pair["p_holm"], 224.0 / 1024, 1e-12);
  EXPECT_NEAR(pair["difference"], 0.3, 1e-12);
  EXPECT_EQ(pair["significant"], false);
  EXPECT_THAT(content(path("pairs.csv")), HasSubstr("a,b,20,20,8,2,10,0.3"));
}

TEST_F(RankUncertaintyTest, ABootstrapSaysHowProbablyOneIsBeforeTheOther) {
  const RunResult result =
      run_amalgam({"rank", answers_, "--long", "--method", "mean", "--bootstrap", "200", "--over",
                   "shared-instances", "--pairs", path("pairs.csv"), "--html", path("page.html")});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("200 resamples of 20 shared-instances"));
  EXPECT_THAT(result.out, Not(HasSubstr("--bootstrap")));
  EXPECT_THAT(content(path("pairs.csv")),
              HasSubstr("first,second,wins,losses,ties,preference,before,p,p_holm,"
                        "p_benjamini_hochberg\n"));
  EXPECT_THAT(content(path("page.html")), HasSubstr("cannot be told apart"));
  // A board without intervals says that it has none.
  EXPECT_THAT(run_amalgam({"rank", answers_, "--long"}).out,
              HasSubstr("is not known: --bootstrap 1000 says it"));
}

// a wins 8 questions against b and loses 2; the pairs alone are on the standard output.
TEST_F(RankUncertaintyTest, PairsAreTheVotesWithoutABootstrapToo) {
  const RunResult pairs =
      run_amalgam({"rank", answers_, "--long", "--missing", "observed", "--pairs", "-", "-q"});
  ASSERT_EQ(pairs.code, 0) << pairs.err;
  EXPECT_TRUE(pairs.out.starts_with("first,second,wins,losses,ties,preference\n")) << pairs.out;
  EXPECT_THAT(pairs.out, HasSubstr("a,b,8,2,10,0.65\n"));
  EXPECT_THAT(pairs.out, Not(HasSubstr("rank")));
  EXPECT_EQ(run_amalgam({"rank", answers_, "--long", "--pairs", "-", "--json"}).code, 2);
}

TEST_F(RankUncertaintyTest, SignificanceNamesTheNearestSystem) {
  const RunResult result =
      run_amalgam({"rank", "significance", battles_, "--battles", "--against", "xx"});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("no system 'xx'"));
  EXPECT_THAT(result.out, IsEmpty());
}

TEST_F(RankUncertaintyTest, StabilityIsACurveAndAPage) {
  const std::vector<std::string> words{"rank",        "stability",       answers_,  "--long",
                                       "--fractions", "0,0.5",           "--draws", "20",
                                       "--html",      path("page.html"), "--json"};
  const RunResult result = run_amalgam(words);
  ASSERT_EQ(result.code, 0) << result.err;
  const auto found = result.json();
  EXPECT_EQ(found["removed"], "ballots");
  EXPECT_EQ(found["parts"], 20);
  EXPECT_EQ(found["points"][0]["tau_b"], 1);
  EXPECT_LT(found["points"][1]["tau_b"], 1);
  EXPECT_EQ(found["points"][1]["removed"], 0.5);
  const std::string page = content(path("page.html"));
  EXPECT_THAT(page, HasSubstr("What the ranking needs"));
  EXPECT_THAT(page, Not(HasSubstr("nan")));
  EXPECT_EQ(run_amalgam(words).out, result.out);
}

TEST_F(RankUncertaintyTest, StabilityOfHalvesAndOfReversedTasks) {
  const RunResult result =
      run_amalgam({"rank", "stability", answers_, "--long", "--method", "mean", "--fractions",
                   "0.5", "--draws", "20", "--halves", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto halves = result.json()["halves"];
  EXPECT_EQ(halves["draws"].get<int>() + halves["failed"].get<int>(), 20);
  EXPECT_GT(halves["agreed"].get<double>(), 0);
  EXPECT_LT(halves["agreed"].get<double>(), 1);

  std::ofstream(path("board.csv")) << "m,x,y,z\na,3,9,5\nb,2,5,4\nc,1,1,3\n";
  const RunResult reversed =
      run_amalgam({"rank", "stability", path("board.csv"), "--remove", "reversed-tasks",
                   "--fractions", "0.34,0.67", "--draws", "5", "--html", path("page.html")});
  ASSERT_EQ(reversed.code, 0) << reversed.err;
  EXPECT_THAT(reversed.out, HasSubstr("some of 3 tasks, at random, say the reverse"));
  EXPECT_THAT(reversed.out, HasSubstr(" 33.3 %   1.0000"));
  EXPECT_THAT(reversed.out, HasSubstr(" 66.7 %  -1.0000"));
  EXPECT_THAT(content(path("page.html")), HasSubstr("when tasks say the reverse"));

  const RunResult shorter =
      run_amalgam({"rank", "stability", answers_, "--long", "--remove", "last-ballots",
                   "--fractions", "0,0.5", "--html", path("page.html")});
  ASSERT_EQ(shorter.code, 0) << shorter.err;
  EXPECT_THAT(shorter.out, HasSubstr("the last of 20 ballots, of every task"));
  EXPECT_THAT(shorter.out, HasSubstr(" 50.0 %"));
  EXPECT_THAT(content(path("page.html")), HasSubstr("percent taken away<"));
}

TEST_F(RankUncertaintyTest, NextFillsGapsOrComparesNeighbours) {
  const RunResult gaps =
      run_amalgam({"rank", "next", answers_, "--long", "--budget", "10", "--json"});
  ASSERT_EQ(gaps.code, 0) << gaps.err;
  const auto cells = gaps.json();
  EXPECT_EQ(cells["measure"], "cells");
  ASSERT_EQ(cells["measurements"].size(), 1U);
  EXPECT_EQ(cells["measurements"][0]["system"], "c");
  EXPECT_EQ(cells["measurements"][0]["count"], 10);
  EXPECT_EQ(cells["measurements"][0]["possible"], 15);
  EXPECT_LT(cells["neighbour_error_after"], cells["neighbour_error"]);

  const RunResult pairs = run_amalgam({"rank", "next", battles_, "--battles", "--budget", "1"});
  ASSERT_EQ(pairs.code, 0) << pairs.err;
  EXPECT_THAT(pairs.out, HasSubstr("neighbours in rank that are not told apart: 2 of 2 now"));
}

}  // namespace
}  // namespace amalgam
