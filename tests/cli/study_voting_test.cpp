// `amalgam study voting`: the paper's example and what it refuses.
#include <gtest/gtest.h>

#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

TEST(StudyVoting, OfThePapersExample) {
  const RunResult result = run_amalgam({"study", "voting", "--shift", "0.5,0.9,1", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto rows = result.json()["rows"];
  ASSERT_EQ(rows.size(), 3U);
  const double single[] = {.976852, .865, .814815};
  const double pair[] = {.998864, .973027, .951989};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(rows[i]["single"].get<double>(), single[i], 1e-6);
    EXPECT_NEAR(rows[i]["output_ensemble"].get<double>(), pair[i], 1e-6);
    // Without a shared feature both ensembles predict alike.
    EXPECT_EQ(rows[i]["weight_ensemble"], rows[i]["output_ensemble"]);
  }
}

// Shared invariant features are trusted more where weights are averaged.
TEST(StudyVoting, WeightsTrustWhatIsShared) {
  const auto row =
      run_amalgam({"study", "voting", "--invariant", "3", "--spurious", "12", "--shared-invariant",
                   "3", "--classes", "10", "--shift", "0.95", "--json"})
          .json()["rows"][0];
  EXPECT_GT(row["weight_ensemble"], row["output_ensemble"]);
}

TEST(StudyVoting, PrintsATableAndRefusesMoreThanThereAre) {
  EXPECT_NE(run_amalgam({"study", "voting"}).out.find("weights averaged"), std::string::npos);
  expect_bad_usage(run_amalgam({"study", "voting", "--shared-spurious", "4"}), "at most");
  expect_bad_usage(run_amalgam({"study", "voting", "--shift", "1.5"}), "1.5");
}

}  // namespace
}  // namespace amalgam
