// Merges by recipes that name data: the same as by options, searched parameters, evaluation of the
// result, and what is refused.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "tests/checkpoint/tensor_access.hpp"
#include "tests/cli/learned_merge_fixture.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class DataRecipeMerge : public LearnedMergeCommand {
 protected:
  std::string write_recipe(const std::string& text) const {
    std::string filled = text;
    for (const char* name : {"base", "a", "b", "data"}) {
      const std::string mark = std::string("$") + name + "$";
      const std::string with = name == std::string("data") ? path("data") : member(name);
      for (std::size_t at = 0; (at = filled.find(mark)) != std::string::npos;) {
        filled.replace(at, mark.size(), with);
      }
    }
    std::ofstream(folder_ / "merge.yml") << filled;
    return path("merge.yml");
  }
  json by_recipe(const std::string& text) const {
    return json::parse(succeed({"merge", write_recipe(text), "-o", path("recipe.safetensors"),
                                "--json", "--overwrite"})
                           .out);
  }
  json by_options(const std::string& method, std::vector<std::string> more) const {
    std::vector<std::string> words{
        "merge",  "-m",         method, member("a"), member("b"), "-o", path("options.safetensors"),
        "--json", "--overwrite"};
    words.insert(words.end(), more.begin(), more.end());
    return json::parse(succeed(words).out);
  }
  void expect_the_same(const std::string& recipe, const std::string& method,
                       const std::vector<std::string>& options) const {
    json of_recipe = by_recipe(recipe);
    json of_options = by_options(method, options);
    EXPECT_TRUE(contents_of(path("recipe.safetensors")) == contents_of(path("options.safetensors")))
        << recipe;
    for (json* one : {&of_recipe, &of_options}) {
      for (const char* key : {"output", "outputs", "seconds"}) one->erase(key);
    }
    EXPECT_EQ(of_recipe, of_options);
  }
  void refuse(const std::string& recipe, const std::string& part,
              const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words{"merge", write_recipe(recipe), "-o", path("no.safetensors")};
    words.insert(words.end(), more.begin(), more.end());
    expect_bad_usage(run_amalgam(words), part);
    EXPECT_FALSE(fs::exists(folder_ / "no.safetensors"));
  }
};

TEST_F(DataRecipeMerge, EveryMethodGivesTheBitsThatOptionsGive) {
  for (const char* name : {"a", "b"}) {
    succeed({"gram", member(name), "-o", path(name + std::string(".gram.safetensors")), "--data",
             path("data"), "--quiet"});
  }
  const std::string members = "models: [{model: $a$}, {model: $b$}]\n";
  expect_the_same("merge_method: greedy_soup\n" + members + "data: {set: $data$, examples: 40}\n",
                  "greedy_soup", {"--data", path("data"), "--examples", "40"});
  expect_the_same(
      "merge_method: learned_soup\n" + members +
          "parameters: {granularity: whole, epochs: 2}\n"
          "data: {set: $data$, tasks: [{corrupt: shift=1}, {first: 5, examples: 30}]}\n",
      "learned_soup",
      {"--data", path("data"), "-p", "granularity=whole", "-p", "epochs=2", "--task", "shift=1",
       "--task", "first=5,examples=30"});
  expect_the_same(
      "merge_method: regmean\nmodels:\n"
      "  - {model: $a$, parameters: {gram: " +
          path("a.gram.safetensors") + ", weight: 2}}\n  - {model: $b$, parameters: {gram: " +
          path("b.gram.safetensors") + "}}\n",
      "regmean",
      {"-p", "gram=" + path("a.gram.safetensors") + "," + path("b.gram.safetensors"), "-p",
       "weight=2,1"});
  expect_the_same(
      "merge_method: adamerging\nbase_model: $base$\n" + members +
          "parameters: {steps: 5, learning_rate: 0.01}\n"
          "data: {set: $data$, split: test, corrupt: shift=1,"
          " tasks: [{name: l, corrupt: keep=left}, {corrupt: keep=right}]}\n"
          "evaluate: {set: $data$, corrupt: keep=left}\n",
      "adamerging",
      {"--base", member("base"), "-p", "steps=5", "-p", "learning_rate=0.01", "--data",
       path("data"), "--split", "test", "--corrupt", "shift=1", "--task", "name=l,keep=left",
       "--task", "keep=right", "--evaluate", "set=" + path("data") + ",keep=left"});
  expect_the_same(
      "merge_method: frank_wolfe\nbase_model: $base$\n"
      "models: [{model: $base$}, {model: $a$}, {model: $b$}]\n"
      "parameters: {iterations: 2}\ndata: {set: $data$, examples: 30}\n",
      "frank_wolfe",
      {"--base", member("base"), "-p", "iterations=2", "--data", path("data"), "--examples", "30"});
  expect_the_same("merge_method: pleas\n" + members +
                      "parameters: {ratio: [{filter: layers.0, value: 0.5}, {value: 0}],"
                      " similarity: correlation}\ndata: {set: $data$}\n",
                  "pleas",
                  {"--data", path("data"), "-p", "ratio:layers.0=0.5", "-p", "ratio=0", "-p",
                   "similarity=correlation"});
  expect_the_same(
      "merge_method: zipit\nmodels: [{model: $a$}, {model: $b$}, {model: $base$}]\n"
      "parameters: {alpha: 0.5, beta: 1}\ndata: {set: $data$}\n",
      "zipit", {member("base"), "--data", path("data"), "-p", "alpha=0.5", "-p", "beta=1"});
}

