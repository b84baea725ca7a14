// `amalgam label weak` and `amalgam label autows`.
#include <gmock/gmock.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "amalgam/core/random.hpp"
#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

using ::testing::HasSubstr;

class LabelWeak : public testing::Test {
 protected:
  std::string write(const char* name, const std::string& text) {
    return folder_.write(name, text).string();
  }
  std::string path(const char* name) const { return (folder_ / name).string(); }
  std::string read(const char* name) const { return contents_of(folder_ / name); }

  // 200 items, five functions of two classes that are right on 4 of 5 items, and abstain on 1 of 4.
  std::string votes() {
    RandomStream random(1, "votes");
    std::string text = "a,b,c,d,e\n";
    gold_ = "task,label\n";
    for (int item = 0; item < 200; ++item) {
      const auto truth = random.below(2);
      gold_ += std::to_string(item) + "," + std::to_string(truth) + "\n";
      for (int j = 0; j < 5; ++j) {
        const bool abstains = random.uniform() < .25;
        const bool right = random.uniform() < .8;
        text += abstains ? "-1" : std::to_string(right ? truth : 1 - truth);
        text += j < 4 ? "," : "\n";
      }
    }
    return write("votes.csv", text);
  }

  const TemporaryFolder folder_;
  std::string gold_;
};

