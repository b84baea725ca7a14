#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <random>

#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

using ::testing::HasSubstr;

class StudyDifficulty : public ::testing::Test {
 protected:
  // Random points in two unit squares, half a unit apart.
  std::string squares(double unit, const std::string& more = "") const {
    const std::string path = (folder_ / "squares.csv").string();
    std::ofstream file(path);
    file.precision(17);
    file << "name,x,y,class\n";
    std::minstd_rand random(1);  // the same everywhere, unlike distributions
    const auto draw = [&] { return static_cast<double>(random() % 65536) / 65536; };
    for (int i = 0; i < 800; ++i) {
      const double x = draw() + (i % 2 == 0 ? 0 : 1.5);
      file << "p," << unit * x << ',' << unit * draw() << ',' << (i % 2 == 0 ? "left" : "right")
           << '\n';
    }
    file << more;
    return path;
  }
  TemporaryFolder folder_;
};

TEST_F(StudyDifficulty, OfATableWhateverItsUnit) {
  const auto json_of = [&](double unit) {
    const RunResult result = run_amalgam({"study", "difficulty", squares(unit), "--label", "class",
                                          "--ignore", "name", "--error", "0.1,0.05", "--json"});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_THAT(result.err, HasSubstr("rounded to 2"));
    return result.json();
  };
  const auto json = json_of(1);
  EXPECT_EQ(json["task"]["dimension"], 2);
  EXPECT_EQ(json["task"]["combinations"], 2);
  EXPECT_EQ(json["estimates"]["classes"], 2);
  EXPECT_NEAR(json["estimates"]["separation"]["distance"].get<double>(), 0.5, 0.05);
  ASSERT_EQ(json["results"].size(), 2U);
  // Half the error is one bit more per dimension of what fits the examples.
  const double bits = json["results"][0]["bits"];
  const double more = json["results"][1]["bits"];
  EXPECT_NEAR(std::log10(more - bits), json["parts"]["log10_consistent_dimensions"].get<double>(),
              1e-9);
  EXPECT_NEAR(json_of(1024)["results"][0]["bits"].get<double>() / bits, 1, 1e-12);
}

TEST_F(StudyDifficulty, OfConstants) {
  const RunResult result =
      run_amalgam({"study", "difficulty", "--count", "60000", "--dimension", "14", "--radius",
                   "17.179046", "--resolution", "2.398708", "--classes", "10", "--error", "0.001"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("1.485e16"));
  const RunResult control =
      run_amalgam({"study", "difficulty", "--kind", "control", "--count", "1e4", "--dimension", "2",
                   "--resolution", "0.001", "--error", "0.001", "--json"});
  EXPECT_NEAR(control.json()["results"][0]["bits"].get<double>() / 4.415e9, 1, 1e-3);
  EXPECT_TRUE(control.json()["estimates"].is_null());
}

TEST_F(StudyDifficulty, RefusesInOneSentence) {
  expect_bad_usage(run_amalgam({"study", "difficulty"}), "--count");
  expect_bad_usage(run_amalgam({"study", "difficulty", squares(1)}), "--label COLUMN");
  expect_bad_usage(run_amalgam({"study", "difficulty", squares(1), "--label", "class"}),
                   "squares.csv:2:1", "column 'name'", "--ignore");
  const std::string clash = squares(1, "q,100,100,left\nq,100,100,right\n");
  expect_bad_usage(
      run_amalgam({"study", "difficulty", clash, "--label", "class", "--ignore", "name"}),
      "rows 800 and 801", "squares.csv");
  expect_bad_usage(run_amalgam({"study", "difficulty", "--kind", "control", "--count", "10"}),
                   "needs --dimension");
  expect_bad_usage(run_amalgam({"study", "difficulty", "--count", "10", "--dimension", "2",
                                "--radius", "1", "--resolution", "0", "--classes", "2"}),
                   "resolution is 0");
}

TEST_F(StudyDifficulty, WritesARowPerError) {
  const std::string path = (folder_ / "bits.csv").string();
  const RunResult result =
      run_amalgam({"study", "difficulty", "--count", "100", "--dimension", "2", "--radius", "1",
                   "--resolution", "1", "--classes", "2", "--error", "0.1,0.9", "--out", path});
  ASSERT_EQ(result.code, 0) << result.err;
  const std::string written = contents_of(path);
  EXPECT_TRUE(written.starts_with("error,bits,log10_bits,log10_bits_unrounded,")) << written;
  // 389.03 bits of 85.13 dimensions (worked by hand).
  EXPECT_THAT(written, HasSubstr("\n0.1,389.0"));
  EXPECT_THAT(written, HasSubstr(",false,false\n0.9,"));
  EXPECT_EQ(run_amalgam({"study", "difficulty", "--count", "100", "--dimension", "2", "--radius",
                         "1", "--resolution", "1", "--classes", "2", "--out", "-"})
                .code,
            2);
}

TEST_F(StudyDifficulty, WritesAPageWithCurves) {
  const std::string page = (folder_ / "page.html").string();
  const RunResult result = run_amalgam(
      {"study", "difficulty", squares(1), "--label", "class", "--ignore", "name", "--html", page});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(contents_of(page), HasSubstr("What a smaller error takes"));
  EXPECT_THAT(contents_of(page), HasSubstr("What a dimension takes, at an error of 0.1"));
}

}  // namespace
}  // namespace amalgam