TEST_F(DataRecipeMerge, EvaluatesTheResultOfARuleAsTheEvaluateCommandDoes) {
  const json merged = by_recipe(
      "merge_method: linear\nmodels: [{model: $a$}, {model: $b$}]\nparameters: {weight: 1}\n"
      "evaluate:\n  - {name: plain, set: $data$}\n"
      "  - {set: $data$, corrupt: shift=1, examples: 50, split: validation}\n");
  ASSERT_EQ(merged["evaluation"].size(), 2U);
  EXPECT_EQ(merged["evaluation"][0]["data"], "plain");
  EXPECT_EQ(merged["evaluation"][1]["examples"], 50);
  EXPECT_EQ(merged["tensors_merged"], 4);
  const json judged = json::parse(
      succeed({"evaluate", path("recipe.safetensors"), "--data", path("data"), "--json"})
          .out)["results"][0];
  for (const char* key : {"accuracy", "nll", "ece", "accuracy_interval", "per_class"}) {
    EXPECT_EQ(merged["evaluation"][0][key], judged[key]) << key;
  }
}

TEST_F(DataRecipeMerge, ASearchedParameterGivesTheMergeWithTheBestValue) {
  const std::string recipe =
      "merge_method: task_arithmetic\nbase_model: $base$\nmodels: [{model: $a$}, {model: $b$}]\n"
      "search: {parameters: {weight: '0:1:0.5'}, by: nll}\ndata: {set: $data$}\n";
  expect_the_same(recipe, "task_arithmetic",
                  {"--base", member("base"), "--search", "weight=0:1:0.5", "--search-by", "nll",
                   "--data", path("data")});
  const json searched = by_recipe(recipe)["search"];
  ASSERT_EQ(searched["trials"].size(), 3U);
  double least = 1e9;
  json best;
  for (const json& trial : searched["trials"]) {
    if (trial["nll"].get<double>() < least) best = trial;
    least = std::min(least, trial["nll"].get<double>());
  }
  EXPECT_EQ(searched["best"], best);
  // Each figure is that of the merge by itself, and the output is the best of them.
  for (const json& trial : searched["trials"]) {
    by_options("task_arithmetic", {"--base", member("base"), "-p", trial["parameters"][0]});
    const json judged = json::parse(succeed({"evaluate", path("options.safetensors"), "--data",
                                             path("data"), "--split", "validation", "--json"})
                                        .out)["results"][0];
    EXPECT_EQ(judged["nll"], trial["nll"]) << trial;
    EXPECT_EQ(judged["accuracy"], trial["accuracy"]) << trial;
    if (trial == best) {
      // The metadata differ by the recipe, which is written in another way.
      const auto by_recipe = open_checkpoint(path("recipe.safetensors"));
      const auto by_words = open_checkpoint(path("options.safetensors"));
      ASSERT_EQ(by_recipe->tensors().size(), by_words->tensors().size());
      for (const TensorInfo& info : by_recipe->tensors()) {
        EXPECT_EQ(bytes_of(*by_recipe, info.name), bytes_of(*by_words, info.name)) << info.name;
      }
    }
  }
}

