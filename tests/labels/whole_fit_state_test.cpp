#include "amalgam/labels/whole_fit_state.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/label_predictor.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/labels/joined_tables.hpp"
#include "tests/labels/random_annotations.hpp"

namespace amalgam::labels {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

struct Method {
  const char* name;
  std::vector<std::string> parameters;
  std::size_t classes = 3;

  RandomAnnotations all() const {
    return {.tasks = 600, .workers = 15, .classes = classes, .votes = 5};
  }
  // Of old tasks and new ones, by old workers and two new ones.
  RandomAnnotations more() const {
    return {.tasks = 60,
            .workers = 6,
            .classes = classes,
            .votes = 4,
            .first_task = 570,
            .first_worker = 11,
            .what = "more"};
  }
  RandomAnnotations last() const {
    return {.tasks = 20,
            .workers = 17,
            .classes = classes,
            .votes = 5,
            .first_task = 620,
            .what = "last"};
  }
};

void PrintTo(const Method& method, std::ostream* out) { *out << method.name; }

AnnotationTable whole(const Method& method) {
  return joined(joined(method.all().table(), method.more().table()), method.last().table());
}

// The true labels of every third task.
GoldLabels gold_of(const AnnotationTable& table, const RandomAnnotations& made) {
  GoldLabels gold{std::vector<Label>(table.task_count(), kNoLabel)};
  for (std::size_t task = 0; task < table.task_count(); task += 3) {
    const std::size_t number = std::stoul(std::string(table.task_names[task].substr(4)));
    gold.labels[task] = static_cast<Label>(made.truth(number));
  }
  return gold;
}

// The same after it was written and read.
std::unique_ptr<LabelState> reloaded(const LabelState& state) {
  const TemporaryFolder folder;
  const auto path = folder / "state.safetensors";
  state.save(path);
  return load_label_state(path);
}

class BeginsAnew : public ::testing::TestWithParam<Method> {};

TEST_P(BeginsAnew, AnUpdateIsTheFitOfEverythingAtOnceToTheBit) {
  const Method& method = GetParam();
  FitContext context;
  context.seed = 7;
  auto state = make_label_state(method.all().table(), method.name, method.parameters, context);
  const AbsorbReport report = state->absorb(method.more().table());
  EXPECT_EQ(report.annotations, 240U);
  EXPECT_EQ(report.new_tasks, 30U);
  EXPECT_EQ(report.new_workers, 2U);
  EXPECT_TRUE(report.fits_everything);
  EXPECT_EQ(report.tasks_updated, 630U);
  EXPECT_GT(report.largest_change, 0);
  state = reloaded(*state);
  EXPECT_EQ(state->method(), method.name);
  AbsorbOptions options;
  options.parallel.threads = 2;
  state->absorb(method.last().table(), options);
  state = reloaded(*state);

  const AnnotationTable table = whole(method);
  const LabelFit fit = fit_labels(method.name, table, method.parameters, context);
  const LabelState::Result result = state->result();
  EXPECT_EQ(result.fit.posterior.values, fit.posterior.values);
  EXPECT_EQ(result.fit.skills, fit.skills);
  EXPECT_EQ(result.fit.worker_columns, fit.worker_columns);
  EXPECT_EQ(result.table.appearance, table.appearance);
}

INSTANTIATE_TEST_SUITE_P(
    All, BeginsAnew,
    ::testing::Values(Method{"flying-squid", {}}, Method{"flying-squid", {"triplets=20"}, 2},
                      Method{"weaver", {}, 2},
                      Method{"weaver", {"solver=triplet-median", "triplets=9"}, 2},
                      Method{"weaver", {"polish=3"}, 2}, Method{"generative", {}},
                      Method{"m-msr", {}}, Method{"dawid-skene", {"abstentions=missing"}},
                      Method{"average", {"methods=wawa,bcc"}}));

TEST(GoldMajorityState, AnUpdateIsTheFitOfEverythingAtOnceToTheBit) {
  const Method method{"gold-majority", {}};
  const AnnotationTable first = method.all().table();
  const GoldLabels gold = gold_of(first, method.all());
  FitContext context;
  context.gold = &gold;
  auto state = make_label_state(first, method.name, {}, context);
  state = reloaded(*state);
  // Gold tasks get more annotations, and new tasks are told to be gold.
  state->absorb(method.more().table());
  const AnnotationTable table = whole(method);
  GoldLabels all_gold = gold_of(table, method.all());
  AbsorbOptions options;
  options.gold = [&](const AnnotationTable& all) {
    EXPECT_EQ(all.task_names, table.task_names);
    return all_gold;
  };
  state->absorb(method.last().table(), options);
  state = reloaded(*state);
  // What was gold from the start stays so.
  for (std::size_t task = 0; task < first.task_count(); ++task) {
    if (gold.labels[task] == kNoLabel) continue;
    all_gold.labels[table.task_names.find(first.task_names[task])] = gold.labels[task];
  }
  context.gold = &all_gold;
  const LabelFit fit = fit_labels(method.name, table, {}, context);
  EXPECT_EQ(state->result().fit.posterior.values, fit.posterior.values);
  EXPECT_EQ(state->result().fit.skills, fit.skills);
  EXPECT_THAT([&] { make_label_state(first, "gold-majority", {}, {}); },
              ThrowsMessage<InputError>(HasSubstr("needs gold labels")));
}

TEST(WholeFitState, HoldsGoldLabelsThatAreTakenAsKnown) {
  const Method method{"glad", {}};
  const AnnotationTable first = method.all().table();
  const GoldLabels gold = gold_of(first, method.all());
  FitContext context;
  context.gold = &gold;
  const auto state = make_label_state(first, "glad", {}, context);
  state->absorb(method.more().table());
  const LabelState::Result result = reloaded(*state)->result();
  for (std::size_t task = 0; task < first.task_count(); ++task) {
    if (gold.labels[task] == kNoLabel) continue;
    const std::uint32_t now = result.table.task_names.find(first.task_names[task]);
    EXPECT_EQ(result.fit.posterior.row(now)[gold.labels[task]], 1);
  }
  const auto votes = make_label_state(first, "weighted-majority",
                                      std::vector<std::string>{"balance=gold"}, context);
  EXPECT_EQ(reloaded(*votes)->result().fit.posterior.values, votes->result().fit.posterior.values);
}

struct GoingOn : Method {
  double tolerance = 0;  // between posteriors of an update and of a fit of everything
  bool is_shorter = true;
};

class GoesOn : public ::testing::TestWithParam<GoingOn> {};

double distance(const LabelFit& a, const LabelFit& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.posterior.values.size(); ++i) {
    largest = std::max(largest, std::abs(a.posterior.values[i] - b.posterior.values[i]));
  }
  return largest;
}

