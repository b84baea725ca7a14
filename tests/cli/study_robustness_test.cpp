// `amalgam study robustness` on the real program.
#include <gmock/gmock.h>

#include <string>

#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

using ::testing::HasSubstr;

// The third model guesses.
constexpr const char* kTable =
    "model,dataset,resolution,accuracy,classes\n"
    "a,x,HR,90,10\na,x,64,80,10\na,x,16,30,10\na,y,HR,80,5\na,y,64,70,5\na,y,16,50,5\n"
    "b,x,HR,85,10\nb,x,64,80,10\nb,x,16,50,10\nb,y,HR,70,5\nb,y,64,65,5\nb,y,16,30,5\n"
    "c,x,HR,10.1,10\nc,x,64,10,10\nc,x,16,10,10\nc,y,HR,20,5\nc,y,64,21,5\nc,y,16,20,5\n";

class StudyRobustness : public testing::Test {
 protected:
  std::string path(const char* name) const { return (folder_ / name).string(); }
  TemporaryFolder folder_;
  const std::string table_ = folder_.write("table.csv", kTable).string();
};

TEST_F(StudyRobustness, RanksAModelThatGuessesLastAndNotFirst) {
  const RunResult result =
      run_amalgam({"study", "robustness", table_, "--percent", "--json", "--html",
                   path("page.html"), "--out", path("cells.csv"), "--properties",
                   folder_.write("models.csv", "model,size\na,1\nb,3\nc,2\n").string()});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = result.json();
  EXPECT_EQ(json["resolutions"], (nlohmann::ordered_json{"64", "16"}));
  ASSERT_EQ(json["models"].size(), 3U);
  EXPECT_EQ(json["models"][0]["model"], "b");
  EXPECT_EQ(json["models"][2]["model"], "c");
  EXPECT_EQ(json["models"][2]["sar_rank"][1], 1) << "relative robustness alone ranks it first";
  // 50/85 and 30/70, each nearly whole.
  EXPECT_NEAR(json["models"][0]["war"][1].get<double>(), (50.0 / 85 + 30.0 / 70) / 2, 1e-6);
  EXPECT_EQ(json["models"][2]["above_native"], 1);
  EXPECT_EQ(json["properties"][0]["spearman_war"], 0.5);
  EXPECT_THAT(result.err, HasSubstr("no better than chance"));
  EXPECT_THAT(contents_of(path("cells.csv")), HasSubstr("a,x,16,0.333333"));
  EXPECT_THAT(contents_of(path("page.html")), HasSubstr("WAR by resolution"));
}

TEST_F(StudyRobustness, OptimisesWeightsTheSameWithAnyNumberOfThreads) {
  const auto run = [&](const char* threads) {
    return run_amalgam({"study", "robustness", table_, "--percent", "--optimise", "maximin", "--at",
                        "64", "--seed", "2", "--threads", threads, "--json"});
  };
  const RunResult one = run("1");
  ASSERT_EQ(one.code, 0) << one.err;
  EXPECT_EQ(one.out, run("3").out);
  EXPECT_GE(one.json()["optimised"]["objective"], one.json()["optimised"]["equal_objective"]);
  EXPECT_EQ(one.json()["weights"], "optimised (maximin) at 64");
}

TEST_F(StudyRobustness, SaysWhatIsWrong) {
  expect_bad_usage(run_amalgam({"study", "robustness", table_}), "table.csv:2", "in percent");
  const auto refused = [&](const std::vector<std::string>& more, const char* text) {
    std::vector<std::string> words{"study", "robustness", table_, "--percent"};
    words.insert(words.end(), more.begin(), more.end());
    expect_bad_usage(run_amalgam(words), text);
  };
  refused({"--weights", "published"}, "no published weight of data set 'x'");
  refused({"--at", "8"}, "it has 64, 16");
  refused({"--class-count", "x"}, "expected NAME=NUMBER");
  refused({"--importance", "x=2"}, "belongs to --optimise sum");
  refused({"--out", table_}, "input");
}

}  // namespace
}  // namespace amalgam
