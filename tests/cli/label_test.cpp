#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class LabelTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string text(const std::string& name) const { return contents_of(folder_ / name); }

  TemporaryFolder folder_;
  // amy and bob are right, cal says b of everything.
  std::string annotations_ = write("a.csv",
                                   "task,worker,label\n"
                                   "t10,amy,a\nt10,bob,a\nt10,cal,b\n"
                                   "t9,amy,b\nt9,bob,b\nt9,cal,b\n"
                                   "t8,amy,a\nt8,bob,b\n"
                                   "t7,amy,a\nt7,bob,a\nt7,cal,b\n");
  std::string gold_ = write("g.csv", "task,label\nt10,a\nt9,b\nt7,b\nt1,a\n");
};

TEST_F(LabelTest, WritesLabelsAndSaysHowGoodTheyAre) {
  const RunResult result = run_amalgam(
      {"label", "aggregate", annotations_, "--method", "majority-vote", "--gold", gold_, "--out",
       path("l.csv"), "--soft", path("s.csv"), "--workers", path("w.csv"), "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(text("l.csv"), "task,label\nt10,a\nt9,b\nt8,a\nt7,a\n");
  EXPECT_EQ(text("s.csv"), "task,a,b\nt10,1,0\nt9,0,1\nt8,0.5,0.5\nt7,1,0\n");
  EXPECT_THAT(text("w.csv"),
              StartsWith("worker,annotations,skill,label_accuracy,gold_annotations,gold_accuracy\n"
                         "amy,4,1,1,3,"));
  const auto json = result.json();
  EXPECT_EQ(json["ties"], 1);
  EXPECT_EQ(json["tasks"], 4);
  EXPECT_EQ(json["gold_tasks"], 3);
  EXPECT_EQ(json["gold_uncovered"], 1);
  EXPECT_DOUBLE_EQ(json["accuracy"].get<double>(), 2.0 / 3);
  EXPECT_DOUBLE_EQ(json["macro_f1"].get<double>(), 2.0 / 3);
}

TEST_F(LabelTest, SaysOfEachTaskHowSureItIsAndWhatGoldCannotJudge) {
  const RunResult result = run_amalgam({"label", "aggregate", annotations_, "--method", "standard",
                                        "--gold", write("h.csv", "task,label\nT10,a\n"), "--out",
                                        path("l.csv"), "--tasks", path("t.csv"), "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(text("t.csv"), StartsWith("task,annotations,probability,entropy,tied\nt10,3,0.66"));
  EXPECT_THAT(text("t.csv"), HasSubstr("\nt8,2,0.5,1,1\n"));
  EXPECT_THAT(result.err, HasSubstr("none of the 1 gold tasks has annotations"));
  EXPECT_TRUE(result.json()["accuracy"].is_null());
  const RunResult fitted =
      run_amalgam({"label", "aggregate", annotations_, "--out", path("l.csv"), "--json"});
  ASSERT_EQ(fitted.code, 0) << fitted.err;
  EXPECT_GT(fitted.json()["mean_diagonal"].get<double>(), 0.5);
}

TEST_F(LabelTest, TheOrderOfRowsChangesNoBit) {
  const std::string shuffled =
      write("b.csv",
            "worker,label,task\n"
            "cal,b,t7\nbob,b,t8\namy,a,t10\nbob,a,t10\ncal,b,t10\n"
            "bob,a,t7\namy,b,t9\namy,a,t8\nbob,b,t9\ncal,b,t9\namy,a,t7\n");
  const auto soft = [&](const std::string& file, const char* threads) {
    const RunResult result =
        run_amalgam({"label", "aggregate", file, "--method", "dawid-skene", "--out", path("l.csv"),
                     "--soft", path("s.csv"), "--threads", threads});
    EXPECT_EQ(result.code, 0) << result.err;
    std::string all = text("s.csv");
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < all.size(); at = all.find('\n', at) + 1) {
      lines.push_back(all.substr(at, all.find('\n', at) - at));
    }
    std::sort(lines.begin(), lines.end());
    return lines;
  };
  EXPECT_EQ(soft(annotations_, "1"), soft(shuffled, "2"));
}

TEST_F(LabelTest, BadInputIsOneSentenceAndWritesNothing) {
  const auto aggregate = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words = {"label", "aggregate", "--out", path("out.csv")};
    words.insert(words.end(), more.begin(), more.end());
    return run_amalgam(words);
  };
  expect_bad_usage(aggregate({annotations_, "--method", "dawid-skeen"}),
                   "did you mean 'dawid-skene'?");
  expect_bad_usage(aggregate({annotations_, "-p", "tolerance=much"}), "expected a number");
  expect_bad_usage(aggregate({annotations_, "--gold", write("x.csv", "task,label\nt9,B\n")}),
                   "x.csv:2:4: the label 'B' is none that the annotations have");
  expect_bad_usage(aggregate({annotations_, "--method", "gold-majority"}), "needs gold labels");
  expect_bad_usage(aggregate({write("s.csv", "task;worker;label\n1;2;3\n")}), "semicolon");
  expect_bad_usage(aggregate({path("missing.csv")}), "missing.csv: there is no such file");
  expect_bad_usage(aggregate({write("one.csv", "task,worker,label\nt,a,x\nt,b,x\n")}),
                   "the same label 'x'");
  expect_bad_usage(aggregate({annotations_, "--soft", path("out.csv")}),
                   "two outputs have this name");
  expect_bad_usage(aggregate({annotations_, "--duplicates", "error",
                              write("again.csv", "task,worker,label\nt9,amy,a\n")}),
                   "worker 'amy' annotated task 't9' more than once");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out.csv"));
  const RunResult over = run_amalgam({"label", "aggregate", annotations_, "--out", annotations_});
  expect_bad_usage(over, "it is an input");
  EXPECT_THAT(text("a.csv"), StartsWith("task,worker,label\n"));
}

TEST_F(LabelTest, StatesOfMethodsThatFitEverythingTakeInMoreAndGold) {
  const std::string state = path("s.safetensors");
  const std::string more = write("more.csv", "task,worker,label\nt8,cal,b\nt11,dan,a\n");
  const std::string gold = write("gold.csv", "task,label\nt8,b\nt11,a\n");
  const auto aggregate = [&](const std::vector<std::string>& words) {
    std::vector<std::string> all{"label", "aggregate",   annotations_,
                                 "--out", path("l.csv"), "--state",
                                 state,   "--soft",      path("first.csv")};
    all.insert(all.end(), words.begin(), words.end());
    return run_amalgam(all);
  };
  const std::vector<std::string> update{"label", "update",       state,    more,
                                        "--out", path("l2.csv"), "--soft", path("updated.csv"),
                                        "--json"};
  // Exact: the same file as from both at once.
  ASSERT_EQ(aggregate({"--method", "average"}).code, 0);
  RunResult run = run_amalgam(update);
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.json()["fits_everything"], true);
  EXPECT_TRUE(run.json()["largest_change"].is_null());
  ASSERT_EQ(aggregate({more, "--method", "average"}).code, 0);
  EXPECT_EQ(text("updated.csv"), text("first.csv"));

  // Going on, and begun anew.
  ASSERT_EQ(aggregate({"--method", "glad"}).code, 0);
  run = run_amalgam(update);
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_GT(run.json()["sweeps"], 0);
  EXPECT_GT(run.json()["largest_change"], 0);
  run = run_amalgam({"label", "update", state, "--refine", "--soft", path("updated.csv")});
  ASSERT_EQ(run.code, 0) << run.err;
  ASSERT_EQ(aggregate({more, "--method", "glad"}).code, 0);
  EXPECT_EQ(text("updated.csv"), text("first.csv"));

  // A fit that its limit ended is no better with a state.
  run = aggregate({"--method", "glad", "--max-iter", "1", "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.json()["converged"], false);
  EXPECT_THAT(run.err, HasSubstr("glad had not converged after 1 iterations"));

  // Gold labels stay known, and more become so.
  ASSERT_EQ(aggregate({"--method", "glad", "--gold", gold, "--use-gold"}).code, 0);
  std::vector<std::string> learn = update;
  learn.insert(learn.end(), {"--gold", gold});
  run = run_amalgam(learn);
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(text("updated.csv"), HasSubstr("t8,0,1\n"));
  EXPECT_THAT(text("updated.csv"), HasSubstr("t11,1,0\n"));
  ASSERT_EQ(aggregate({}).code, 0);
  expect_bad_usage(run_amalgam(learn), "cannot hold gold labels");
  expect_bad_usage(run_amalgam({"label", "update", state, "--refine", "--gold", gold}),
                   "--gold needs annotations");
  expect_bad_usage(aggregate({"--gold", gold, "--use-gold"}), "cannot hold gold labels as known");
}

TEST_F(LabelTest, AStateTakesInMoreAndAnswersWhatToAsk) {
  const std::string state = path("s.safetensors");
  ASSERT_EQ(run_amalgam({"label", "aggregate", annotations_, "--method", "one-coin-dawid-skene",
                         "--out", path("l.csv"), "--state", state})
                .code,
            0);
  const std::string more = write("more.csv", "task,worker,label\nt8,cal,b\nt11,dan,a\n");
  const RunResult updated =
      run_amalgam({"label", "update", state, more, "--out", path("l2.csv"), "--json"});
  ASSERT_EQ(updated.code, 0) << updated.err;
  EXPECT_EQ(updated.json()["annotations"], 13);
  EXPECT_EQ(updated.json()["new_tasks"], 1);
  EXPECT_EQ(updated.json()["new_workers"], 1);
  EXPECT_THAT(text("l2.csv"), HasSubstr("t11,a\n"));
  expect_bad_usage(
      run_amalgam({"label", "update", state, write("n.csv", "task,worker,label\nt,a,z\n")}),
      "the label 'z' was not there");
  const RunResult asked =
      run_amalgam({"label", "ask", "--state", state, "--budget", "2", "--json"});
  ASSERT_EQ(asked.code, 0) << asked.err;
  EXPECT_EQ(asked.json()["questions"].size(), 2U);
  expect_bad_usage(run_amalgam({"label", "ask", "--budget", "2"}),
                   "expected annotations, or a state");
  expect_bad_usage(run_amalgam({"label", "update", annotations_, more}), "a.csv");
}

TEST_F(LabelTest, AgreementPrintsAndWritesWhatToLookAt) {
  const RunResult result =
      run_amalgam({"label", "agreement", annotations_, "--json", "--items", path("i.csv"),
                   "--pairs", path("p.csv"), "--fewest", "2", "--adjudicate", path("d.csv")});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = result.json();
  // Pairs that agree: 1/3 of t10 and t7, all of t9, none of t8.
  EXPECT_NEAR(json["observed"].get<double>(), (1.0 / 3 + 1 + 0 + 1.0 / 3) / 4, 1e-12);
  EXPECT_EQ(json["to_adjudicate"], 3);
  EXPECT_EQ(text("d.csv").substr(0, 44), "task,consensus,entropy,votes,label\nt8,0.5,1,");
  EXPECT_THAT(text("i.csv"), HasSubstr("t9,3,1,0,b:3\n"));
  EXPECT_THAT(text("p.csv"), HasSubstr("amy,bob,4,0.75,0.5\n"));
}

TEST_F(LabelTest, MethodsAreListedWithParametersAndSources) {
  const auto json = run_amalgam({"label", "methods", "--json"}).json();
  EXPECT_GE(json["methods"].size(), 19U);
  for (const auto& method : json["methods"])
    EXPECT_FALSE(method["source"].get<std::string>().empty());
  EXPECT_THAT(run_amalgam({"label", "methods", "glad"}).out, HasSubstr("Whitehill"));
}

}  // namespace
}  // namespace amalgam