TEST_P(GoesOn, AnUpdateReachesTheFitOfEverything) {
  const GoingOn& method = GetParam();
  auto state = make_label_state(method.all().table(), method.name, method.parameters, {});
  state->absorb(method.more().table());
  state = reloaded(*state);
  const AbsorbReport report = state->absorb(method.last().table());
  EXPECT_TRUE(report.fits_everything);
  EXPECT_TRUE(report.converged);
  const AnnotationTable table = whole(method);
  const LabelFit fit = fit_labels(method.name, table, method.parameters);
  if (method.is_shorter) EXPECT_LT(report.sweeps, fit.iterations);
  EXPECT_LE(distance(state->result().fit, fit), method.tolerance);

  // Begun anew, it is that fit.
  const RefineReport refined = state->refine(1e-9, 1, {.threads = 2});
  EXPECT_EQ(refined.sweeps, fit.iterations);
  EXPECT_LE(refined.largest_change, method.tolerance);
  EXPECT_EQ(state->result().fit.posterior.values, fit.posterior.values);
  EXPECT_EQ(state->refine(1e-9, 1, {}).largest_change, 0);
}

TEST_P(GoesOn, TheSameAfterItWasSaved) {
  const GoingOn& method = GetParam();
  const auto state = make_label_state(method.all().table(), method.name, method.parameters, {});
  state->absorb(method.more().table());
  const auto again = reloaded(*state);
  const LabelFit before = state->result(true).fit;
  const LabelFit after = again->result(true).fit;
  EXPECT_EQ(before.posterior.values, after.posterior.values);
  EXPECT_EQ(before.skills, after.skills);
  EXPECT_EQ(before.confusion, after.confusion);
  EXPECT_EQ(before.prior, after.prior);
  EXPECT_EQ(before.worker_columns, after.worker_columns);
  EXPECT_EQ(before.task_columns, after.task_columns);
  EXPECT_EQ(before.evidence.values, after.evidence.values);
  AbsorbOptions threads;
  threads.parallel.threads = 3;
  state->absorb(method.last().table());
  again->absorb(method.last().table(), threads);
  EXPECT_EQ(state->result().fit.posterior.values, again->result().fit.posterior.values);
}

