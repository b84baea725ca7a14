#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class RankTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  nlohmann::json rank(std::vector<std::string> words) const {
    words.insert(words.begin(), "rank");
    words.emplace_back("--json");
    const RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.json();
  }
  static std::vector<std::string> names(const nlohmann::json& ranked) {
    std::vector<std::string> all;
    for (const auto& entry : ranked["ranking"]) all.push_back(entry["system"]);
    return all;
  }
  static RunResult fails(std::vector<std::string> words) {
    words.insert(words.begin(), "rank");
    RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 2) << result.out << result.err;
    EXPECT_THAT(result.out, IsEmpty());
    return result;
  }

  TemporaryFolder folder_;
  // Card best-systems, check 1, with the board's own average beside.
  std::string board_ = write("board.csv",
                             "Model,Average,t1,t2,t3,t4\n"
                             "A,62.25,50,50,59,90\nB,50.25,51,51,60,39\nC,38.5,52,52,10,40\n");
  std::string battles_ = write("battles.csv",
                               "model_a,model_b,winner\n"
                               "x,y,model_a\ny,x,model_b\nx,y,model_b\nx,y,model_a\n");
};

TEST_F(RankTest, WarnsOfGroupsThatNothingCompares) {
  const std::string apart = write("apart.csv", "system,task,score\na,t,1\nb,t,2\nc,u,1\nd,u,2\n");
  for (const char* method : {"borda", "mean", "kemeny"}) {
    const auto ranked = rank({apart, "--method", method});
    EXPECT_THAT(ranked["warnings"].dump(), HasSubstr("2 groups of systems to another")) << method;
    EXPECT_THAT(ranked["warnings"].dump(), HasSubstr("{a, b}, {c, d}")) << method;
  }
  const std::string linked =
      write("linked.csv", "system,task,score\na,t,1\nb,t,2\nc,u,1\nd,u,2\nb,v,1\nd,v,1\n");
  EXPECT_THAT(rank({linked})["warnings"].dump(),
              ::testing::Not(HasSubstr("groups of systems to another")));
}

TEST_F(RankTest, WarnsThatAMethodDoesNotControl) {
  const std::string battles = write(
      "lengths.csv",
      "model_a,model_b,winner,length\nx,y,model_a,3\ny,x,model_b,1\nx,y,model_b,-2\nx,y,tie,1\n");
  EXPECT_THAT(rank({battles, "--covariate", "length"})["warnings"].dump(),
              HasSubstr("'bradley-terry' does not control for covariates"));
  EXPECT_THAT(
      rank({battles, "--covariate", "length", "--method", "controlled-bradley-terry"})["warnings"]
          .dump(),
      ::testing::Not(HasSubstr("does not control")));
}

TEST_F(RankTest, LeavesCellsWithoutAFigureEmpty) {
  const RunResult shown = run_amalgam({"rank", board_, "--method", "kemeny"});
  EXPECT_THAT(shown.out, ::testing::Not(HasSubstr("nan")));
  const RunResult csv = run_amalgam({"rank", board_, "--method", "kemeny", "--out", "-"});
  EXPECT_THAT(csv.out, HasSubstr("lead over next\n"));
  EXPECT_THAT(csv.out, ::testing::Not(HasSubstr("nan")));
  EXPECT_EQ(csv.out.substr(csv.out.size() - 2), ",\n");
}

TEST_F(RankTest, TiesShareARankByTheRuleThatIsAskedFor) {
  const std::string tied = write("tied.csv", "system,x\na,5\nb,3\nc,3\nd,1\n");
  const auto ranks = [&](const char* rule) {
    std::string text;
    const auto ranked = rank({tied, "--tied-ranks", rule});
    for (const auto& entry : ranked["ranking"]) {
      text += entry["rank"].dump() + " ";
    }
    return text;
  };
  EXPECT_EQ(ranks("min"), "1 2 2 4 ");
  EXPECT_EQ(ranks("dense"), "1 2 2 3 ");
  EXPECT_EQ(ranks("average"), "1.0 2.5 2.5 4.0 ");
  const RunResult csv =
      run_amalgam({"rank", tied, "--tied-ranks", "average", "--out", "-", "--html", path("page")});
  EXPECT_THAT(csv.out, HasSubstr("\nb,2.5,"));
  EXPECT_THAT(contents_of(path("page")), HasSubstr(">2.5<"));
  EXPECT_EQ(run_amalgam({"rank", tied, "--tied-ranks", "max"}).code, 2);
}