TEST_F(DataRecipeMerge, SaysAtWhichValueASearchFails) {
  expect_bad_usage(
      run_amalgam({"merge", "-m", "linear", member("a"), member("b"), "--search", "weight=0:1:1",
                   "--data", path("data"), "-o", path("no.safetensors")}),
      "search at weight=0: linear: the weights of tensor", "sum to 0");
  EXPECT_FALSE(fs::exists(folder_ / "no.safetensors"));
}

TEST_F(DataRecipeMerge, SearchesSharesOfMembers) {
  const json merged = by_options("linear", {"--search", "weight=shares:5", "--data", path("data")});
  ASSERT_EQ(merged["search"]["trials"].size(), 5U);
  EXPECT_EQ(merged["search"]["trials"][0]["parameters"], json::array({"weight=0,1"}));
  EXPECT_EQ(merged["search"]["by"], "accuracy");
}

TEST_F(DataRecipeMerge, ADryRunSaysWhatWouldBeDoneAndDoesNothing) {
  const std::string recipe =
      "merge_method: learned_soup\nmodels: [{model: $a$}, {model: $b$}]\ndata: {set: $data$}\n"
      "evaluate: {set: $data$}\n";
  const RunResult shown =
      succeed({"merge", write_recipe(recipe), "-o", path("no.safetensors"), "--dry-run"});
  for (const char* part : {"learned_soup", "data validation", "data test", "mlp"}) {
    EXPECT_NE(shown.out.find(part), std::string::npos) << shown.out;
  }
  EXPECT_FALSE(fs::exists(folder_ / "no.safetensors"));
  const json searched = json::parse(
      succeed({"merge", "-m", "linear", member("a"), member("b"), "--search", "weight=shares",
               "--data", path("data"), "-o", path("no.safetensors"), "--dry-run", "--json"})
          .out);
  EXPECT_EQ(searched["search"].get<std::string>().substr(0, 9), "51 points");
  EXPECT_FALSE(fs::exists(folder_ / "no.safetensors"));
}

TEST_F(DataRecipeMerge, SaysInOneSentenceWhatDoesNotFit) {
  const std::string soup = "merge_method: learned_soup\nmodels: [{model: $a$}, {model: $b$}]\n";
  refuse(soup + "data: {set: $data$, frist: 3}\n", "merge.yml:3: 'data' has no key 'frist'");
  refuse(soup + "data:\n  set: $data$\n  first: many\n", "merge.yml:4: data.first is \"many\"");
  refuse(soup + "data: {set: $data$, corrupt: blurr=1}\n", "did you mean 'blur'");
  refuse(soup + "data: {set: $data$}\nevaluate: {set: $data$, corrupt: blurr=1}\n",
         "merge.yml:4: no corruption 'blurr'");
  refuse(soup + "data: {set: /no/such/folder}\n", "/no/such/folder");
  refuse(soup + "data: {set: $data$, examples: 100000}\n", "merge.yml:3:");
  refuse(
      "merge_method: greedy_soup\nmodels: [{model: $a$}, {model: $b$}]\n"
      "data: {set: $data$}\nsearch: {parameters: {strict: 'true,false'}}\n",
      "it has nothing to search");
  refuse(soup + "data: {set: $data$}\nsearch: {parameters: {epoch: '1,2'}}\n",
         "method 'learned_soup' has no parameter 'epoch'; did you mean 'epochs'?");
  refuse(soup + "data: {set: $data$}\ndtype: float16\n", "without 'dtype'");
  refuse(soup + "data: {set: $data$}\n", "--dtype", {"--dtype", "F16"});
  refuse(soup + "data: {set: $data$}\n", "a recipe names them itself", {"--examples", "3"});
  refuse(
      "merge_method: linear\nmodels: [{model: $a$}]\nparameters: {weight: 1}\n"
      "data: {set: $data$}\n",
      "'linear' looks at no data");
  refuse(
      "merge_method: linear\nmodels: [{model: $a$}]\nparameters: {weight: 1}\n"
      "search: {parameters: {wieght: '0,1'}}\ndata: {set: $data$}\n",
      "merge.yml:4: search of 'wieght': method 'linear' has no parameter 'wieght'; did you mean "
      "'weight'?");
  refuse(
      "name: first\nmerge_method: learned_soup\nmodels: [{model: $a$}]\n---\n"
      "merge_method: linear\nmodels: [{model: first}]\nparameters: {weight: 1}\n",
      "which a recipe of several documents cannot");
  expect_bad_usage(run_amalgam({"merge", "-m", "linear", member("a"), "-p", "weight=1", "--search",
                                "weight", "-o", path("no.safetensors")}),
                   "expected NAME=VALUES");
  const std::string foreign =
      write_safetensors(folder_ / "foreign.safetensors", {make_tensor("x", {2}, {1, 2})});
  expect_bad_usage(run_amalgam({"merge", "-m", "linear", foreign, "-p", "weight=1", "--evaluate",
                                "split=test", "-o", path("no.safetensors")}),
                   "does not say what network it holds");
  EXPECT_FALSE(fs::exists(folder_ / "no.safetensors"));
}