INSTANTIATE_TEST_SUITE_P(
    All, GoesOn,
    ::testing::Values(
        GoingOn{{"glad", {"tolerance=1e-13", "iterations=2000"}}, 1e-6},
        GoingOn{{"mace", {"iterations=1000"}}, 1e-6, false},
        GoingOn{{"mace", {"inference=em", "tolerance=1e-13", "iterations=5000"}}, 1e-4},
        GoingOn{{"kos", {}, 2}, 0, false},
        GoingOn{{"bcc", {"inference=variational", "tolerance=1e-13", "iterations=3000"}}, 1e-6},
        GoingOn{{"bcc", {"burn_in=50", "samples=1000"}}, 0.15, false},
        // Accuracies of 1 are reached but slowly: at 10,000 steps it is 5e-4.
        GoingOn{{"generative", {"fit=likelihood", "learning_rate=0.3", "iterations=3000"}},
                2e-3,
                false}));

TEST(WholeFitState, ASamplerDrawsOtherNumbersInEachUpdate) {
  const Method method{"bcc", {"burn_in=5", "samples=20"}};
  const auto state = make_label_state(method.all().table(), "bcc", method.parameters, {});
  state->absorb(method.more().table());
  const AnnotationTable both = joined(method.all().table(), method.more().table());
  EXPECT_NE(state->result().fit.posterior.values,
            fit_labels("bcc", both, method.parameters).posterior.values);
}

TEST(WholeFitState, PredictsByWhatWasLearnedOfWorkers) {
  const TemporaryFolder folder;
  const auto path = folder / "state.safetensors";
  for (const char* name : {"flying-squid", "mace", "bcc", "m-msr", "generative"}) {
    const Method method{name, {}};
    const auto state = make_label_state(method.all().table(), name, {}, {});
    state->absorb(method.more().table());
    state->save(path);
    const LabelPredictor predictor = LabelPredictor::load(path);
    const LabelState::Result result = state->result();
    const LabelPrediction prediction = predictor.predict(result.table);
    EXPECT_EQ(prediction.of_unknown_workers, 0U);
    EXPECT_EQ(hard_labels(prediction.soft).labels.size(), 630U);
    if (std::string_view(name) == "bcc") continue;  // its mean matrices are not its draws
    for (std::size_t i = 0; i < result.fit.posterior.values.size(); ++i) {
      ASSERT_NEAR(prediction.soft.values[i], result.fit.posterior.values[i], 1e-9) << name;
    }
  }
  make_label_state(Method{"kos", {}, 2}.all().table(), "kos", {}, {})->save(path);
  EXPECT_THAT([&] { LabelPredictor::load(path); },
              ThrowsMessage<InputError>(HasSubstr("aggregate the new annotations by it")));
}