// Items without names do not take those that are there, whatever these are.
TEST_F(LabelWeak, NumbersOfNewItemsAreBehindAllNames) {
  const std::string state = path("state.safetensors");
  const std::string named = write("named.csv", "task,a,b\n3,0,1\n4,1,1\nx,0,0\n");
  const std::string gold = write("gold.csv", "task,label\n3,0\n4,1\n");
  ASSERT_EQ(run_amalgam({"label", "weak", named, "--method", "gold-majority", "--gold", gold,
                         "--out", path("o.csv"), "--state", state})
                .code,
            0);
  const RunResult result = run_amalgam({"label", "weak", write("other.csv", "c,d\n1,1\n0,0\n"),
                                        "--from", state, "--out", path("o.csv"), "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.json()["new_items"], 2);
  EXPECT_EQ(result.json()["new_functions"], 2);
  EXPECT_THAT(result.err, HasSubstr("none of the 2 functions was there before"));
  EXPECT_THAT(read("o.csv"), HasSubstr("x,0\n5,"));
}

TEST_F(LabelWeak, GoesOnFromAState) {
  const std::string first = write("first.csv", "a,b,c\n0,0,1\n1,1,1\n0,1,0\n-1,-1,-1\n");
  const std::string more = write("more.csv", "a,b,d\n1,1,0\n0,-1,0\n");
  const std::string both =
      write("both.csv", "a,b,c,d\n0,0,1,\n1,1,1,\n0,1,0,\n-1,-1,-1,-1\n1,1,,0\n0,-1,,0\n");
  const std::string state = path("state.safetensors");
  const auto weak = [&](std::vector<std::string> words, const char* to) {
    words.insert(words.begin(), {"label", "weak"});
    words.insert(words.end(), {"--out", path("labels.csv"), "--soft", path(to), "--json"});
    const RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.json();
  };
  const std::vector<std::string> how{"--method", "standard", "--classes", "2", "--balance", "3,1"};
  const auto with = [&](std::vector<std::string> words) {
    words.insert(words.end(), how.begin(), how.end());
    return words;
  };
  weak(with({first, "--state", state}), "first-soft.csv");
  const auto json = weak({more, "--from", state, "--state", state}, "soft.csv");
  EXPECT_EQ(json["added"], 5);
  EXPECT_EQ(json["new_items"], 2);
  EXPECT_EQ(json["new_functions"], 1);
  EXPECT_EQ(json["items"], 6);
  weak(with({both}), "whole-soft.csv");
  EXPECT_EQ(read("soft.csv"), read("whole-soft.csv"));
  EXPECT_THAT(read("soft.csv"), HasSubstr("3,0.75,0.25\n"));
  EXPECT_EQ(weak({write("next.csv", "a,b\n1,1\n"), "--from", state, "--refine"}, "s.csv")["items"],
            7);
  const auto refused = [&](std::vector<std::string> words, const char* text) {
    words.insert(words.begin(), {"label", "weak", more, "--from", state, "--out", path("o.csv")});
    const RunResult result = run_amalgam(words);
    EXPECT_EQ(result.code, 2);
    EXPECT_THAT(result.err, HasSubstr(text));
  };
  refused({"--balance", "1,1"}, "are those of the state");
  refused({"--method", "wawa"}, "is a state of 'standard'");
  refused({"--seed", "3"}, "has the seed of its first fit");
  const RunResult updated =
      run_amalgam({"label", "update", state, write("t.csv", "task,worker,label\n9,a,1\n")});
  EXPECT_EQ(updated.code, 2);
  EXPECT_THAT(updated.err, HasSubstr("label weak"));
}

TEST_F(LabelWeak, AModelLabelsRowsWithoutAFit) {
  const std::string matrix = votes();
  const RunResult fitted =
      run_amalgam({"label", "weak", matrix, "--out", path("labels.csv"), "--soft", path("soft.csv"),
                   "--model", path("model.safetensors")});
  ASSERT_EQ(fitted.code, 0) << fitted.err;
  const RunResult same =
      run_amalgam({"label", "predict", path("model.safetensors"), "--matrix", matrix, "--out",
                   path("again.csv"), "--gold", write("gold.csv", gold_), "--json"});
  ASSERT_EQ(same.code, 0) << same.err;
  EXPECT_EQ(contents_of(path("again.csv")), contents_of(path("labels.csv")));
  EXPECT_EQ(same.json()["method"], "generative");
  EXPECT_GT(same.json()["accuracy"].get<double>(), .8);
  // Annotations by names that the model knows are votes as well; those of others say nothing.
  const RunResult other =
      run_amalgam({"label", "predict", path("model.safetensors"),
                   write("more.csv", "task,worker,label\nx,a,1\nx,b,1\nx,zoe,0\n"), "--out", "-"});
  ASSERT_EQ(other.code, 0) << other.err;
  EXPECT_EQ(other.out, "task,label\nx,1\n");
  EXPECT_THAT(other.err, ::testing::HasSubstr("1 of 3 annotations are of workers whom the model"));
  const RunResult wrong =
      run_amalgam({"label", "predict", matrix, "--matrix", matrix, "--out", path("x.csv")});
  EXPECT_EQ(wrong.code, 2);
}

TEST_F(LabelWeak, WritesLabelsProbabilitiesAndAnalysis) {
  const std::string matrix = votes();
  const RunResult run = run_amalgam({"label", "weak", matrix, "--method", "dawid-skene", "--gold",
                                     write("gold.csv", gold_), "--out", path("labels.csv"),
                                     "--soft", path("soft.csv"), "--analysis", path("analysis.csv"),
                                     "--workers", path("workers.csv"), "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto json = run.json();
  EXPECT_EQ(json["items"], 200);
  EXPECT_EQ(json["functions"], 5);
  EXPECT_GT(json["accuracy"].get<double>(), .85);
  EXPECT_GE(json["accuracy"].get<double>(), json["accuracy_all"].get<double>());
  EXPECT_EQ(json["analysis"][2]["name"], "c");
  EXPECT_NEAR(json["analysis"][2]["accuracy"].get<double>(), .8, .1);
  EXPECT_NEAR(json["analysis"][2]["coverage"].get<double>(), .75, .1);
  const std::string labels = contents_of(path("labels.csv"));
  EXPECT_TRUE(labels.starts_with("task,label\n0,")) << labels.substr(0, 30);
  EXPECT_EQ(std::count(labels.begin(), labels.end(), '\n'), 201);
  EXPECT_TRUE(contents_of(path("soft.csv")).starts_with("task,0,1\n"));
  EXPECT_TRUE(contents_of(path("analysis.csv"))
                  .starts_with("function,votes,coverage,overlap,conflict,polarity,judged,accuracy\n"
                               "a,"));
  EXPECT_EQ(std::count(labels.begin(), labels.end(), '\n'), 201);
}

TEST_F(LabelWeak, GivesItemsWithoutVotesTheBalanceWithAWarning) {
  const RunResult run = run_amalgam(
      {"label", "weak", write("nothing.csv", "-1,-1\n-1,-1\n"), "--classes", "2", "--balance",
       "1,3", "--method", "majority-vote", "--out", path("l.csv"), "--soft", path("s.csv")});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.err, HasSubstr("no labelling function votes on any item"));
  EXPECT_EQ(contents_of(path("s.csv")), "task,0,1\n0,0.25,0.75\n1,0.25,0.75\n");
  EXPECT_EQ(contents_of(path("l.csv")), "task,label\n0,1\n1,1\n");
}

TEST_F(LabelWeak, RefusesBadInput) {
  const std::string out = path("l.csv");
  const auto refusal = [&](const std::string& matrix, const std::vector<std::string>& more = {}) {
    std::vector<std::string> words{"label", "weak", matrix, "--out", out};
    words.insert(words.end(), more.begin(), more.end());
    return run_amalgam(words);
  };
  expect_bad_usage(refusal(write("a.csv", "0,1\n1,-3\n")), "a.csv: item 1", "the vote is -3");
  expect_bad_usage(refusal(write("a.csv", "0,1\n1,2\n"), {"--classes", "2"}), "a class below 2");
  expect_bad_usage(refusal(write("a.csv", "0,1\n1,0\n")), "'generative' needs at least 3 workers");
  expect_bad_usage(refusal(write("a.csv", "0,1\n1,0\n"), {"--method", "flying-squid"}),
                   "at least 3 workers");
  expect_bad_usage(refusal(write("a.csv", "0,1\n1,0\n"), {"--balance", "0.5,x"}), "--balance",
                   "'x'");
  expect_bad_usage(refusal(write("a.csv", "-1\n-1\n")), "abstains on every item");
  expect_bad_usage(refusal(path("gone.npy")), "gone.npy");
  expect_bad_usage(refusal(write("b.npy", "no array")), "not a .npy file");
  expect_bad_usage(refusal(write("a.csv", "0,1\n1,0\n"), {"--method", "flying-squirrel"}),
                   "did you mean 'flying-squid'");
  EXPECT_FALSE(std::filesystem::exists(out));
}

class LabelAutoWs : public LabelWeak {
 protected:
  void SetUp() override {
    if (run_amalgam({"train", "--help"}).code != 0) {
      GTEST_SKIP() << "this build has no learning library";
    }
  }

  // 300 rows of three classes: three numbers that tell each, and noise.
  std::string table() {
    RandomStream random(2, "autows table");
    std::string text = "a,b,c,d,e,f,g,h,i,noise,kind\n";
    const char* names[] = {"ant", "bee", "cow"};
    for (int row = 0; row < 300; ++row) {
      const auto truth = random.below(3);
      for (std::size_t c = 0; c < 10; ++c) {
        text += std::to_string((c < 9 && c % 3 == truth ? 4 : 0) + random.normal()) + ",";
      }
      text += std::string(names[truth]) + "\n";
    }
    return write("table.csv", text);
  }
};

TEST_F(LabelAutoWs, WritesTheTrainingSetOfAPipeline) {
  const std::string data = table();
  const auto autows = [&](std::vector<std::string> more) {
    std::vector<std::string> words{
        "label",      "autows", data,         "--label", "kind",      "--rounds",      "3",
        "--labelled", "40",     "--features", "raw",     "--methods", "few-shot,snuba"};
    words.insert(words.end(), more.begin(), more.end());
    return run_amalgam(words);
  };
  const RunResult run =
      autows({"--out", path("l.csv"), "--soft", path("s.csv"), "--seeds", "2", "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto set = run.json()["training_set"];
  // Few-shot makes no training set; of the others the one that is best on test rows is taken.
  const auto rows = run.json()["table"];
  const bool generative_wins = rows[1]["accuracy_all"].get<double>() >= rows[2]["accuracy_all"];
  EXPECT_EQ(rows[1]["method"], "Snuba, generative");
  EXPECT_EQ(set["pipeline"],
            generative_wins ? "raw, Snuba, generative" : "raw, Snuba, majority-vote");
  std::vector<std::string> truth;
  std::istringstream table(contents_of(data));
  std::string line;
  std::getline(table, line);
  while (std::getline(table, line)) truth.push_back(line.substr(line.rfind(',') + 1));
  std::istringstream labels(contents_of(path("l.csv")));
  std::getline(labels, line);
  EXPECT_EQ(line, "task,label");
  std::size_t count = 0;
  std::size_t right = 0;
  while (std::getline(labels, line)) {
    const std::size_t comma = line.find(',');
    right += truth.at(std::stoul(line.substr(0, comma))) == line.substr(comma + 1) ? 1 : 0;
    ++count;
  }
  EXPECT_EQ(count, set["rows"]);
  EXPECT_GT(count, 80U);
  EXPECT_LE(count, 170U);  // 40 labelled ones, and what is covered of 130
  EXPECT_GT(right * 10, count * 7);
  const std::string soft = contents_of(path("s.csv"));
  EXPECT_EQ(soft.substr(0, soft.find('\n')), "task,ant,bee,cow");
  EXPECT_EQ(static_cast<std::size_t>(std::count(soft.begin(), soft.end(), '\n')), count + 1);

  const RunResult named =
      autows({"--out", path("n.csv"), "--pipeline", "raw, Snuba, majority-vote", "--json"});
  EXPECT_EQ(named.json()["training_set"]["pipeline"], "raw, Snuba, majority-vote");
  expect_bad_usage(autows({"--out", path("x.csv"), "--pipeline", "raw, Snuba, generativ"}),
                   "did you mean 'raw, Snuba, generative'?");
  expect_bad_usage(autows({"--pipeline", "raw, Snuba, generative"}), "--out or --soft is missing");
  expect_bad_usage(autows({"--out", data}), "it is an input");
}

TEST_F(LabelAutoWs, ComparesMethodsOnEveryKindOfFeatures) {
  const RunResult run = run_amalgam({"label",
                                     "autows",
                                     table(),
                                     "--label",
                                     "kind",
                                     "--labelled",
                                     "40",
                                     "--features",
                                     "raw",
                                     "--features",
                                     "pca:3",
                                     "--methods",
                                     "few-shot,label-propagation,goggles,snuba",
                                     "--rounds",
                                     "4",
                                     "--label-models",
                                     "majority-vote,generative",
                                     "--seeds",
                                     "2",
                                     "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto json = run.json();
  EXPECT_EQ(json["labelled"], 40);
  EXPECT_EQ(json["unlabelled"], 130);
  EXPECT_EQ(json["test"], 130);
  ASSERT_EQ(json["table"].size(), 10U);  // (3 + 2 label models) x 2 kinds of features
  EXPECT_EQ(json["runs"].size(), 20U);
  for (const auto& row : json["table"]) {
    EXPECT_GT(row["accuracy"].get<double>(), .6) << row;
    EXPECT_NEAR(row["accuracy_all"].get<double>(),
                row["accuracy"].get<double>() * row["coverage"].get<double>(), .02)
        << row;
  }
  EXPECT_EQ(json["table"][0]["coverage"], 1.0);
  EXPECT_EQ(json["profile"]["tasks"], 4);
}

TEST_F(LabelAutoWs, TakesAnyMatrixZeroShotLogitsAndEndModels) {
  const std::string data = table();
  std::string matrix;
  std::string logits;
  RandomStream random(2, "autows table");
  RandomStream noise(3, "matrix");
  for (int row = 0; row < 300; ++row) {
    const auto truth = random.below(3);
    for (int c = 0; c < 10; ++c) (void)random.normal();
    for (std::size_t c = 0; c < 9; ++c) {
      matrix += std::to_string((c % 3 == truth ? 1 : 0) + .1 * noise.uniform());
      matrix += c < 8 ? "," : "\n";
    }
    logits += std::string(truth == 0 ? "9,0,0" : truth == 1 ? "0,9,0" : "0,0,9") + "\n";
  }
  const RunResult run = run_amalgam({"label",
                                     "autows",
                                     data,
                                     "--label",
                                     "kind",
                                     "--labelled",
                                     "30",
                                     "--features",
                                     write("matrix.csv", matrix),
                                     "--logits",
                                     write("logits.csv", logits),
                                     "--methods",
                                     "few-shot,snuba,iws",
                                     "--queries",
                                     "3",
                                     "--rounds",
                                     "3",
                                     "--label-models",
                                     "generative",
                                     "--end-model",
                                     "--threads",
                                     "1",
                                     "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto json = run.json();
  std::vector<std::string> methods;
  for (const auto& row : json["table"]) methods.push_back(row["method"]);
  EXPECT_THAT(methods, testing::ElementsAre("few-shot", "Snuba, generative",
                                            "Snuba, generative, end model", "IWS, generative",
                                            "IWS, generative, end model", "zero-shot, logits"));
  EXPECT_EQ(json["table"][2]["coverage"], 1.0);
}

TEST_F(LabelAutoWs, TrainsEndModelsOnHardLabelsIfAskedFor) {
  const std::string data = table();
  const auto autows = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words{
        "label", "autows",         data,         "--label",    "kind", "--rounds",
        "3",     "--labelled",     "30",         "--features", "raw",  "--methods",
        "snuba", "--label-models", "generative", "--threads",  "1",    "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return run_amalgam(words);
  };
  const RunResult run = autows({"--end-model", "--end-model-labels", "hard"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.json()["table"][1]["method"], "Snuba, generative, end model on hard labels");
  expect_bad_usage(autows({"--end-model-labels", "hard"}), "--end-model-labels needs --end-model");
  expect_bad_usage(autows({"--end-model", "--end-model-labels", "certain"}), "certain");
}

TEST_F(LabelAutoWs, HoldsADialogueByAFile) {
  const std::string data = table();
  const std::vector<std::string> words{"label",
                                       "autows",
                                       data,
                                       "--label",
                                       "kind",
                                       "--labelled",
                                       "40",
                                       "--features",
                                       "raw",
                                       "--methods",
                                       "iws",
                                       "--queries",
                                       "1",
                                       "--acquisition",
                                       "random",
                                       "--label-models",
                                       "majority-vote",
                                       "--dialogue",
                                       path("talk.json"),
                                       "--threads",
                                       "1",
                                       "--json"};
  const RunResult first = run_amalgam(words);
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.json()["questions"], 3);
  std::string talk = contents_of(path("talk.json"));
  for (std::size_t at = 0; (at = talk.find("\"useful\": null")) != std::string::npos;) {
    talk.replace(at, 14, "\"useful\": true");
  }
  write("talk.json", talk);
  const RunResult second = run_amalgam(words);
  ASSERT_EQ(second.code, 0) << second.err;
  ASSERT_EQ(second.json()["table"].size(), 1U);
  EXPECT_EQ(second.json()["table"][0]["functions"], 3);
}

TEST_F(LabelAutoWs, RefusesBadInput) {
  const std::string data = table();
  const auto refusal = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words{"label", "autows", data, "--label", "kind"};
    words.insert(words.end(), more.begin(), more.end());
    return run_amalgam(words);
  };
  expect_bad_usage(refusal({"--labelled", "2"}), "a labelled row of each class");
  expect_bad_usage(refusal({"--labelled", "300"}), "300 labelled");
  expect_bad_usage(refusal({"--features", "pca:0"}), "pca:N");
  expect_bad_usage(refusal({"--features", write("m.csv", "1,2\n")}),
                   "1 rows; expected one for each");
  expect_bad_usage(refusal({"--features", write("n.csv", "1,nan\n")}), "row 0, column 1 is nan");
  expect_bad_usage(refusal({"--label-models", "best"}), "there is no label method 'best'");
  expect_bad_usage(refusal({"--dialogue", path("talk.json")}), "--dialogue is for the method iws");
}

}  // namespace
}  // namespace amalgam