TEST_F(DataRecipeMerge, PleasNeedsNoDataWhereNothingIsFitted) {
  const json merged = by_options("pleas", {"-p", "matching=weights", "-p", "fit=none"});
  EXPECT_TRUE(merged["data"].is_null());
  EXPECT_EQ(merged["groups"][0]["merged"], 8);
  EXPECT_TRUE(merged["layers"].empty());
  expect_bad_usage(
      run_amalgam({"merge", "-m", "pleas", member("a"), member("b"), "-p", "matching=weights", "-p",
                   "fit=none", "--data", path("data"), "-o", path("no.safetensors")}),
      "looks at no data with these parameters");
  expect_bad_usage(
      run_amalgam({"merge", "-m", "pleas", member("a"), member("b"), "-p", "budget=1.5", "-p",
                   "ratio=0.5", "--data", path("data"), "-o", path("no.safetensors")}),
      "both a ratio and a budget");
}

class BatchNormMerge : public DataRecipeMerge {
 protected:
  void SetUp() override {
    DataRecipeMerge::SetUp();
    if (IsSkipped()) return;
    std::ofstream(folder_ / "norm.yml")
        << "network: {architecture: resnet, blocks: [1], width: 4}\n"
        << "data: {set: " << path("data") << ", examples: 400}\nepochs: 4\nbatch: 16\n";
    succeed({"train", path("norm.yml"), "-o", member("start"), "--quiet"});
    for (const char* name : {"m", "n"}) {
      succeed({"train", path("norm.yml"), "--init", member("start"), "--seed",
               name == std::string("m") ? "1" : "2", "-o", member(name), "--quiet"});
    }
  }
  // Merges m and n by `words`, and says what was printed as warning.
  std::string warned(std::vector<std::string> words) const {
    words.insert(words.begin(), {"merge", member("m"), member("n"), "--overwrite", "--quiet"});
    return succeed(words).err;
  }
};

TEST_F(BatchNormMerge, StatisticsAreEstimatedAnewWithDataAndWarnedOfWithout) {
  const std::vector<std::string> linear{"-m", "linear", "-p", "weight=1", "-o"};
  auto plain = linear;
  plain.push_back(member("plain"));
  EXPECT_NE(warned(plain).find("statistics of BatchNorm"), std::string::npos);
  auto anew = linear;
  anew.insert(anew.end(), {member("anew"), "--data", path("data")});
  EXPECT_EQ(warned(anew), "");
  succeed({"calibrate", member("plain"), "-o", member("calibrated"), "--data", path("data"),
           "--split", "validation", "--examples", "0", "--quiet"});
  EXPECT_TRUE(contents_of(member("anew")) == contents_of(member("calibrated")));
  EXPECT_TRUE(contents_of(member("anew")) != contents_of(member("plain")));
}

TEST_F(BatchNormMerge, EveryMethodThatLooksAtDataEstimatesThem) {
  for (const char* method : {"greedy_soup", "learned_soup", "adamerging"}) {
    std::vector<std::string> words{"merge",  "-m",         method,   member("m"), member("n"),
                                   "--data", path("data"), "--json", "-o",        member(method)};
    if (method == std::string("adamerging")) {
      words.insert(words.end(), {"--base", member("start"), "-p", "steps=2"});
    }
    const json merged = json::parse(succeed(words).out);
    EXPECT_TRUE(merged["batch_norm"].is_string()) << method;
    EXPECT_GT(accuracy(method), accuracy("m") - .1) << method;
  }
}

