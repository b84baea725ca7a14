#include <gmock/gmock.h>

#include <cmath>
#include <sstream>

#include "amalgam/core/random.hpp"
#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

using ::testing::HasSubstr;

// 120 rows with responses 1 + 2 a - b + noise, each in one of 40 bags of 3 rows.
class LabelBags : public ::testing::Test {
 protected:
  LabelBags() {
    RandomStream random(4, "rows");
    std::ostringstream table;
    table << "name,a,b,group,outcome\n";
    for (int row = 0; row < 120; ++row) {
      const double a = random.normal();
      const double b = random.normal();
      table << "r" << row << ',' << a << ',' << b << ",g" << row % 40 << ','
            << 1 + 2 * a - b + 0.1 * random.normal() << '\n';
    }
    rows_ = folder_.write("rows.csv", table.str()).string();
  }

  std::string path(std::string_view name) const { return (folder_ / name).string(); }
  RunResult bags(std::vector<std::string> words) const {
    words.insert(words.begin(), {"label", "bags"});
    return run_amalgam(words);
  }
  std::vector<std::string> fit_words(std::vector<std::string> more) const {
    std::vector<std::string> words{"fit", rows_, "--bag", "group", "--ignore", "name,outcome"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  RunResult fit(std::vector<std::string> more) const { return bags(fit_words(std::move(more))); }

  TemporaryFolder folder_;
  std::string rows_;
};

TEST_F(LabelBags, FitFindsTheCoefficients) {
  const RunResult result =
      bags({"fit", rows_, "--bag", "group", "--ignore", "name", "--response", "outcome", "--json",
            "--out", path("model.csv"), "--predict", rows_, "--predictions", path("p.csv")});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = result.json();
  EXPECT_EQ(json["rows"], 120);
  EXPECT_EQ(json["bags"], 40);
  // Bags of three random rows: shrunk a little towards 0 where rho > 0.
  EXPECT_NEAR(json["coefficients"]["a"].get<double>(), 2, 0.3);
  EXPECT_NEAR(json["coefficients"]["b"].get<double>(), -1, 0.3);
  EXPECT_NEAR(json["intercept"].get<double>(), 1, 0.3);
  EXPECT_EQ(json["tried"].size(), 12U);
  EXPECT_EQ(json["minimum_norm"], false);
  EXPECT_TRUE(contents_of(path("model.csv")).starts_with("term,coefficient\n(intercept),"));
  const std::string predictions = contents_of(path("p.csv"));
  EXPECT_TRUE(predictions.starts_with("prediction\n"));
  EXPECT_EQ(std::count(predictions.begin(), predictions.end(), '\n'), 121);
}

TEST_F(LabelBags, FitWritesJsonAndTakesMeansFromATable) {
  std::ostringstream means;
  means << "mean,group\n";
  for (int bag = 0; bag < 40; ++bag) means << bag << ",g" << bag << '\n';
  const std::string table = folder_.write("means.csv", means.str()).string();
  const RunResult result = fit({"--responses", table, "--response", "mean", "--method", "bag",
                                "--json", "--out", path("model.json")});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.json()["rho"], 0);
  EXPECT_EQ(nlohmann::ordered_json::parse(contents_of(path("model.json"))), result.json());
  // With an intercept the mean of responses 0, ..., 39 is met.
  const RunResult instance =
      fit({"--responses", table, "--response", "mean", "--method", "instance", "--json"});
  EXPECT_EQ(instance.json()["rho"], 1);
  const RunResult ridge =
      fit({"--responses", table, "--response", "mean", "--method", "ridge", "--json"});
  EXPECT_EQ(ridge.json()["tried"].size(), 10U);
}

TEST_F(LabelBags, StatesOfPartsAreJoinedAndFittedWithoutTheirRows) {
  // The bags of odd and of even numbers in two tables.
  std::string parts[2];
  std::istringstream lines(contents_of(rows_));
  std::string line;
  std::getline(lines, line);
  for (std::string& one : parts) one = line + '\n';
  for (int row = 0; std::getline(lines, line); ++row) parts[row % 2] += line + '\n';
  std::vector<std::string> states;
  for (const char* name : {"odd", "even"}) {
    const std::string table =
        folder_.write(std::string(name) + ".csv", parts[states.size()]).string();
    states.push_back(path(std::string(name) + ".safetensors"));
    const RunResult saved = bags({"fit", table, "--bag", "group", "--ignore", "name", "--response",
                                  "outcome", "--save-state", states.back(), "--json"});
    ASSERT_EQ(saved.code, 0) << saved.err;
  }
  const RunResult merged =
      bags({"merge", states[0], states[1], "--out", path("all.safetensors"), "--json"});
  ASSERT_EQ(merged.code, 0) << merged.err;
  EXPECT_EQ(merged.json()["bags"], 40);
  EXPECT_EQ(merged.json()["rows"], 120);
  const auto joined = bags({"fit", path("all.safetensors"), "--rho", "0.2", "--predict", rows_,
                            "--predictions", path("p.csv"), "--json"})
                          .json();
  const auto whole = bags({"fit", rows_, "--bag", "group", "--ignore", "name", "--response",
                           "outcome", "--rho", "0.2", "--json"})
                         .json();
  for (const char* feature : {"a", "b"}) {
    EXPECT_NEAR(joined["coefficients"][feature].get<double>(),
                whole["coefficients"][feature].get<double>(), 1e-9);
  }
  EXPECT_NEAR(joined["losses"]["bag"].get<double>(), whole["losses"]["bag"].get<double>(), 1e-9);
  EXPECT_EQ(bags({"fit", path("all.safetensors"), "--json"}).json()["tried"].size(), 12U);
  expect_bad_usage(bags({"merge", states[0], states[0], "--out", path("twice.safetensors")}),
                   "20 of its bags are in");
  expect_bad_usage(bags({"fit", states[0], "--bag", "group"}), "a state has bags, features");
  expect_bad_usage(bags({"fit", states[0], "--hidden", "4"}), "networks need the rows");
  expect_bad_usage(bags({"fit", rows_, "--response", "outcome"}), "give --bag COLUMN");
}

TEST_F(LabelBags, FitSaysWhatIsWrong) {
  expect_bad_usage(fit({}), "no responses; give --response COLUMN or --responses BAGS");
  expect_bad_usage(fit({"--response", "outcom"}), "no column 'outcom'", "outcome");
  expect_bad_usage(bags({"fit", rows_, "--bag", "group", "--response", "outcome"}),
                   "rows.csv:2:1: 'r0' in column 'name' is no finite number");
  expect_bad_usage(fit({"--response", "outcome", "--features", "a,outcome"}),
                   "column 'outcome' cannot be a feature and something else");
}

TEST_F(LabelBags, FitRefusesOptionsThatContradictEachOther) {
  const auto refused = [&](std::vector<std::string> more, const char* message) {
    more.insert(more.end(), {"--response", "outcome"});
    expect_bad_usage(bags([&] {
                       std::vector<std::string> words{"fit",   rows_,      "--bag",
                                                      "group", "--ignore", "name"};
                       words.insert(words.end(), more.begin(), more.end());
                       return words;
                     }()),
                     message);
  };
  refused({"--rho", "-1"}, "--rho is '-1'; expected a number >= 0, or auto");
  refused({"--method", "bag", "--rho", "1"}, "say what rho is");
  refused({"--method", "label-proportions"}, "belong together");
  refused({"--predict", rows_}, "--predict ROWS and --predictions OUT belong together");
  refused({"--hidden", "4", "--ridge", "1"}, "networks have no ridge");
  refused({"--out", rows_}, "it is an input");
  refused({"--folds", "41"}, "does not fit 40 bags");
}

TEST_F(LabelBags, FitOfTooFewBagsWarns) {
  const std::string table = folder_.write("few.csv", "a,b,bag,y\n1,2,x,3\n2,3,x,3\n").string();
  const RunResult result = bags({"fit", table, "--bag", "bag", "--response", "y", "--method", "bag",
                                 "--no-intercept", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.json()["minimum_norm"], true);
  EXPECT_THAT(result.err, HasSubstr("1 of 2 coefficients are identified by the means of 1 bags"));
}

TEST_F(LabelBags, MakeAddsAColumnAndDropsOthers) {
  const RunResult result = bags({"make", rows_, "--size", "7", "--drop", "outcome,group", "--out",
                                 path("bags.csv"), "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.json()["bags"], 17);
  EXPECT_EQ(result.json()["smallest_bag"], 7);
  EXPECT_TRUE(contents_of(path("bags.csv")).starts_with("name,a,b,bag\n"));
  expect_bad_usage(bags({"make", rows_, "--size", "121", "--out", path("no.csv")}),
                   "expected a size from 1 to 120");
  expect_bad_usage(bags({"make", rows_, "--size", "3", "--bag", "a", "--out", path("no.csv")}),
                   "there is a column 'a' already");
  EXPECT_FALSE(std::filesystem::exists(path("no.csv")));
}

TEST_F(LabelBags, ReleaseAddsNoiseAndSaysWhatWasDone) {
  const std::vector<std::string> words{
      "release", rows_,     "--bag", "group", "--response",      "outcome", "--epsilon",
      "0.5",     "--bound", "4",     "--out", path("means.csv"), "--json"};
  const RunResult result = bags(words);
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = result.json();
  EXPECT_EQ(json["mechanism"], "laplace");
  EXPECT_EQ(json["random_bits"], "getrandom");
  EXPECT_EQ(json["smallest_bag"], 3);
  // 2 * 4 / 0.5
  EXPECT_NEAR(json["noise_scale_of_a_sum"].get<double>(), 16, 1e-6);
  const std::string first = contents_of(path("means.csv"));
  EXPECT_TRUE(first.starts_with("group,response\ng0,"));
  bags(words);
  EXPECT_NE(contents_of(path("means.csv")), first);  // other noise

  auto seeded = words;
  seeded.insert(seeded.end(), {"--seed", "3"});
  EXPECT_THAT(bags(seeded).err, HasSubstr("noise by --seed is not private"));
  const std::string one = contents_of(path("means.csv"));
  bags(seeded);
  EXPECT_EQ(contents_of(path("means.csv")), one);

  const RunResult fitted = fit({"--responses", path("means.csv"), "--rho", "0.5", "--json"});
  EXPECT_EQ(fitted.code, 0) << fitted.err;
}

TEST_F(LabelBags, ReleaseKeepsToItsBudget) {
  const auto release = [&](const char* epsilon) {
    return bags({"release",     rows_,
                 "--bag",       "group",
                 "--response",  "outcome",
                 "--epsilon",   epsilon,
                 "--delta",     "1e-6",
                 "--mechanism", "analytic-gaussian",
                 "--clip",      "2",
                 "--out",       path("means.csv"),
                 "--ledger",    path("ledger.json"),
                 "--budget",    "1",
                 "--json"});
  };
  EXPECT_EQ(release("0.25").code, 0);
  const RunResult second = release("0.5");
  ASSERT_EQ(second.code, 0) << second.err;
  EXPECT_DOUBLE_EQ(second.json()["total_epsilon"].get<double>(), 0.75);
  EXPECT_DOUBLE_EQ(second.json()["total_delta"].get<double>(), 2e-6);
  const std::string ledger = contents_of(path("ledger.json"));
  expect_bad_usage(release("0.5"), "0.75 is spent already (2 releases)", "too much");
  EXPECT_EQ(contents_of(path("ledger.json")), ledger);
  folder_.write("ledger.json", R"({"releases": [{"epsilon": -5, "delta": 0}]})");
  expect_bad_usage(release("0.5"), "a release has no 'epsilon' that is a number >= 0");
  folder_.write("ledger.json", "[1");
  expect_bad_usage(release("0.5"), "ledger.json");
}

TEST_F(LabelBags, ReleaseRefusesWhatIsNotPrivate) {
  const auto release = [&](std::vector<std::string> more) {
    std::vector<std::string> words{"release",    rows_,     "--bag", "group",
                                   "--response", "outcome", "--out", path("no")};
    words.insert(words.end(), more.begin(), more.end());
    return bags(words);
  };
  expect_bad_usage(release({"--epsilon", "1"}), "--clip C or --bound B");
  expect_bad_usage(release({"--epsilon", "1", "--bound", "1", "--clip", "1"}), "--clip C or");
  expect_bad_usage(release({"--epsilon", "0", "--bound", "1"}), "epsilon is 0");
  expect_bad_usage(release({"--epsilon", "1", "--bound", "-1"}), "clipped at -1");
  expect_bad_usage(
      release({"--epsilon", "2", "--bound", "1", "--mechanism", "gaussian", "--delta", "1e-6"}),
      "use analytic-gaussian");
  expect_bad_usage(release({"--epsilon", "1", "--bound", "1", "--mechanism", "gaussian"}),
                   "delta is 0");
  expect_bad_usage(release({"--epsilon", "1", "--bound", "1", "--budget", "1"}), "needs --ledger");
  expect_bad_usage(release({"--epsilon", "1", "--bound", "0"}), "clipped at 0");
  // A budget that is spent is one.
  const auto with_budget = [&](const char* budget) {
    return release(
        {"--epsilon", "1", "--bound", "1", "--ledger", path("l.json"), "--budget", budget});
  };
  expect_bad_usage(with_budget("0"), "the budget of epsilon is 0");
  expect_bad_usage(with_budget("nan"), "--budget is nan");
  EXPECT_FALSE(std::filesystem::exists(path("no")));
}

TEST_F(LabelBags, PlanShowsRisks) {
  const RunResult result = bags(
      {"plan", "--rows", "600", "--features", "100", "--sizes", "3,6", "--rho", "0.3", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = result.json();
  EXPECT_NEAR(json["sizes"][0]["bag_level_risk"].get<double>(), 1, 1e-9);
  EXPECT_NEAR(json["sizes"][0]["risk_at_rho"].get<double>(), .2406 + .2065, 1e-4);
  EXPECT_NEAR(json["sizes"][0]["best_rho"].get<double>(), .268, 1e-3);
  EXPECT_TRUE(json["sizes"][1]["bag_level_risk"].is_null());
  EXPECT_EQ(json["best_bag_size"], 3);
  const RunResult shown = bags({"plan", "--rows", "600", "--features", "100"});
  EXPECT_THAT(shown.out, HasSubstr("best bag size: 1 (assumes random bags"));

  expect_bad_usage(bags({"plan", "--rows", "100", "--features", "100"}), "psi = n / d > 1");
  expect_bad_usage(bags({"plan", "--rows", "100", "--features", "0"}), "--features is 0");
  expect_bad_usage(bags({"plan", "--rows", "100", "--features", "9", "--clip", "1"}),
                   "--epsilon is missing");
  expect_bad_usage(
      bags({"plan", "--rows", "100", "--features", "9", "--clip", "1", "--epsilon", "0"}),
      "epsilon is 0");
}

// The noise of a private release decides: with much of it large bags are best at rho = 1.
TEST_F(LabelBags, PlanCountsPrivateNoise) {
  const RunResult result = bags({"plan", "--rows", "1000", "--features", "100", "--sizes", "1,5",
                                 "--epsilon", "1", "--clip", "2.5", "--rho", "1", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NEAR(result.json()["sizes"][1]["risk_at_rho"].get<double>(), 2.2, 0.05);
  EXPECT_NEAR(result.json()["sizes"][1]["bag_level_risk"].get<double>(), 70.1, 0.05);
  EXPECT_NEAR(result.json()["sizes"][0]["bag_level_risk"].get<double>(), 38.5, 0.05);
}

TEST_F(LabelBags, NetworksAreFittedByTheLearningLibrary) {
  if (run_amalgam({"train", "--help"}).code != 0) {
    GTEST_SKIP() << "this build has no learning library";
  }
  const RunResult result = bags({"fit",
                                 rows_,
                                 "--bag",
                                 "group",
                                 "--ignore",
                                 "name",
                                 "--response",
                                 "outcome",
                                 "--hidden",
                                 "8",
                                 "--rho",
                                 "0.1",
                                 "--epochs",
                                 "60",
                                 "--threads",
                                 "1",
                                 "--json",
                                 "--out",
                                 path("net.safetensors"),
                                 "--predict",
                                 rows_,
                                 "--predictions",
                                 path("p.csv")});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_LT(result.json()["losses"]["bag"].get<double>(), 0.5);
  EXPECT_TRUE(std::filesystem::exists(path("net.safetensors")));
  EXPECT_TRUE(contents_of(path("p.csv")).starts_with("prediction\n"));
}

TEST_F(LabelBags, ClassesAreLearnedFromShares) {
  if (run_amalgam({"train", "--help"}).code != 0) {
    GTEST_SKIP() << "this build has no learning library";
  }
  std::ostringstream table;
  table << "x,bag,kind\n";
  RandomStream random(5, "rows");
  for (int row = 0; row < 80; ++row) {
    const double x = random.normal();
    table << x << ',' << row % 20 << ',' << (x > 0 ? "high" : "low") << '\n';
  }
  const std::string rows = folder_.write("kinds.csv", table.str()).string();
  const RunResult result = bags({"fit", rows, "--bag", "bag", "--method", "label-proportions",
                                 "--class", "kind", "--epochs", "80", "--threads", "1", "--json",
                                 "--predict", rows, "--predictions", path("p.csv")});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.json()["classes"], (std::vector<std::string>{"high", "low"}));
  EXPECT_TRUE(contents_of(path("p.csv")).starts_with("high,low\n"));
}

}  // namespace
}  // namespace amalgam
