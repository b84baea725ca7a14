// Pages of what experiments gave.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "amalgam/experiments/report.hpp"

namespace amalgam::experiments {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Two seeds with `value` and a little more as every figure.
Result result_of(const Experiment& experiment, double value) {
  Result result{.experiment = &experiment, .seeds = {1, 2}, .figures = {}, .claims = {}};
  for (const double more : {0.0, 0.01}) {
    Figures figures;
    for (const std::string& row : experiment.rows) figures[row] = value + more;
    result.figures.push_back(figures);
  }
  return result;
}

TEST(ExperimentReport, EveryExperimentHasAPageAndSharesAreDrawn) {
  for (const Experiment* experiment : all_experiments()) {
    const std::string page = html_page(result_of(*experiment, 0.25));
    EXPECT_THAT(page, HasSubstr("<svg")) << experiment->slug;
    EXPECT_THAT(page, HasSubstr("0.2550")) << experiment->slug;
  }
}

TEST(ExperimentReport, FiguresThatAreNoSharesAreATableOnly) {
  const Experiment& experiment = find_experiment("generalization-difficulty");
  const std::string page = html_page(result_of(experiment, 20));
  EXPECT_THAT(page, Not(HasSubstr("<svg")));
  EXPECT_THAT(page, HasSubstr("20.0050"));
}

}  // namespace
}  // namespace amalgam::experiments
