#include "amalgam/labels/confusion_file.hpp"

#include <gmock/gmock.h>

#include <filesystem>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/label_files.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/labels/tiny_crowd.hpp"

namespace amalgam::labels {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class ConfusionFileTest : public ::testing::Test {
 protected:
  ConfusionFile read(const std::string& text, double weight = 0) const {
    return read_confusion(folder_.write("confusion.csv", text), three_by_three(), weight);
  }
  void expect_refused(const std::string& text, const std::string& message,
                      double weight = 0) const {
    EXPECT_THAT([&] { read(text, weight); }, ThrowsMessage<InputError>(HasSubstr(message)));
  }

  TemporaryFolder folder_;
};

TEST_F(ConfusionFileTest, WhatOneFitWroteStartsAnother) {
  const AnnotationTable table = three_by_three();
  const LabelFit fit = fit_tiny("dawid-skene", {"iterations=4", "tolerance=-1"});
  const std::filesystem::path path = folder_ / "confusion.csv";
  write_confusion(path, table, fit);
  const ConfusionFile file = read_confusion(path, table);
  EXPECT_EQ(file.used, 12U);
  EXPECT_EQ(file.elsewhere, 0U);
  EXPECT_FALSE(file.confusion.adds);
  EXPECT_EQ(file.confusion.counts, fit.confusion);
  // One sweep by the matrices of the fit, under the prior of the votes: t0 has votes 0, 0, 1.
  FitContext context;
  context.initial_confusion = &file.confusion;
  const LabelFit next = fit_tiny("dawid-skene", {"iterations=1"}, context);
  const auto say = [&](std::size_t worker, std::size_t truth, std::size_t said) {
    return std::max(fit.confusion[worker * 4 + truth * 2 + said], 1e-10);
  };
  const double zero = 1.0 / 3 * say(0, 0, 0) * say(1, 0, 0) * say(2, 0, 1);
  const double one = 2.0 / 3 * say(0, 1, 0) * say(1, 1, 0) * say(2, 1, 1);
  EXPECT_NEAR(next.posterior.row(0)[0], zero / (zero + one), 1e-6);
}

TEST_F(ConfusionFileTest, WeightsAddWhatIsThere) {
  const ConfusionFile file =
      read("probability,observed,true,worker\n0.75,0,1,B\n0.25,1,1,B\n1,1,1,Zoe\n1,7,1,B\n", 8);
  EXPECT_TRUE(file.confusion.adds);
  EXPECT_THAT(file.confusion.counts, ElementsAre(0, 0, 0, 0, 0, 0, 6, 2, 0, 0, 0, 0));
  EXPECT_EQ(file.used, 2U);
  EXPECT_EQ(file.elsewhere, 2U);
  const ConfusionFile counts = read("worker,true,observed,count\nC,0,1,12\n", 1);
  EXPECT_EQ(counts.confusion.counts[9], 12);
}

TEST_F(ConfusionFileTest, ErrorsNameThePlace) {
  const std::string header = "worker,true,observed,probability\n";
  expect_refused(header + "A,0,0,1\n",
                 "nothing of worker 'A' with true label '0' and observed label '1'");
  expect_refused(header + "A,0,0,-1\n", "confusion.csv:2:7: '-1'");
  expect_refused(header + "A,0,0,nan\n", "'nan'; expected a finite number");
  expect_refused(header + "A,0,0\n", "confusion.csv:2: the row has 3 cells");
  expect_refused(header + "A,0,0,1\nA,0,0,1\n", "a second row of worker 'A'", 1);
  expect_refused(header + "Z,0,0,1\n", "no row is of a worker and labels", 1);
  expect_refused("worker,truth,observed,probability\n", "it has no column 'true'");
  expect_refused(header, "no row is of a worker and labels");
  expect_refused(header + "A,0,0,1\n", "weigh -1", -1);
}

}  // namespace
}  // namespace amalgam::labels
