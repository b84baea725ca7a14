// `amalgam study decisions` on the real program.
#include <gmock/gmock.h>

#include <string>

#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

using ::testing::HasSubstr;

class StudyDecisions : public testing::Test {
 protected:
  std::string path(const char* name) const { return (folder_ / name).string(); }
  TemporaryFolder folder_;
};

TEST_F(StudyDecisions, FindsThatAReferenceAlternatesAsPeopleDo) {
  RunResult result = run_amalgam({"study", "decisions", "--reference", "human,prng", "--series",
                                  "40", "--length", "25", "--seed", "1", "--save",
                                  path("answers.csv"), "--html", path("page.html"), "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto first = result.json();
  ASSERT_EQ(first["groups"].size(), 2U);
  EXPECT_EQ(first["groups"][0]["verdicts"]["negative_recency"], "yes");
  EXPECT_EQ(first["groups"][1]["verdicts"]["negative_recency"], "no");
  EXPECT_EQ(first["groups"][1]["verdicts"]["uniform"], "yes");
  EXPECT_NEAR(first["groups"][0]["recency"]["switch_rate"].get<double>(), 0.6, 0.05);
  EXPECT_EQ(first["comparisons"].size(), 1U);
  EXPECT_THAT(contents_of(path("page.html")), HasSubstr("Repeats after a run of equal answers"));
  EXPECT_THAT(contents_of(path("page.html")), HasSubstr("Patterns"));
  EXPECT_EQ(first["groups"][0]["patterns"].size(), 12U);

  // What was saved gives the same figures.
  result = run_amalgam(
      {"study", "decisions", path("answers.csv"), "--json", "--out", path("tests.csv")});
  const std::string tests = contents_of(path("tests.csv"));
  EXPECT_TRUE(tests.starts_with("of,test,statistic,degrees_of_freedom,p,exact,adjusted_p\n"));
  EXPECT_THAT(tests, HasSubstr("\nreference: human,order 1,"));
  EXPECT_THAT(tests, HasSubstr("\nreference: human and reference: prng,same share of yes,"));
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.json()["groups"], first["groups"]);
  result = run_amalgam({"study", "decisions", path("answers.csv")});
  EXPECT_THAT(result.out, HasSubstr("reference: human: rejected: order 1"));
}

TEST_F(StudyDecisions, ReadsRepliesWithOtherWordsAndACorpus) {
  std::string text = "reply,temperature,asked\n";
  for (int i = 0; i < 30; ++i) text += "\"1. BUY 2. buy, 3. sell; 4. hold 5. buy\",1,6\n";
  const std::string file = folder_.write("replies.csv", text).string();
  const std::string corpus =
      folder_.write("corpus.txt", "Sell, sell or buy? Buying is no buy.\n").string();
  const RunResult result = run_amalgam(
      {"study", "decisions", "--yes", "buy", "--no", "sell", file, "--corpus", corpus, "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto group = result.json()["groups"][0];
  EXPECT_EQ(group["answers"], 120);
  EXPECT_EQ(group["yes"], 90);
  EXPECT_EQ(group["invalid"], 30);
  EXPECT_EQ(group["short_series"], 30);
  EXPECT_EQ(group["transitions"]["yes_yes"], 30);
  EXPECT_EQ(group["transitions"]["no_yes"], 0) << "an invalid answer is between them";
  EXPECT_EQ(result.json()["corpus"]["yes"], 2);
  EXPECT_EQ(result.json()["corpus"]["words"], 4);
}

TEST_F(StudyDecisions, SaysWhatIsWrong) {
  expect_bad_usage(run_amalgam({"study", "decisions"}), "no answers", "--reference");
  expect_bad_usage(run_amalgam({"study", "decisions", "http://localhost:8000/v1"}),
                   "http://localhost:8000/v1", "comes with the language level");
  expect_bad_usage(run_amalgam({"study", "decisions", path("gone.csv")}), "gone.csv");
  expect_bad_usage(run_amalgam({"study", "decisions", "--reference", "humna"}),
                   "did you mean 'human'?");
  const std::string file = folder_.write("a.csv", "temperature,answer\n-1,yes\n").string();
  expect_bad_usage(run_amalgam({"study", "decisions", file}), "a.csv:2", "temperature");
  expect_bad_usage(run_amalgam({"study", "decisions", file, "--save", file}), "input");
}

}  // namespace
}  // namespace amalgam
