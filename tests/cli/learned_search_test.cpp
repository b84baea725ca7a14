// Parameters of methods that look at data, searched by half of the data; and what PLeaS and ZipIt!
// take.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/learned_merge_fixture.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class LearnedSearch : public LearnedMergeCommand {
 protected:
  std::string output(const std::string& method) const { return path(method + ".safetensors"); }
};

TEST_F(LearnedSearch, GivesTheMergeWithTheBestValue) {
  const json merged = merge("learned_soup", {"--search", "epochs=1,4", "--search",
                                             "learning_rate=0.01,0.1", "--search-by", "nll"});
  const json& searched = merged["search"];
  ASSERT_EQ(searched["trials"].size(), 4U);
  double least = 1e9;
  json best;
  for (const json& trial : searched["trials"]) {
    if (trial["nll"] < least) best = trial;
    least = std::min(least, trial["nll"].get<double>());
  }
  EXPECT_EQ(searched["best"], best);
  // The result is that of all the data.
  fs::rename(output("learned_soup"), path("searched.safetensors"));
  const json again =
      merge("learned_soup", {"-p", best["parameters"][0], "-p", best["parameters"][1]});
  EXPECT_TRUE(contents_of(path("searched.safetensors")) == contents_of(output("learned_soup")));
  EXPECT_EQ(again["parameters"], merged["parameters"]);
}

TEST_F(LearnedSearch, IsForEveryMethodThatHasParameters) {
  const std::vector<std::vector<std::string>> searches{
      {"adamerging", "steps=0,3", "--base", member("base")},
      {"frank_wolfe", "iterations=1,2", "--base", member("base")},
      {"pleas", "ridge=0.001,0.1"},
      {"zipit", "beta=0,1"}};
  for (const std::vector<std::string>& words : searches) {
    std::vector<std::string> more(words.begin() + 2, words.end());
    more.insert(more.end(), {"--search", words[1]});
    EXPECT_EQ(merge(words[0], more)["search"]["trials"].size(), 2U) << words[0];
  }
}

TEST_F(LearnedSearch, ChoosesDensitiesOfTwins) {
  const json merged = json::parse(succeed({"merge",
                                           "-m",
                                           "twin_merging",
                                           member("a"),
                                           member("b"),
                                           "--base",
                                           member("base"),
                                           "--data",
                                           path("data"),
                                           "--task",
                                           "name=plain",
                                           "--task",
                                           "name=other,corrupt=invert",
                                           "-p",
                                           "router_epochs=5",
                                           "-p",
                                           "router_batch=32",
                                           "--search",
                                           "density=0,1",
                                           "--json",
                                           "-o",
                                           path("twin")})
                                      .out);
  EXPECT_EQ(merged["search"]["trials"].size(), 2U);
  const std::string best = merged["search"]["best"]["parameters"][0];
  EXPECT_EQ(best, "density=" + std::to_string(merged["parameters"]["density"].get<int>()));
  EXPECT_TRUE(fs::exists(folder_ / "twin" / "twin.json"));
}

TEST_F(LearnedSearch, SaysWhatItCannotDo) {
  const auto run = [&](std::vector<std::string> more) {
    std::vector<std::string> words{"merge",      "-m",        "learned_soup",
                                   member("a"),  member("b"), "--data",
                                   path("data"), "-o",        path("no.safetensors")};
    words.insert(words.end(), more.begin(), more.end());
    return run_amalgam(words);
  };
  expect_bad_usage(run({"--search", "epochs=1,none"}), "epochs");
  expect_bad_usage(run({"--search", "epochs=1,2", "--examples", "1"}),
                   "1 examples; a search for parameters needs at least 2");
  EXPECT_FALSE(fs::exists(path("no.safetensors")));
  const RunResult shown =
      succeed({"merge", "-m", "learned_soup", member("a"), member("b"), "--data", path("data"),
               "--search", "epochs=1:5:1", "-o", path("no.safetensors"), "--dry-run"});
  EXPECT_NE(shown.out.find("5 points on"), std::string::npos) << shown.out;
}

