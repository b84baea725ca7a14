#include "amalgam/labels/label_predictor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/incremental.hpp"
#include "amalgam/labels/label_state.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/error_of.hpp"
#include "tests/labels/random_annotations.hpp"

namespace amalgam::labels {
namespace {

using ::testing::HasSubstr;

FitContext keeping() {
  FitContext context;
  context.keep_evidence = true;
  return context;
}

struct Case {
  std::string method;
  std::vector<std::string> parameters;
  std::size_t classes;
};

class PredictorOf : public ::testing::TestWithParam<Case> {};

TEST_P(PredictorOf, GivesTheTasksOfTheFitTheirPosterior) {
  const Case& chosen = GetParam();
  const AnnotationTable table =
      RandomAnnotations{.tasks = 60, .workers = 9, .classes = chosen.classes, .votes = 5}.table();
  const LabelFit fit = fit_labels(chosen.method, table, chosen.parameters, keeping());
  const LabelPredictor model(chosen.method, table, fit);
  const TemporaryFolder folder;
  const auto path = folder / "predictor.safetensors";
  model.save(path);
  const LabelPredictor loaded = LabelPredictor::load(path);
  const LabelPrediction prediction = loaded.predict(table);
  EXPECT_EQ(prediction.used, table.rows());
  EXPECT_EQ(prediction.uncovered, 0U);
  for (std::size_t i = 0; i < fit.posterior.values.size(); ++i) {
    ASSERT_NEAR(prediction.soft.values[i], fit.posterior.values[i], 1e-12) << i;
  }
  EXPECT_EQ(prediction.soft.values, model.predict(table, {.threads = 3}).soft.values);
}

INSTANTIATE_TEST_SUITE_P(
    All, PredictorOf,
    ::testing::Values(Case{"dawid-skene", {}, 3}, Case{"fast-dawid-skene", {}, 3},
                      Case{"one-coin-dawid-skene", {}, 4}, Case{"zencrowd", {}, 3},
                      Case{"mace", {"restarts=2"}, 3}, Case{"bcc", {"inference=variational"}, 3},
                      Case{"m-msr", {}, 3}, Case{"generative", {}, 3},
                      Case{"generative", {"fit=likelihood"}, 3}, Case{"flying-squid", {}, 2},
                      Case{"flying-squid", {}, 4}, Case{"weaver", {"polish=2"}, 2},
                      Case{"wawa", {}, 3}, Case{"zero-based-skill", {}, 4}));

TEST(LabelPredictor, NewTasksAreLabelledByTheWorkersThatAreKnown) {
  // Both always agree, so that each has a confusion matrix that is nearly the identity.
  std::vector<Triple> triples;
  const std::vector<std::string> names = {"t0", "t1", "t2", "t3", "t4", "t5"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    for (const char* worker : {"ann", "bob"}) {
      triples.push_back({names[i], worker, i % 3 == 0 ? "dog" : "cat"});
    }
  }
  const AnnotationTable table = make_table(triples);
  const LabelPredictor model("dawid-skene", table, fit_labels("dawid-skene", table, {}, keeping()));
  const AnnotationTable added =
      make_table(std::vector<Triple>{{"x", "bob", "dog"}, {"y", "eve", "dog"}});
  const LabelPrediction prediction = model.predict(added);
  EXPECT_NEAR(prediction.soft.row(0)[1], 1, 1e-6);
  // Of eve nothing is known: the prior, 4 cats to 2 dogs.
  EXPECT_NEAR(prediction.soft.row(1)[0], 2.0 / 3, 1e-6);
  EXPECT_EQ(prediction.of_unknown_workers, 1U);
  EXPECT_THAT(prediction.unknown, ::testing::ElementsAre("eve"));
  EXPECT_EQ(prediction.uncovered, 1U);
  EXPECT_THAT(error_of([&] {
                model.predict(make_table(std::vector<Triple>{{"x", "bob", "cow"}}));
              }),
              HasSubstr("the label 'cow', which the model does not know"));
}

TEST(LabelPredictor, SkillsOfControlTasksWeighTheVotesOnNewOnes) {
  // Ann is right on all of four control tasks, bob on one, and eve on none.
  std::vector<Triple> triples;
  GoldLabels gold;
  const std::vector<std::string> names = {"t0", "t1", "t2", "t3"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    triples.push_back({names[i], "ann", i % 2 == 0 ? "dog" : "cat"});
    triples.push_back({names[i], "bob", i == 2 || i % 2 == 1 ? "dog" : "cat"});
    triples.push_back({names[i], "eve", i % 2 == 0 ? "cat" : "dog"});
    gold.labels.push_back(i % 2 == 0 ? 1 : 0);
  }
  const AnnotationTable table = make_table(triples);
  FitContext context = keeping();
  context.gold = &gold;
  const LabelPredictor model("gold-majority", table,
                             fit_labels("gold-majority", table, {}, context));
  const LabelPrediction prediction = model.predict(make_table(std::vector<Triple>{
      {"x", "ann", "dog"}, {"x", "bob", "cat"}, {"y", "eve", "dog"}, {"z", "new", "dog"}}));
  EXPECT_NEAR(prediction.soft.row(0)[1], 1 / 1.25, 1e-12);
  // Eve's skill is 0, so that only her plain vote is left; of a new worker nothing is.
  EXPECT_EQ(prediction.soft.row(1)[1], 1);
  EXPECT_EQ(prediction.soft.row(2)[1], 0.5);
  EXPECT_EQ(prediction.uncovered, 1U);
}

TEST(LabelPredictor, StatesThatCountVotesPredictAsTheFitOfAllTheirAnnotations) {
  const AnnotationTable table =
      RandomAnnotations{.tasks = 50, .workers = 8, .classes = 3, .votes = 5}.table();
  const TemporaryFolder folder;
  const auto path = folder / "counting_state.safetensors";
  make_label_state(table, "wawa", {}, {})->save(path);
  const LabelPrediction prediction = LabelPredictor::load(path).predict(table);
  EXPECT_EQ(prediction.soft.values, fit_labels("wawa", table).posterior.values);
  make_label_state(table, "majority-vote", {}, {})->save(path);
  EXPECT_THAT(error_of([&] { LabelPredictor::load(path); }),
              HasSubstr("'majority-vote' learns nothing of workers"));
}

TEST(LabelPredictor, RefusesWeightsThatAreNone) {
  const AnnotationTable table = RandomAnnotations{.tasks = 20, .workers = 5}.table();
  LabelFit fit = fit_labels("wawa", table, {}, keeping());
  fit.evidence.values[2] = -1;
  const TemporaryFolder folder;
  const auto path = folder / "weights.safetensors";
  LabelPredictor("wawa", table, fit).save(path);
  EXPECT_THAT(error_of([&] { LabelPredictor::load(path); }), HasSubstr("weights.safetensors"));
}

TEST(LabelPredictor, ReadsStatesThatTakeInAnnotations) {
  const AnnotationTable table =
      RandomAnnotations{.tasks = 50, .workers = 8, .classes = 3, .votes = 5}.table();
  for (const char* method : {"dawid-skene", "one-coin-dawid-skene"}) {
    IncrementalFit state(table, method, {}, {});
    state.refine(1e-12, 5000, {});
    const TemporaryFolder folder;
    const auto path = folder / "predictor_state.safetensors";
    state.save(path);
    const LabelPrediction prediction = LabelPredictor::load(path).predict(table);
    const SoftLabels expected = state.result().fit.posterior;
    for (std::size_t i = 0; i < expected.values.size(); ++i) {
      ASSERT_NEAR(prediction.soft.values[i], expected.values[i], 1e-9) << method;
    }
  }
}

// In the first sweep all tasks have the easiness that is taken of new ones.
TEST(LabelPredictor, GladTakesNewTasksToBeOfTheEasinessOfThePrior) {
  const AnnotationTable table =
      RandomAnnotations{.tasks = 50, .workers = 8, .classes = 3, .votes = 5}.table();
  const std::vector<std::string> once{"iterations=1", "balance=1,2,3"};
  const LabelFit first = fit_labels("glad", table, once, keeping());
  const LabelPrediction prediction = LabelPredictor("glad", table, first).predict(table);
  for (std::size_t i = 0; i < first.posterior.values.size(); ++i) {
    ASSERT_NEAR(prediction.soft.values[i], first.posterior.values[i], 1e-12);
  }
  // Abilities count: the votes of the better one win.
  const LabelFit fit = fit_labels("glad", table, {}, keeping());
  const auto better =
      static_cast<Worker>(std::ranges::max_element(fit.skills) - fit.skills.begin());
  const auto worse = static_cast<Worker>(std::ranges::min_element(fit.skills) - fit.skills.begin());
  AnnotationBuilder two;
  two.add(two.task("x"), two.worker(table.worker_names[better]), two.label("1"));
  two.add(two.task("x"), two.worker(table.worker_names[worse]), two.label("0"));
  const LabelPrediction decided = LabelPredictor("glad", table, fit).predict(two.finish("two"));
  EXPECT_GT(decided.soft.row(0)[1], decided.soft.row(0)[0]);
}

TEST(LabelPredictor, RefusesMethodsThatLearnNothingOfWorkers) {
  const AnnotationTable table =
      RandomAnnotations{.tasks = 20, .workers = 5, .classes = 2, .votes = 3}.table();
  const LabelFit fit = fit_labels("majority-vote", table, {}, keeping());
  EXPECT_THAT(error_of([&] { LabelPredictor("majority-vote", table, fit); }),
              HasSubstr("method 'majority-vote' learns nothing of workers"));
}

}  // namespace
}  // namespace amalgam::labels
