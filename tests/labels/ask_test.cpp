#include "amalgam/labels/ask.hpp"

#include <gmock/gmock.h>
#include <rapidcheck/gtest.h>

#include <cmath>

#include "amalgam/core/error.hpp"
#include "tests/labels/random_annotations.hpp"

namespace amalgam::labels {
namespace {

double h(double p) { return -p * std::log2(p) - (1 - p) * std::log2(1 - p); }

TEST(ExpectedInformation, OfAFairCoinIsTheCapacityOfTheChannel) {
  const std::vector<double> even = {0.5, 0.5};
  const std::vector<double> good = {0.8, 0.2, 0.2, 0.8};
  EXPECT_NEAR(expected_information(even, good), 1 - h(0.8), 1e-12);
  const std::vector<double> blind = {0.5, 0.5, 0.5, 0.5};
  EXPECT_NEAR(expected_information(even, blind), 0, 1e-15);
  const std::vector<double> perfect = {1, 0, 0, 1};
  EXPECT_NEAR(expected_information(even, perfect), 1, 1e-12);
}

TEST(ExpectedInformation, OfTwoAnnotationsIsOverTheirThreeOutcomes) {
  // Agreeing on a (p = .34), on b (.34), and one of each (.32), which says nothing.
  const std::vector<double> even = {0.5, 0.5};
  const std::vector<double> good = {0.8, 0.2, 0.2, 0.8};
  const double expected = 1 - (0.68 * h(0.64 / 0.68) + 0.32);
  EXPECT_NEAR(expected_information(even, good, 2), expected, 1e-12);
}

RC_GTEST_PROP(ExpectedInformation, GrowsWithAnnotationsByLessAndLess,
              (std::uint8_t a, std::uint8_t b, std::uint8_t c)) {
  const double sum = 3.0 + a + b + c;
  const std::vector<double> p = {(1.0 + a) / sum, (1.0 + b) / sum, (1.0 + c) / sum};
  const std::vector<double> confusion = {.7, .2, .1, .25, .5, .25, .1, .1, .8};
  const double one = expected_information(p, confusion, 1);
  const double two = expected_information(p, confusion, 2);
  const double three = expected_information(p, confusion, 3);
  RC_ASSERT(one >= 0 && two >= one - 1e-12 && three >= two - 1e-12);
  RC_ASSERT(two - one <= one + 1e-12 && three - two <= two - one + 1e-12);
}

LabelFit fit_of(const AnnotationTable& table) { return fit_labels("one-coin-dawid-skene", table); }

TEST(AskNext, AsksForWhatIsUncertainAndKnowable) {
  const AnnotationTable table = RandomAnnotations{.votes = 4}.table();
  LabelFit fit = fit_of(table);
  for (std::size_t task = 0; task < table.task_count(); ++task) {
    const auto row = fit.posterior.row(task);
    row[0] = 1;
    row[1] = row[2] = 0;
  }
  fit.posterior.row(17)[0] = 0.5;
  fit.posterior.row(17)[1] = 0.5;
  fit.posterior.row(3)[0] = 0.9;
  fit.posterior.row(3)[1] = 0.1;
  const auto asked = ask_next(table, fit, {.budget = 3});
  ASSERT_EQ(asked.size(), 3U);
  EXPECT_EQ(asked[0].task, 17U);
  EXPECT_EQ(asked[1].task, 3U);
  EXPECT_EQ(asked[2].task, 0U);
  EXPECT_EQ(asked[2].value, 0);
  const auto twice = ask_next(table, fit, {.budget = 2, .most_per_task = 3});
  EXPECT_EQ(twice[1].task, 17U);
  EXPECT_LT(twice[1].value, twice[0].value);
}

TEST(AskNext, NamesTheBestWorkerWhoHasNotAnnotatedTheTask) {
  const AnnotationTable table = RandomAnnotations{.votes = 4}.table();
  const LabelFit fit = fit_of(table);
  const auto confusions = assignable_confusions(table, fit);
  for (const Question& question : ask_next(table, fit, {.budget = 50, .choose_workers = true})) {
    ASSERT_TRUE(question.worker.has_value());
    const auto [begin, end] = table.rows_of(question.task);
    for (std::size_t w = 0; w < table.worker_count(); ++w) {
      bool did = false;
      for (std::size_t row = begin; row < end; ++row) did = did || table.workers[row] == w;
      if (w == *question.worker) EXPECT_FALSE(did);
      if (!did) {
        EXPECT_LE(expected_information(fit.posterior.row(question.task), confusions[w]),
                  question.value + 1e-12);
      }
    }
  }
}

TEST(AskNext, SpendsTheBudgetBetterThanChance) {
  // After 300 more annotations, each by a draw of a worker, of asked tasks and of tasks in turn.
  const RandomAnnotations start{.tasks = 400, .workers = 30, .votes = 2};
  const AnnotationTable table = start.table();
  const auto asked = ask_next(table, fit_of(table), {.budget = 300, .most_per_task = 2});
  const auto accuracy_after = [&](const auto& task_of) {
    AnnotationBuilder builder = start.builder();
    for (std::size_t i = 0; i < 300; ++i) {
      const std::size_t t = task_of(i);
      const RandomAnnotations one{
          .tasks = 1, .workers = 30, .votes = 1, .seed = 100 + i, .first_task = t, .what = "more"};
      const AnnotationTable more = one.table();
      builder.add(builder.task(more.task_names[0]), builder.worker(more.worker_names[0]),
                  builder.label(more.label_names[more.labels[0]]));
    }
    const AnnotationTable grown = builder.finish("grown");
    const HardLabels labels = hard_labels(fit_of(grown).posterior);
    std::size_t right = 0;
    for (std::size_t t = 0; t < 400; ++t) right += labels.labels[t] == start.truth(t) ? 1 : 0;
    return static_cast<double>(right) / 400;
  };
  const double by_information = accuracy_after([&](std::size_t i) { return asked[i].task; });
  const double in_turn = accuracy_after([](std::size_t i) { return i; });
  EXPECT_GT(by_information, in_turn + 0.02);
}

TEST(AskNext, TrustsAWorkerOfFewAnnotationsNoMoreThanTheTypicalOne) {
  AnnotationBuilder builder = RandomAnnotations{}.builder();
  builder.add(builder.task("task000000"), builder.worker("zoe"), builder.label("0"));
  const AnnotationTable table = builder.finish("rows");
  LabelFit fit = fit_of(table);
  const std::size_t zoe = table.worker_count() - 1;
  fit.skills[zoe] = 1;
  const double typical = typical_confusion(table, fit)[0];
  const double own = assignable_confusions(table, fit)[zoe][0];
  EXPECT_GT(own, typical);
  EXPECT_LT(own, typical + (1 - typical) / 10);
}

TEST(AskNext, RefusesWhatItCannotAsk) {
  const AnnotationTable table = RandomAnnotations{}.table();
  const LabelFit fit = fit_of(table);
  EXPECT_THROW(ask_next(table, fit, {}), InputError);
  EXPECT_THROW(ask_next(table, fit, {.budget = 1, .most_per_task = 9}), InputError);
  EXPECT_THROW(ask_next(table, fit, {.by = AskBy::margin, .budget = 1, .most_per_task = 2}),
               InputError);
}

}  // namespace
}  // namespace amalgam::labels