// Weights and rates that lead far beyond what a state may hold, and a worker who has no weight.
TEST(WholeFitState, WhatWasSavedIsTakenInAgain) {
  for (const Method& method :
       {Method{"glad", {}}, Method{"generative", {"fit=likelihood", "learning_rate=1000"}},
        Method{"mace", {"alpha=1e-4"}}}) {
    AnnotationTable table = method.all().table();
    const bool is_mace = std::string_view(method.name) == "mace";
    table.weights.assign(table.rows(), is_mace ? 1 : 1e12F);
    for (std::size_t row = 0; row < table.rows(); ++row) {
      if (is_mace && table.workers[row] == 0) table.weights[row] = 0;
    }
    AnnotationTable more = method.more().table();
    more.weights.assign(more.rows(), 1);
    const auto state = reloaded(*make_label_state(table, method.name, method.parameters, {}));
    EXPECT_EQ(state->absorb(more).annotations, 240U) << method.name;
  }
}

TEST(WholeFitState, AnUpdateThatCannotBeFittedChangesNothing) {
  const Method method{"flying-squid", {}};
  const auto state = make_label_state(method.all().table(), method.name, {}, {});
  const LabelFit before = state->result().fit;
  AbsorbOptions gold;
  gold.gold = [](const AnnotationTable& /*all*/) -> GoldLabels {
    throw InputError("no such file");
  };
  EXPECT_THROW(state->absorb(method.more().table(), gold), InputError);
  EXPECT_EQ(state->annotations(), 3000U);
  EXPECT_EQ(state->result().fit.posterior.values, before.posterior.values);
  AbsorbOptions none;
  none.gold = [](const AnnotationTable& all) {
    return GoldLabels{std::vector<Label>(all.task_count(), kNoLabel)};
  };
  EXPECT_THAT(
      [&] {
        make_label_state(method.all().table(), "wawa", {}, {})->absorb(method.more().table(), none);
      },
      ThrowsMessage<InputError>(HasSubstr("cannot hold gold labels as known")));
}

// The file with its column `name` in place of what `change` makes of its numbers.
void rewrite(const std::filesystem::path& path, const std::string& name,
             const std::vector<double>& values) {
  const ColumnReader reader(path);
  std::vector<Column> columns;
  AnnotationTable rows = read_state_rows(reader);
  add_state_rows(columns, rows);
  for (const char* prefix : {"fit.", "point.", "evidence."}) {
    for (const std::string& one : reader.columns_from(prefix)) {
      columns.push_back(make_column(one, DType::f64,
                                    one == name ? values : reader.column<double>(one, DType::f64)));
    }
  }
  write_column_file(
      path, {.columns = std::move(columns), .metadata = state_metadata(read_state_head(reader))});
}

TEST(WholeFitState, NumbersOfAFileThatDoNotFitAreRefused) {
  const TemporaryFolder folder;
  const Method method{"glad", {}};
  const auto path = folder / "state.safetensors";
  const auto loads = [&](const std::string& name, const std::vector<double>& values) {
    make_label_state(method.all().table(), "glad", {}, {})->save(path);
    rewrite(path, name, values);
    return load_label_state(path);
  };
  const auto refuses = [&](const std::string& name, const std::vector<double>& values,
                           const std::string& message) {
    EXPECT_THAT([&] { loads(name, values); }, ThrowsMessage<InputError>(HasSubstr(message)))
        << name;
  };
  const double nan = std::nan("");
  refuses("point.workers.ability", std::vector<double>(15, nan), "do not fit together");
  refuses("point.workers.ability", std::vector<double>(14, 1), "do not fit together");
  refuses("fit.posterior", std::vector<double>(1799, 0.5), "do not fit together");
  refuses("fit.posterior", std::vector<double>(1800, 1.5), "probabilities 'fit.posterior'");
  refuses("fit.skills", std::vector<double>(3, 1), "do not fit together");
  EXPECT_THAT(
      [&] {
        loads("point.workers.ability", std::vector<double>(15, 1e5))->absorb(method.more().table());
      },
      ThrowsMessage<InputError>(HasSubstr("state.safetensors: it has 100000 among its numbers "
                                          "'ability'; expected -10000 to 10000")));
  EXPECT_THAT(
      [&] {
        loads("point.workers.ability", std::vector<double>(30, 1))->absorb(method.more().table());
      },
      ThrowsMessage<InputError>(HasSubstr("in 2 columns")));
}

}  // namespace
}  // namespace amalgam::labels