TEST_F(RankTest, RanksAWideTableAndProvesIt) {
  const auto ranked = rank({board_, "--method", "kemeny"});
  EXPECT_EQ(ranked["method"], "kemeny");
  EXPECT_THAT(names(ranked), ElementsAre("C", "B", "A"));
  EXPECT_EQ(ranked["missing"], "observed");
  EXPECT_EQ(ranked["certificate"]["optimal"], true);
  EXPECT_EQ(ranked["certificate"]["objective"], 4);
  EXPECT_EQ(ranked["certificate"]["bound"], 4);
  EXPECT_EQ(ranked["certificate"]["unique"], true);
  const auto& first = ranked["ranking"][0];
  EXPECT_EQ(first["rank"], 1);
  EXPECT_TRUE(first["rank_low"].is_null());
  EXPECT_TRUE(first["rank_high"].is_null());
  EXPECT_GT(first["score"], ranked["ranking"][1]["score"]);
  // The board's own average would vote too.
  EXPECT_THAT(ranked["warnings"].dump(), HasSubstr("'Average' is left out"));
}

TEST_F(RankTest, MeansAndRanksDisagreeAsTheCardSays) {
  EXPECT_THAT(names(rank({board_, "--method", "mean"})), ElementsAre("A", "B", "C"));
  const auto borda = rank({board_});
  EXPECT_EQ(borda["method"], "borda");
  EXPECT_EQ(borda["missing"], "complete");
  EXPECT_EQ(borda["ranking"][0]["score"], 5);
  EXPECT_EQ(borda["ranking"][0]["raw"], 3);
  EXPECT_TRUE(borda["certificate"].is_null());
}

TEST_F(RankTest, TiesShareARankAndTheNextOneCountsThem) {
  const std::string ties = write("ties.csv", "s,t\na,2\nb,2\nc,1\n");
  const auto ranked = rank({ties, "--method", "mean"});
  EXPECT_EQ(ranked["ranking"][0]["rank"], 1);
  EXPECT_EQ(ranked["ranking"][1]["rank"], 1);
  EXPECT_EQ(ranked["ranking"][2]["rank"], 3);
}

TEST_F(RankTest, TurnsTasksOnWhichLessIsBetter) {
  const std::string table = write("error.csv", "system,error\na,1\nb,2\n");
  EXPECT_THAT(names(rank({table, "--method", "mean"})), ElementsAre("b", "a"));
  const auto turned = rank({table, "--method", "mean", "--lower-is-better", "error"});
  EXPECT_THAT(names(turned), ElementsAre("a", "b"));
  EXPECT_EQ(turned["ranking"][0]["score"], -1);
}

TEST_F(RankTest, ReadsLongTablesAndBattles) {
  const std::string values = write("long.csv",
                                   "who,what,item,points\n"
                                   "a,t,1,3\nb,t,1,1\na,t,2,1\nb,t,2,0\n");
  const auto by_task = rank({values, "--long", "--system", "who", "--task", "what", "--instance",
                             "item", "--score", "points", "--method", "mean"});
  EXPECT_EQ(by_task["ranking"][0]["system"], "a");
  EXPECT_EQ(by_task["ranking"][0]["score"], 2);
  EXPECT_EQ(by_task["ballots"], 2);

  const auto battles = rank({battles_, "--battles"});
  EXPECT_EQ(battles["method"], "bradley-terry");
  EXPECT_EQ(battles["comparisons"], 4);
  // 3 wins to 1: half of ln 3 above and below 0.
  EXPECT_NEAR(battles["ranking"][0]["score"], 0.5493061443340549, 1e-9);
}

TEST_F(RankTest, BoundsRanksAndSaysWhatCannotBeToldApart) {
  std::string text = "model_a,model_b,winner\n";
  for (int i = 0; i < 60; ++i) {
    text += i % 20 == 0 ? "strong,weak,model_b\n" : "strong,weak,model_a\n";
    text += i % 2 == 0 ? "strong,equal,model_a\n" : "strong,equal,model_b\n";
    text += i % 20 == 0 ? "equal,weak,model_b\n" : "equal,weak,model_a\n";
  }
  const std::string many = write("many.csv", text);
  const auto ranked = rank({many, "--battles", "--bootstrap", "200", "--seed", "3"});
  const auto& last = ranked["ranking"][2];
  EXPECT_EQ(last["system"], "weak");
  EXPECT_EQ(last["rank_low"], 3);
  EXPECT_EQ(last["rank_high"], 3);
  EXPECT_EQ(ranked["ranking"][0]["rank_low"], 1);
  EXPECT_EQ(ranked["ranking"][0]["rank_high"], 2);
  EXPECT_EQ(ranked["uncertainty"]["resamples"], 200);
  // Deterministic by seed, for any number of threads.
  EXPECT_EQ(ranked,
            rank({many, "--battles", "--bootstrap", "200", "--seed", "3", "--threads", "3"}));

  const RunResult shown = run_amalgam({"rank", many, "--battles", "--bootstrap", "200"});
  EXPECT_THAT(shown.out, HasSubstr("places 1-2 cannot be told apart"));
}