// Not when the search has ended.
TEST_F(LearnedSearch, TypesThatTheOutputCannotHoldAreRefusedBefore) {
  const auto refused = [&](const std::string& type, const std::string& out,
                           const std::string& part) {
    expect_bad_usage(
        run_amalgam({"merge", "-m", "task_arithmetic", "-b", member("base"), member("a"),
                     member("b"), "-p", "weight=1", "--search", "lambda=0.1:1:0.1", "--data",
                     path("data"), "-o", path(out), "--dtype", type, "--threads", "1"}),
        part);
    EXPECT_FALSE(fs::exists(path("." + out + ".partial")));
  };
  refused("f8_e4m3", "no.gguf", "no.gguf: GGUF has no F8_E4M3; expected another output");
  refused("q8_0", "no.safetensors", "no.safetensors: only GGUF files hold Q8_0");
}

class PleasOptionsCommand : public LearnedMergeCommand {};

TEST_F(PleasOptionsCommand, SharesABudgetOut) {
  const json scored = merge("pleas", {"-p", "budget=1.5", "-p", "allocation=scored"});
  EXPECT_EQ(scored["allocation"]["only_separate"].size(), 1U);
  EXPECT_LE(scored["compute"], 1.5);
  EXPECT_GT(scored["compute"], 1.2);
  const json zipped = merge("pleas", {"-p", "budget=1.5", "-p", "allocation=zip", "--overwrite"});
  EXPECT_EQ(zipped["groups"][0]["merged"], 8) << "the only group";
  expect_bad_usage(
      run_amalgam({"merge", "-m", "pleas", member("a"), member("b"), "--data", path("data"), "-p",
                   "allocation=zip", "-o", path("no.safetensors")}),
      "without a budget");
}

TEST_F(PleasOptionsCommand, FitsByAdam) {
  const json merged = merge("pleas", {"-p", "solver=adam", "-p", "steps=50", "-p", "ratio=0.25"});
  ASSERT_EQ(merged["layers"].size(), 2U);
  for (const json& layer : merged["layers"]) {
    // Members of one base are nearly the same already.
    EXPECT_LT(layer["residual"].get<double>(), 1e-4 * layer["energy"].get<double>()) << layer;
  }
  EXPECT_GT(accuracy("pleas"), .5);
}

// Two networks that tell two classes each apart.
class PleasHeadsCommand : public LearnedMergeCommand {
 protected:
  void SetUp() override {
    LearnedMergeCommand::SetUp();
    if (IsSkipped()) return;
    for (const auto& [name, classes] :
         {std::pair{"top", "[0, 1]"}, std::pair{"bottom", "[2, 3]"}}) {
      succeed({"train", path("recipe.yml"), "--set", std::string("data.classes=") + classes,
               "--set", "data.relabel=true", "--set", "network.standardise=false", "--set",
               "epochs=6", "-o", member(name), "--quiet"});
    }
  }
  // `search`: "ratio: '0,1'".
  std::string recipe(const std::string& parameters, const std::string& method = "pleas",
                     const std::string& search = "") const {
    std::ofstream(folder_ / "heads.yml")
        << "merge_method: " << method << "\nmodels: [{model: " << member("top")
        << "}, {model: " << member("bottom") << "}]\nparameters: {" << parameters << "}\n"
        << (search.empty() ? "" : "search: {parameters: {" + search + "}}\n")
        << "data:\n  set: " << path("data")
        << "\n  split: train\n  tasks: [{name: top, classes: [0, 1], relabel: true},"
        << " {name: bottom, classes: [2, 3], relabel: true}]\n";
    return path("heads.yml");
  }
  double own_accuracy(const std::string& name, const std::string& classes) const {
    return json::parse(succeed({"evaluate", member(name), "--data", path("data"), "--classes",
                                classes, "--relabel", "--json"})
                           .out)["results"][0]["accuracy"];
  }
  double head_accuracy(const std::string& head, const std::string& classes) const {
    return json::parse(succeed({"evaluate", member("both"), "--data", path("data"), "--head", head,
                                "--classes", classes, "--relabel", "--json"})
                           .out)["results"][0]["accuracy"];
  }
};

TEST_F(PleasHeadsCommand, KeepsOrTrainsAHeadPerNetwork) {
  for (const char* heads : {"own", "probe"}) {
    const json merged =
        json::parse(succeed({"merge",
                             recipe(std::string("ratio: 0.5, heads: ") + heads +
                                    ", probe_learning_rate: 0.05, head_names: 'up,down'"),
                             "-o", member("both"), "--json", "--overwrite"})
                        .out);
    EXPECT_EQ(merged["network"]["heads"][1]["name"], "down");
    EXPECT_EQ(merged.contains("probe_losses"), std::string(heads) == "probe");
    EXPECT_GT(head_accuracy("up", "0,1"), .8) << heads;
    EXPECT_GT(head_accuracy("down", "2,3"), .8) << heads;
  }
}

