#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

using ::testing::HasSubstr;

class StudySubpopulations : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) const {
    const std::string path = (folder_ / name).string();
    std::ofstream(path) << text;
    return path;
  }
  // 20 models on y = .25 + (x - .75)^2, x from .5 to .975.
  std::string moon(double factor = 1) const {
    std::ostringstream text;
    text << "name,kind,run,majority,minority\n";
    for (int i = 0; i < 20; ++i) {
      const double x = 0.5 + 0.025 * i;
      const double noise = (i % 3 - 1) * 0.002;
      text << 'm' << i << ',' << (i % 2 == 0 ? "even" : "odd") << ",r" << i / 4 << ',' << factor * x
           << ',' << factor * (0.25 + (x - 0.75) * (x - 0.75) + noise) << '\n';
    }
    return write("models.csv", text.str());
  }
  TemporaryFolder folder_;
};

TEST_F(StudySubpopulations, FindsTheMoon) {
  const std::string page = (folder_ / "page.html").string();
  const std::string out = (folder_ / "out.csv").string();
  const RunResult result =
      run_amalgam({"study", "subpopulations", moon(), "--majority-total", "1000", "--within",
                   "kind", "--cluster", "run", "--reference", "kind=even", "--bootstrap", "200",
                   "--html", page, "--out", out, "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = result.json();
  EXPECT_EQ(json["models"], 20);
  EXPECT_EQ(json["accuracy"]["chosen"], "quadratic");
  EXPECT_NEAR(json["accuracy"]["quadratic"]["a2"].get<double>(), 1, 0.05);
  EXPECT_NEAR(json["accuracy"]["turning_point"].get<double>(), 0.75, 0.02);
  EXPECT_EQ(json["intervals"]["clusters"], 5);
  EXPECT_EQ(json["groups"].size(), 2U);
  EXPECT_EQ(json["groups"][0]["count"], 10);
  EXPECT_EQ(json["per_model"].size(), 20U);
  std::ostringstream html;
  html << std::ifstream(page).rdbuf();
  EXPECT_THAT(html.str(), HasSubstr("<svg"));
  EXPECT_THAT(html.str(), HasSubstr("m19: 0.9750"));
  std::string header;
  std::ifstream models(out);
  std::getline(models, header);
  EXPECT_EQ(header,
            "model,majority,minority,training_mixture,shifted_mixture,monotone,"
            "effective_robustness");

  const RunResult percent = run_amalgam({"study", "subpopulations", moon(100), "--percent"});
  ASSERT_EQ(percent.code, 0) << percent.err;
  EXPECT_THAT(percent.out, HasSubstr("Turning point 0.75"));
  EXPECT_THAT(percent.err, ::testing::Not(HasSubstr("--percent")));
  const RunResult shares = run_amalgam({"study", "subpopulations", moon(1), "--percent"});
  EXPECT_THAT(shares.err, HasSubstr("leave out --percent"));
  expect_bad_usage(run_amalgam({"study", "subpopulations", moon(100)}),
                   "models.csv:2:", "--percent");
}

// Errors that follow the label alone: TPR 3/4, TNR 1/2, sea 8 positives and 4 negatives, land 4 and
// 4: gap = (8/12 - 4/8) * (3/4 - 1/2).
TEST_F(StudySubpopulations, ExplainsTheGapOfPredictions) {
  std::string rows = "model,label,prediction,group\n";
  for (const std::string model : {"a", "b", "c", "d"}) {
    const auto add = [&](const std::string& group, int label, int right, int wrong) {
      for (int i = 0; i < right + wrong; ++i) {
        rows += model + "," + std::to_string(label) + "," +
                std::to_string(i < right ? label : 1 - label) + "," + group + "\n";
      }
    };
    add("sea", 1, 6, 2);
    add("sea", 0, 2, 2);
    add("land", 1, 3, 1);
    add("land", 0, 2, 2);
    if (model != "a") add("sea", 1, 10 * (model[0] - 'a'), 1);  // so that models differ
  }
  const RunResult result = run_amalgam({"study", "subpopulations", write("p.csv", rows),
                                        "--predictions", "--majority-groups", "sea", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto gap = result.json()["per_model"][0]["gap"];
  EXPECT_NEAR(gap["observed"].get<double>(), 8.0 / 12 - 5.0 / 8, 1e-12);
  EXPECT_NEAR(gap["explained"].get<double>(), (8.0 / 12 - 4.0 / 8) * 0.25, 1e-12);
  EXPECT_NEAR(gap["rest"].get<double>(), 0, 1e-12);
  expect_bad_usage(run_amalgam({"study", "subpopulations", write("p.csv", rows), "--predictions"}),
                   "--majority-groups");
}

TEST_F(StudySubpopulations, WarnsOfSwappedCountsAndRefusesTooFewModels) {
  const RunResult result = run_amalgam(
      {"study", "subpopulations", moon(), "--training-counts", "100,900", "--bootstrap", "0"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("are the two swapped?"));
  expect_bad_usage(
      run_amalgam({"study", "subpopulations",
                   write("few.csv", "m,majority,minority\nx,.5,.5\ny,.6,.6\nz,.7,.7\n")}),
      "few.csv", "3 models");
  expect_bad_usage(run_amalgam({"study", "subpopulations", moon(), "--reference", "kind"}),
                   "TAG=VALUE");
}

}  // namespace
}  // namespace amalgam