TEST_F(RankTest, WritesFilesAndAPage) {
  const RunResult result = run_amalgam(
      {"rank", board_, "--method", "mean", "--out", path("r.csv"), "--html", path("p.html")});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(contents_of(folder_ / "r.csv"),
            "system,rank,score,raw\nA,1,62.25,62.25\nB,2,50.25,50.25\nC,3,38.5,38.5\n");
  EXPECT_THAT(contents_of(folder_ / "p.html"), HasSubstr("<html"));
}

TEST_F(RankTest, BadInputIsOneSentenceAndExitCodeTwo) {
  EXPECT_THAT(fails({board_, "--method", "kemmeny"}).err, HasSubstr("did you mean 'kemeny'?"));
  EXPECT_THAT(fails({path("none.csv")}).err, HasSubstr("none.csv"));
  EXPECT_THAT(fails({}).err, HasSubstr("no table of measurements"));
  EXPECT_THAT(fails({write("inf.csv", "s,t\na,inf\nb,1\n")}).err, HasSubstr("inf.csv:2"));
  EXPECT_THAT(fails({write("one.csv", "s,t\na,1\n")}).err, HasSubstr("at least 2 systems"));
  EXPECT_THAT(fails({write("twice.csv", "s,t\na,1\na,2\nb,1\n")}).err, HasSubstr("'a'"));
  EXPECT_THAT(fails({write("empty.csv", "s,t,u\na,,1\nb,,2\n"), "--columns", "t"}).err,
              HasSubstr("empty.csv"));
  EXPECT_THAT(fails({board_, "--task-weight", "t1=-1"}).err, HasSubstr("negative"));
  EXPECT_THAT(fails({board_, "--lower-is-better", "t9"}).err, HasSubstr("t9"));
  EXPECT_THAT(fails({board_, "--wide", "--battles"}).err, HasSubstr("exclude each other"));
  EXPECT_THAT(fails({board_, "--method", "mean", "--missing", "complete"}).err,
              HasSubstr("'complete' is not possible"));
  const std::string apart =
      write("apart.csv", "model_a,model_b,winner\na,b,a\nb,a,b\nc,d,c\nd,c,d\n");
  const std::string error = fails({apart, "--battles", "--method", "bradley-terry"}).err;
  EXPECT_THAT(error, HasSubstr("a, b"));
  EXPECT_THAT(error, HasSubstr("c, d"));
}

TEST_F(RankTest, ATaskOnWhichAllTieSaysNothing) {
  const std::string table = write("tie.csv", "s,t,u\na,1,3\nb,1,2\nc,1,1\n");
  EXPECT_THAT(names(rank({table, "--method", "kemeny"})), ElementsAre("a", "b", "c"));
  EXPECT_THAT(names(rank({table, "--method", "z-mean"})), ElementsAre("a", "b", "c"));
}

TEST_F(RankTest, ListsItsMethods) {
  const RunResult result = run_amalgam({"rank", "methods", "--json"});
  ASSERT_EQ(result.code, 0);
  std::vector<std::string> found;
  const nlohmann::json listed = result.json();
  for (const auto& method : listed["methods"]) found.push_back(method["name"]);
  for (const char* name : {"mean", "z-mean", "min-max-mean", "borda", "borda-two-level", "copeland",
                           "kemeny", "local-kemeny", "condorcet", "bradley-terry", "davidson",
                           "rao-kupper", "plackett-luce", "elo", "trueskill", "onebench"}) {
    EXPECT_THAT(found, ::testing::Contains(name));
  }
  EXPECT_THAT(run_amalgam({"rank", "methods", "kemeny"}).out, HasSubstr("seconds"));
}

}  // namespace
}  // namespace amalgam