TEST_F(DataRecipeMerge, ATaskNamesItsHeadAndHeadsStay) {
  std::ofstream(folder_ / "heads.yml")
      << "network:\n  architecture: mlp\n  hidden: [8]\n  heads:\n    - {name: l, classes: 4}\n"
      << "    - {name: r, classes: 4}\ndata: {set: " << path("data")
      << ", head: l}\nepochs: 1\nbatch: 32\n";
  succeed({"train", path("heads.yml"), "-o", member("start"), "--quiet"});
  for (const char* head : {"l", "r"}) {
    succeed({"train", path("heads.yml"), "--init", member("start"), "--set",
             std::string("data.head=") + head, "-o", member(head), "--quiet"});
  }
  const std::vector<std::string> common{
      "merge",  "--base",     member("start"), member("l"),  member("r"),
      "--data", path("data"), "--task",        "head=l",     "--task",
      "head=r", "--json",     "--overwrite",   "--evaluate", "set=" + path("data") + ",head=r"};
  const auto merged = [&](std::vector<std::string> more) {
    more.insert(more.begin(), common.begin(), common.end());
    return json::parse(succeed(more).out);
  };
  const auto values = [&](const std::string& name, const std::string& tensor) {
    const auto source = open_checkpoint(member(name));
    const std::size_t index = source->find(tensor).value();
    std::vector<float> read(source->tensors()[index].elements);
    source->read(index, 0, std::span(read));
    return read;
  };
  const json adapted = merged(
      {"-m", "adamerging", "-p", "steps=3", "-p", "granularity=tensor", "-o", member("adapted")});
  EXPECT_EQ(adapted["coefficients"].size(), 2U);  // of the shared layer alone
  EXPECT_EQ(values("adapted", "heads.l.weight"), values("l", "heads.l.weight"));
  EXPECT_EQ(values("adapted", "heads.r.weight"), values("r", "heads.r.weight"));
  EXPECT_EQ(adapted["evaluation"][0]["examples"], 200);
  merged({"-m", "frank_wolfe", "-p", "iterations=2", "-o", member("moved")});
  EXPECT_EQ(values("moved", "heads.r.weight"), values("start", "heads.r.weight"));
  // A search judges each task by its head.
  const json searched = merged({"-m", "adamerging", "--search", "steps=0,3", "-p", "heads=members",
                                "-o", member("searched")})["search"]["trials"];
  ASSERT_EQ(searched.size(), 2U);
  for (const json& trial : searched) EXPECT_GT(trial["accuracy"], .5) << trial;
  const json twins = merged({"-m", "twin_merging", "-p", "router_epochs=2", "-p", "router_batch=16",
                             "--search", "density=0,1", "-o", path("twins")});
  ASSERT_EQ(twins["search"]["trials"].size(), 2U);
  EXPECT_GT(twins["search"]["trials"][1]["accuracy"], .5) << "the experts themselves";
  expect_bad_usage(
      run_amalgam({"merge", "-m", "adamerging", "--base", member("start"), member("l"), member("r"),
                   "--data", path("data"), "--task", "head=l", "-o", path("no.safetensors")}),
      "heads=members: 1 tasks for 2 members");
  expect_bad_usage(run_amalgam({"merge", "-m", "adamerging", "--base", member("start"), member("l"),
                                member("r"), "--data", path("data"), "--task", "head=l", "--task",
                                "head=x", "-o", path("no.safetensors")}),
                   "no head 'x'");
}

TEST_F(DataRecipeMerge, FrankWolfeStepsByOtherRulesAndFromAMerge) {
  // A whole first step would land on the member wherever it starts.
  const std::vector<std::string> pool{"--base", member("base"), "--data", path("data"),
                                      "-p",     "iterations=2", "-p",     "step_size=0.5"};
  const auto run = [&](std::vector<std::string> more) {
    more.insert(more.begin(), pool.begin(), pool.end());
    by_options("frank_wolfe", more);
    return contents_of(path("options.safetensors"));
  };
  const std::string plain = run({});
  EXPECT_TRUE(run({"-p", "inner=ties", "-p", "density=0.2"}) != plain);
  EXPECT_TRUE(run({"-p", "inner=dare_ties"}) != plain);
  EXPECT_TRUE(run({"-p", "start=merge"}) != plain);
  EXPECT_TRUE(run({"-p", "variant=soft", "-p", "fixed_step=1"}) != plain);
  expect_bad_usage(run_amalgam({"merge", "-m", "frank_wolfe", "--base", member("base"), member("a"),
                                "-p", "inner=slerp", "-o", path("no.safetensors")}),
                   "expected one of task_arithmetic, ties, dare_ties");
}

}  // namespace
}  // namespace amalgam
