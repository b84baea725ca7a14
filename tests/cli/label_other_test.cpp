#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

using ::testing::HasSubstr;

/// Annotations that are not one label each: comparisons, texts, masks, several labels.
class LabelOther : public ::testing::Test {
 protected:
  std::string write(const std::string& name, std::string_view text) const {
    const std::string path = (folder_ / name).string();
    std::ofstream(path) << text;
    return path;
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string read(const std::string& name) const { return contents_of(folder_ / name); }
  void expect_refused(const std::vector<std::string>& words, const std::string& text) const {
    const RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 2) << result.out;
    EXPECT_THAT(result.err, HasSubstr(text));
  }

  TemporaryFolder folder_;
};

TEST_F(LabelOther, PairwiseRanksItems) {
  const std::string pairs = write("pairs.csv",
                                  "worker,left,right,label\nv,x,y,x\nv,y,x,x\nw,x,y,x\nw,x,y,y\n"
                                  "v,y,z,y\nw,z,y,z\nw,y,z,y\nv,y,z,y\n");
  RunResult result =
      run_amalgam({"label", "pairwise", pairs, "--out", path("ranking.csv"), "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  // Odds of x against y are 3 : 1, and of y against z too.
  const auto json = result.json();
  EXPECT_EQ(json["comparisons"], 8);
  EXPECT_EQ(json["items"][0]["item"], "x");
  EXPECT_NEAR(json["items"][0]["score"].get<double>(), 9.0 / 13, 1e-3);
  EXPECT_THAT(read("ranking.csv"), ::testing::StartsWith("item,score,rank\nx,0.69"));

  result = run_amalgam({"label", "pairwise", pairs, "--method", "noisy-bradley-terry", "--out",
                        path("ranking.csv"), "--workers", path("workers.csv")});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(read("workers.csv"), ::testing::StartsWith("worker,skill,bias\nv,0."));
  expect_refused({"label", "pairwise", pairs, "--out", path("r"), "--workers", path("w")},
                 "takes all workers as alike");
  expect_refused({"label", "pairwise", pairs, "--out", path("r"), "-p", "priori=1"},
                 "did you mean 'prior'?");
  expect_refused({"label", "pairwise", pairs, "--out", pairs}, "it is an input");
}

TEST_F(LabelOther, PairwiseGoesOnFromAState) {
  const std::string first =
      write("first.csv", "worker,left,right,label\nv,x,y,x\nv,y,x,x\nw,x,y,x\nw,x,y,y\n");
  const std::string more =
      write("more.csv", "worker,left,right,label\nu,y,z,y\nw,z,y,z\nw,y,z,y\nv,y,z,y\n");
  const std::string both = write("both.csv",
                                 "worker,left,right,label\nv,x,y,x\nv,y,x,x\nw,x,y,x\nw,x,y,y\n"
                                 "u,y,z,y\nw,z,y,z\nw,y,z,y\nv,y,z,y\n");
  const std::string state = path("state.safetensors");
  const std::vector<std::string> precise{"-p", "tolerance=1e-12", "-p", "iterations=10000"};
  const auto pairwise = [&](std::vector<std::string> words, bool with_parameters) {
    words.insert(words.begin(), {"label", "pairwise"});
    words.insert(words.end(), {"--out", path("ranking.csv"), "--json"});
    if (with_parameters) words.insert(words.end(), precise.begin(), precise.end());
    const RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.json();
  };
  pairwise({first, "--state", state}, true);
  const auto updated = pairwise({more, "--from", state, "--state", state}, false);
  EXPECT_EQ(updated["comparisons"], 8);
  EXPECT_EQ(updated["added"], 4);
  EXPECT_EQ(updated["new_items"], 1);
  EXPECT_EQ(updated["new_workers"], 1);
  const auto whole = pairwise({both}, true);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(updated["items"][i]["item"], whole["items"][i]["item"]);
    EXPECT_NEAR(updated["items"][i]["score"].get<double>(),
                whole["items"][i]["score"].get<double>(), 1e-9);
  }
  const auto refused = [&](std::vector<std::string> words, const char* text) {
    words.insert(words.begin(), {"label", "pairwise", more, "--out", path("r")});
    expect_refused(words, text);
  };
  refused({"--from", state, "--method", "noisy-bradley-terry"}, "is a state of 'bradley-terry'");
  refused({"--from", state, "-p", "prior=1"}, "the parameters of its first fit");
  refused({"--state", path("state.txt")}, "ends in .safetensors");
  expect_refused({"label", "update", state, more, "--out", path("r")},
                 "it is a state of 'amalgam label pairwise'");
  expect_refused({"label", "pairwise", more, "--from", state, "--out", state}, "it is an input");
  expect_refused({"label", "predict", state, "--matrix", more, "--out", path("r")},
                 "a state of 'amalgam label pairwise' labels no new tasks");
  // A name that a script has left empty; a folder, whose file would not be known as an input.
  refused({"--from", "", "--state", state}, "expected the name of a state");
  refused({"--from", path("")}, "not a regular file but a folder");
}

TEST_F(LabelOther, MethodsOfTheseAreListed) {
  const RunResult all = run_amalgam({"label", "methods", "--json"});
  std::vector<std::string> names;
  const auto json = all.json();
  for (const auto& method : json["other_methods"]) names.push_back(method["name"]);
  EXPECT_THAT(names, ::testing::IsSupersetOf({"bradley-terry", "noisy-bradley-terry", "rover", "em",
                                              "majority", "binary-relevance", "snuba"}));
  EXPECT_THAT(run_amalgam({"label", "methods"}).out, HasSubstr("label pairwise"));
  EXPECT_THAT(run_amalgam({"label", "methods", "noisy-bradley-terry"}).out,
              HasSubstr("regularisation"));
  EXPECT_EQ(run_amalgam({"label", "methods", "rover", "--json"}).json()["command"], "label text");
}

TEST_F(LabelOther, TextAlignsWords) {
  const std::string texts = write("texts.csv",
                                  "task,worker,text\nb,1,\"the cat, sat\"\nb,2,cat sat\n"
                                  "b,3,the cat sat\na,1,hello\n");
  const RunResult result =
      run_amalgam({"label", "text", texts, "--out", path("out.csv"), "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.json()["tasks"], 2);
  EXPECT_THAT(read("out.csv"), HasSubstr("b,the cat sat,"));
  EXPECT_THAT(read("out.csv"), HasSubstr("a,hello,1\n"));
  expect_refused({"label", "text", write("empty.csv", "task,worker,text\n"), "--out", path("o")},
                 "it has no text");
}

TEST_F(LabelOther, MasksTakeRunsAndArrays) {
  std::string header = "{'descr': '|b1', 'fortran_order': False, 'shape': (1, 4), }";
  header.resize(117, ' ');
  header += '\n';
  write("third.npy", std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) +
                         std::string(1, '\0') + header + std::string("\1\1\0\0", 4));
  const std::string masks =
      write("masks.csv", "task,worker,mask\nt,1,\"1x4:0,2,2\"\nt,2,\"1x4:1,3\"\nt,3,third.npy\n");
  for (const std::string method : {"majority", "em"}) {
    const RunResult result =
        run_amalgam({"label", "masks", masks, "--method", method, "--out", path("out.csv")});
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(read("out.csv"), "task,mask\nt,\"1x4:0,2,2\"\n");
  }
  expect_refused({"label", "masks", write("bad.csv", "task,worker,mask\nt,1,1x4\n"), "--out", "o"},
                 "bad.csv:2:5: the mask is '1x4'");
  expect_refused({"label", "masks", write("sizes.csv", "task,worker,mask\nt,1,1x4:4\nt,2,1x3:3\n"),
                  "--out", "o"},
                 "task 't': a mask of 1 times 3 pixels");
}

TEST_F(LabelOther, MultilabelFindsEachLabelByItself) {
  const std::string annotations = write("several.csv",
                                        "task,worker,label\np,1,cat\np,1,dog\np,2,cat\np,3,dog\n"
                                        "q,1,sky\nq,2,sky\nq,3,cat\n");
  const RunResult result =
      run_amalgam({"label", "multilabel", annotations, "--method", "standard", "--out",
                   path("out.csv"), "--soft", path("soft.csv"), "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.json()["labels_found"], 3);
  EXPECT_EQ(read("out.csv"), "task,label\np,cat\np,dog\nq,sky\n");
  EXPECT_THAT(read("soft.csv"), ::testing::StartsWith("task,cat,dog,sky\np,0.666"));
}

TEST_F(LabelOther, MultilabelGoesOnFromAState) {
  const std::string first = write("first.csv",
                                  "task,worker,label\np,1,cat\np,1,dog\np,2,cat\np,3,dog\n"
                                  "q,1,sky\nq,2,sky\nq,3,cat\n");
  const std::string more = write("more.csv", "task,worker,label\nq,4,none\nr,1,sea\nr,2,cat\n");
  const std::string both = write("both.csv",
                                 "task,worker,label\np,1,cat\np,1,dog\np,2,cat\np,3,dog\n"
                                 "q,1,sky\nq,2,sky\nq,3,cat\nq,4,none\nr,1,sea\nr,2,cat\n");
  const std::string state = path("state.safetensors");
  const auto multilabel = [&](std::vector<std::string> words, const std::string& to) {
    words.insert(words.begin(), {"label", "multilabel"});
    words.insert(words.end(),
                 {"--out", path(to + ".csv"), "--soft", path(to + "-soft.csv"), "--json"});
    const RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.json();
  };
  multilabel({first, "--method", "standard", "--state", state}, "of-first");
  const auto json = multilabel({more, "--none", "none", "--from", state, "--state", state}, "all");
  EXPECT_EQ(json["added"], 3);
  EXPECT_EQ(json["new_labels"], 1);
  EXPECT_EQ(json["empty_answers"], 1);
  multilabel({both, "--none", "none", "--method", "standard"}, "whole");
  EXPECT_EQ(read("all.csv"), read("whole.csv"));
  EXPECT_EQ(read("all-soft.csv"), read("whole-soft.csv"));
  expect_refused({"label", "multilabel", first, "--from", state, "--out", path("o")},
                 "task 'p': '1' has answered it before");
  expect_refused(
      {"label", "multilabel", more, "--from", state, "--method", "wawa", "--out", path("o")},
      "is a state of 'standard'");
  EXPECT_EQ(
      multilabel({write("s.csv", "task,worker,label\ns,1,cat\n"), "--from", state, "--refine"},
                 "refined")["tasks"],
      4);
}

TEST_F(LabelOther, MultilabelReadsExportsWithSeveralLabelsAnAnswer) {
  const std::string amy = write("amy.jsonl",
                                "{\"id\":1,\"label\":[\"cat\",\"dog\"]}\n"
                                "{\"id\":2,\"label\":[\"unsure\"]}\n");
  const std::string bob = write("bob.jsonl",
                                "{\"id\":1,\"label\":[\"cat\",\"dog\"]}\n"
                                "{\"id\":2,\"label\":[\"sky\"]}\n");
  const RunResult result =
      run_amalgam({"label", "multilabel", amy, bob, "--format", "doccano", "--abstain", "unsure",
                   "--method", "standard", "--out", path("out.csv"), "--soft", path("soft.csv")});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(read("out.csv"), "task,label\n1,cat\n1,dog\n2,sky\n");
  EXPECT_THAT(read("soft.csv"), ::testing::StartsWith("task,cat,dog,sky\n1,1,1,0\n"));
  expect_refused({"label", "aggregate", amy, "--format", "doccano", "--out", path("o")},
                 "'amalgam label multilabel' is for several");
}

TEST_F(LabelOther, MultilabelCountsEmptyAnswersAsNo) {
  const auto rows = [](const std::string& none) {
    return "task,worker,label\np,A,cat\np,A,dog\np,B,cat\np,C," + none + "\nq,A,sky\n";
  };
  for (const std::string none : {"none", ""}) {
    const std::string annotations = write("a.csv", rows(none));
    const RunResult result =
        run_amalgam({"label", "multilabel", annotations, "--none", none, "--method", "standard",
                     "--out", path("out.csv"), "--soft", path("soft.csv"), "--json"});
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.json()["empty_answers"], 1);
    EXPECT_EQ(read("out.csv"), "task,label\np,cat\nq,sky\n");
    EXPECT_THAT(read("soft.csv"), ::testing::StartsWith("task,cat,dog,sky\np,0.666"));
  }
  const std::string empty = write("a.csv", rows(""));
  expect_refused({"label", "multilabel", empty, "--out", path("o")}, "a.csv:5");
  expect_refused({"label", "multilabel", empty, "--none", "cat", "--out", path("o")}, "a.csv:5");
  const std::string both = write("b.csv", "task,worker,label\np,A,cat\np,A,none\n");
  expect_refused({"label", "multilabel", both, "--none", "none", "--out", path("o")},
                 "worker 'A' says that no label applies ('none'), and gives 'cat'");
}

TEST_F(LabelOther, MultilabelFindsEmptyAnswersInExportsAndJsonLines) {
  const std::string amy = write("amy.jsonl",
                                "{\"id\":1,\"label\":[\"cat\",\"dog\"]}\n"
                                "{\"id\":2,\"label\":[]}\n");
  const std::string bob = write("bob.jsonl",
                                "{\"id\":1,\"label\":[]}\n"
                                "{\"id\":2,\"label\":[\"sky\"]}\n");
  const auto labels = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"label", "multilabel"});
    for (const char* word : {"--method", "standard", "--none", "", "--json", "--out"}) {
      words.emplace_back(word);
    }
    words.push_back(path("out.csv"));
    words.insert(words.end(), {"--soft", path("soft.csv")});
    return run_amalgam(words);
  };
  RunResult result = labels({amy, bob, "--format", "doccano"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.json()["empty_answers"], 2);
  EXPECT_EQ(read("soft.csv"), "task,cat,dog,sky\n1,0.5,0.5,0\n2,0,0,0.5\n");

  const std::string studio = write("studio.json",
                                   R"([{"id":1,"annotations":[
            {"completed_by":1,"created_at":"2024-05-01T12:00:00Z","result":[
              {"from_name":"what","type":"choices","value":{"choices":["cat"]}}]},
            {"completed_by":2,"created_at":"2024-05-01T12:00:00Z","result":[]},
            {"completed_by":3,"was_cancelled":true,"result":[]}]}])");
  result = labels({studio, "--format", "label-studio"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.json()["workers"], 2);
  EXPECT_EQ(read("soft.csv"), "task,cat\n1,0.5\n");

  const std::string lines = write("lines.jsonl",
                                  "{\"task\":1,\"worker\":\"A\",\"label\":\"cat\"}\n"
                                  "{\"task\":1,\"worker\":\"B\",\"label\":null}\n"
                                  "{\"task\":1,\"worker\":\"C\",\"label\":\"\"}\n");
  result = labels({lines});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.json()["empty_answers"], 2);
}

}  // namespace
}  // namespace amalgam
