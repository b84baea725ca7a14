#include <gmock/gmock.h>

#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/label_model.hpp"
#include "tests/labels/tiny_crowd.hpp"

namespace amalgam::labels {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

void expect_row(const LabelFit& fit, std::size_t task, double first) {
  EXPECT_NEAR(fit.posterior.row(task)[0], first, 1e-6);
  EXPECT_NEAR(fit.posterior.row(task)[1], 1 - first, 1e-6);
}

TEST(Standard, IsTheShareOfVotes) {
  const LabelFit fit = fit_tiny("standard");
  expect_row(fit, 0, 2.0 / 3);
  expect_row(fit, 1, 0);
  expect_row(fit, 2, 1.0 / 3);
}

TEST(Softmax, IsOfNumbersNotOfShares) {
  const LabelFit fit = fit_tiny("softmax");
  expect_row(fit, 0, 0.731059);
  expect_row(fit, 1, 0.047426);
}

TEST(Wawa, WeighsByAgreementWithTheMajority) {
  const LabelFit fit = fit_tiny("wawa");
  EXPECT_THAT(fit.skills, ElementsAre(near(2.0 / 3), near(1), near(2.0 / 3)));
  expect_row(fit, 0, 5.0 / 7);
  expect_row(fit, 2, 2.0 / 7);
}

TEST(ZeroBasedSkill, FirstStepIsWawa) {
  const LabelFit fit = fit_tiny("zero-based-skill", {"iterations=1"});
  EXPECT_THAT(fit.skills, ElementsAre(near(2.0 / 3), near(1), near(2.0 / 3)));
  expect_row(fit, 0, 5.0 / 7);
}

TEST(DawidSkene, FirstSweepIsTheOneWorkedByHand) {
  const LabelFit fit = fit_tiny("dawid-skene", {"iterations=1"});
  EXPECT_THAT(fit.prior, ElementsAre(near(1.0 / 3), near(2.0 / 3)));
  // Rows are true labels here: A says 0 of a true 0 always, of a true 1 half the time.
  EXPECT_THAT(fit.confusion,
              ElementsAre(near(1), near(0), near(0.5), near(0.5), near(2.0 / 3), near(1.0 / 3),
                          near(1.0 / 6), near(5.0 / 6), near(0), near(1), near(0), near(1)));
  expect_row(fit, 0, 0.8);
  EXPECT_LT(fit.posterior.row(1)[0], 1e-9);
  expect_row(fit, 2, 2.0 / 7);
}

TEST(OneCoin, FirstSweepIsTheOneWorkedByHand) {
  const LabelFit fit = fit_tiny("one-coin-dawid-skene", {"iterations=1"});
  EXPECT_THAT(fit.skills, ElementsAre(near(2.0 / 3), near(7.0 / 9), near(2.0 / 3)));
  expect_row(fit, 0, 7.0 / 11);
  expect_row(fit, 1, 0.034483);
  expect_row(fit, 2, 1.0 / 8);
}

TEST(ZenCrowd, FirstSweepIsTheOneWorkedByHand) {
  const LabelFit fit = fit_tiny("zencrowd", {"iterations=1"});
  expect_row(fit, 0, 7.0 / 9);
  expect_row(fit, 1, 1.0 / 15);
}

TEST(MajorityVote, TiesShareAndGoToTheLowestLabel) {
  const AnnotationTable table = make_table(
      std::vector<Triple>{{"t", "A", "b"}, {"t", "B", "a"}, {"u", "A", "b"}, {"u", "B", "b"}});
  const LabelFit fit = fit_labels("majority-vote", table);
  expect_row(fit, 0, 0.5);
  expect_row(fit, 1, 0);
  const HardLabels hard = hard_labels(fit.posterior);
  EXPECT_THAT(hard.labels, ElementsAre(0, 1));
  EXPECT_EQ(hard.ties, 1U);
}

TEST(FitLabels, SaysWhatCannotBeFitted) {
  EXPECT_THAT([] { fit_tiny("dawid-skeen"); },
              ThrowsMessage<InputError>(HasSubstr("did you mean 'dawid-skene'?")));
  const AnnotationTable one_label =
      make_table(std::vector<Triple>{{"t", "A", "x"}, {"t", "B", "x"}});
  EXPECT_THAT([&] { fit_labels("standard", one_label); },
              ThrowsMessage<InputError>(HasSubstr("the same label 'x'")));
  const AnnotationTable one_worker =
      make_table(std::vector<Triple>{{"t", "A", "x"}, {"u", "A", "y"}});
  EXPECT_THAT([&] { fit_labels("zencrowd", one_worker); },
              ThrowsMessage<InputError>(HasSubstr("needs at least 2 workers")));
}

}  // namespace
}  // namespace amalgam::labels
