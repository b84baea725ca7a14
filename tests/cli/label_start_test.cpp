#include <gmock/gmock.h>

#include <sstream>

#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

using ::testing::DoubleNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;
using ::testing::StartsWith;

// What a fit starts from besides annotations: confusion matrices, and what abstentions mean.
class LabelStart : public ::testing::Test {
 protected:
  LabelStart() {
    std::ostringstream rows;
    rows << "task,worker,label\n";
    for (int task = 0; task < 40; ++task) {
      const int truth = task % 2;
      // amy and bob are right; cal is sure of class 0 only.
      rows << 't' << task << ",amy," << truth << "\nt" << task << ",bob,"
           << (task % 10 == 0 ? 1 - truth : truth) << "\nt" << task << ",cal,"
           << (truth == 0 ? "0" : "unsure") << '\n';
    }
    annotations_ = folder_.write("a.csv", rows.str()).string();
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  RunResult aggregate(std::vector<std::string> more) const {
    std::vector<std::string> words{"label", "aggregate", annotations_, "--out", path("l.csv")};
    words.insert(words.end(), more.begin(), more.end());
    return run_amalgam(words);
  }

  std::vector<double> last_column(const std::string& name) const {
    std::istringstream lines(contents_of(path(name)));
    std::vector<double> numbers;
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line))
      numbers.push_back(std::stod(line.substr(line.rfind(',') + 1)));
    return numbers;
  }

  TemporaryFolder folder_;
  std::string annotations_;
};

TEST_F(LabelStart, ConfusionMatricesOfOneRunStartAnother) {
  ASSERT_EQ(aggregate({"--abstain", "unsure", "--confusion", path("c.csv")}).code, 0);
  const RunResult again = aggregate({"--abstain", "unsure", "--initial-confusion", path("c.csv"),
                                     "--max-iter", "1", "--confusion", path("again.csv")});
  ASSERT_EQ(again.code, 0) << again.err;
  const std::vector<double> first = last_column("c.csv");
  EXPECT_EQ(first.size(), 12U);
  EXPECT_THAT(last_column("again.csv"), Pointwise(DoubleNear(1e-9), first));
  // dan is new: his matrix can only be added to.
  const std::string more = folder_.write("b.csv", "task,worker,label\nt0,dan,0\n").string();
  expect_bad_usage(aggregate({more, "--abstain", "unsure", "--initial-confusion", path("c.csv")}),
                   "nothing of worker 'dan'", "--initial-weight");
  EXPECT_EQ(aggregate({more, "--abstain", "unsure", "--initial-confusion", path("c.csv"),
                       "--initial-weight", "20"})
                .code,
            0);
  expect_bad_usage(aggregate({"--method", "glad", "--initial-confusion", path("c.csv")}),
                   "method 'glad' cannot start from confusion matrices");
  expect_bad_usage(aggregate({"--initial-weight", "2"}), "--initial-weight needs");
  expect_bad_usage(aggregate({"--initial-confusion", path("c.csv"), "--confusion", path("c.csv")}),
                   "it is an input");
}

TEST_F(LabelStart, AbstentionsAreNoLabelAndMaySaySomething) {
  const RunResult ignored = aggregate({"--abstain", "unsure", "--json"});
  ASSERT_EQ(ignored.code, 0) << ignored.err;
  EXPECT_EQ(ignored.json()["annotations"], 100);
  EXPECT_EQ(ignored.json()["labels"].size(), 2U);
  const RunResult marked = aggregate(
      {"--abstain", "unsure", "-p", "abstentions=marked", "--workers", path("w.csv"), "--json"});
  ASSERT_EQ(marked.code, 0) << marked.err;
  EXPECT_EQ(marked.json()["annotations"], 120);
  EXPECT_THAT(contents_of(path("w.csv")),
              StartsWith("worker,annotations,skill,abstains:0,abstains:1,label_accuracy\n"));
  // cal abstains on class 1, and on nothing else.
  EXPECT_THAT(contents_of(path("w.csv")), HasSubstr("cal,40,"));
  EXPECT_THAT(aggregate({"--abstain", "unsre"}).err,
              HasSubstr("no annotation has the label 'unsre'"));
  expect_bad_usage(aggregate({"-p", "abstentions=marked"}), "no annotation is an abstention");
}

TEST_F(LabelStart, AStateHoldsThatAbstentionsSaySomething) {
  const std::string more =
      folder_.write("more.csv", "task,worker,label\nt0,dan,1\nt1,dan,unsure\nt40,dan,0\n").string();
  const std::string state = path("state.safetensors");
  const auto with = [](std::vector<std::string> words) {
    words.insert(words.end(), {"--abstain", "unsure", "-p", "abstentions=marked"});
    return words;
  };
  ASSERT_EQ(aggregate(with({"--state", state})).code, 0);
  const RunResult updated = run_amalgam({"label", "update", state, more, "--abstain", "unsure",
                                         "--soft", path("updated.csv"), "--json"});
  ASSERT_EQ(updated.code, 0) << updated.err;
  EXPECT_EQ(updated.json()["fits_everything"], true);
  ASSERT_EQ(aggregate(with({more, "--soft", path("soft.csv")})).code, 0);
  EXPECT_EQ(contents_of(path("updated.csv")), contents_of(path("soft.csv")));
  expect_bad_usage(run_amalgam({"label", "predict", state, more, "--out", path("p.csv")}),
                   "abstentions say something cannot label new tasks");
}

// What an update of a state gives is the fit of all files at once, for methods that are exact.
TEST_F(LabelStart, StatesOfMethodsThatAreExactEqualAFitOfEverything) {
  const std::string more =
      folder_.write("more.csv", "task,worker,label\nt0,dan,1\nt1,dan,1\nt40,dan,0\nt40,amy,0\n")
          .string();
  for (const char* method :
       {"majority-vote", "weighted-majority", "wawa", "zero-based-skill", "fast-dawid-skene"}) {
    const std::string state = path("state.safetensors");
    ASSERT_EQ(aggregate({"--abstain", "unsure", "--method", method, "--state", state}).code, 0);
    const RunResult updated =
        run_amalgam({"label", "update", state, more, "--out", path("updated.csv"), "--json"});
    ASSERT_EQ(updated.code, 0) << updated.err;
    EXPECT_EQ(updated.json()["new_tasks"], 1) << method;
    EXPECT_EQ(updated.json()["stale_mass"], 0) << method;
    ASSERT_EQ(aggregate({more, "--abstain", "unsure", "--method", method}).code, 0);
    EXPECT_EQ(contents_of(path("updated.csv")), contents_of(path("l.csv"))) << method;
    EXPECT_EQ(run_amalgam({"label", "ask", "--state", state, "--budget", "1"}).code, 0);
  }
}

TEST_F(LabelStart, LabellingFunctionsThatAbstainOnOneClassFindIt) {
  std::ostringstream votes;
  for (int item = 0; item < 60; ++item) {
    // Of class 1 the first two functions say nothing at all.
    votes << (item % 3 == 0 ? "-1,-1,1\n" : item % 5 == 0 ? "0,-1,0\n" : "0,0,-1\n");
  }
  votes << "-1,-1,-1\n";
  const std::string matrix = folder_.write("v.csv", votes.str()).string();
  const RunResult result = run_amalgam({"label", "weak", matrix, "--method", "dawid-skene", "-p",
                                        "abstentions=missing", "--out", path("l.csv")});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(contents_of(path("l.csv")), HasSubstr("\n60,1\n"));
}

}  // namespace
}  // namespace amalgam