TEST_F(PleasHeadsCommand, ZipsTrunksUnderAHeadPerNetwork) {
  const json merged = json::parse(
      succeed({"merge", recipe("heads: own, zipped: 0", "zipit"), "-o", member("both"), "--json"})
          .out);
  EXPECT_EQ(merged["groups"][0]["width"], 16) << "nothing is zipped";
  EXPECT_EQ(merged["groups"][0]["into"][1][0], 8);
  // So either head is its network's.
  EXPECT_EQ(head_accuracy("first", "0,1"), own_accuracy("top", "0,1"));
  EXPECT_EQ(head_accuracy("second", "2,3"), own_accuracy("bottom", "2,3"));
  const json zipped = json::parse(succeed({"merge", recipe("heads: probe, beta: 0", "zipit"), "-o",
                                           member("both"), "--json", "--overwrite"})
                                      .out);
  EXPECT_EQ(zipped["groups"][0]["width"], 8);
  EXPECT_EQ(zipped["groups"][0]["merges_within"], (json{0, 0}));
  EXPECT_EQ(zipped["probe_losses"].size(), 2U);
  expect_bad_usage(run_amalgam({"merge", recipe("heads: own, zipped: 1, budget: 1.5", "zipit"),
                                "-o", path("no.safetensors")}),
                   "expected one of them");
}

// Every point is judged by each task's own head: with everything apart these are the networks'.
TEST_F(PleasHeadsCommand, SearchesByTheHeadOfEachTask) {
  const auto searched = [&](const std::string& parameters, const std::string& method,
                            const std::string& values) {
    return json::parse(
        succeed({"merge", recipe(parameters + "head_names: 'up,down'", method, values), "-o",
                 member("both"), "--json", "--overwrite"})
            .out)["search"]["trials"];
  };
  const std::vector<std::pair<std::string, std::string>> searches{{"pleas", "ratio: '1,0'"},
                                                                  {"zipit", "zipped: '0,1'"}};
  for (const auto& [method, values] : searches) {
    const json trials = searched("heads: own, ", method, values);
    ASSERT_EQ(trials.size(), 2U);
    EXPECT_GT(trials[0]["accuracy"], .9) << method;
    EXPECT_NE(trials[0]["nll"], trials[1]["nll"]) << method;
    EXPECT_GT(head_accuracy("up", "0,1") + head_accuracy("down", "2,3"), 1.7) << method;
  }
  EXPECT_EQ(searched("probe_epochs: 2, ", "pleas", "heads: 'own,probe'").size(), 2U);
}

TEST_F(PleasHeadsCommand, SearchesNothingThatCannotBeCompared) {
  expect_bad_usage(run_amalgam({"merge", recipe("ratio: 0.5", "pleas", "heads: 'own,shared'"), "-o",
                                path("no.safetensors")}),
                   "search at heads=shared: networks with one head and with one per member");
  expect_bad_usage(
      run_amalgam({"merge", "-m", "pleas", member("top"), member("bottom"), "--data", path("data"),
                   "-p", "heads=own", "--search", "ratio=0,1", "-o", path("no.safetensors")}),
      "expected 2 --task, found 0");
  expect_bad_usage(
      run_amalgam({"merge", "-m", "pleas", member("top"), member("bottom"), "--data", path("data"),
                   "-p", "heads=own", "--task", "head=second", "--task", "head=first", "--search",
                   "ratio=0,1", "-o", path("no.safetensors")}),
      "names the head 'second'; expected 'first'");
}

TEST_F(PleasHeadsCommand, RefusesWhatDoesNotGoTogether) {
  expect_bad_usage(
      run_amalgam({"merge", recipe("heads: own, head_names: one"), "-o", path("no.safetensors")}),
      "expected 2 names with commas");
  expect_bad_usage(run_amalgam({"merge", "-m", "pleas", member("top"), member("bottom"), "--data",
                                path("data"), "-p", "heads=probe", "-p", "fit=none", "-p",
                                "matching=weights", "-o", path("no.safetensors")}),
                   "expected 2 --task, found 0");
}

}  // namespace
}  // namespace amalgam
