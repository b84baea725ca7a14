#include "amalgam/labels/incremental.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "amalgam/core/error.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/labels/random_annotations.hpp"

namespace amalgam::labels {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

FitContext context() { return {}; }

IncrementalFit fitted(std::string method, const AnnotationTable& table) {
  return {table, std::move(method), std::vector<std::string>{"tolerance=-1", "iterations=60"},
          context()};
}

double largest_difference(const IncrementalFit& a, const IncrementalFit& b) {
  double largest = 0;
  for (std::size_t task = 0; task < a.task_count(); ++task) {
    const auto other = b.posterior(b.task_names().find(a.task_names()[task]));
    for (std::size_t k = 0; k < other.size(); ++k) {
      largest = std::max(largest, std::abs(a.posterior(static_cast<Task>(task))[k] - other[k]));
    }
  }
  return largest;
}

// The share of tasks whose posteriors differ by no more than `by`.
double share_within(const IncrementalFit& a, const IncrementalFit& b, double by) {
  std::size_t within = 0;
  for (std::size_t task = 0; task < a.task_count(); ++task) {
    const auto other = b.posterior(b.task_names().find(a.task_names()[task]));
    double largest = 0;
    for (std::size_t k = 0; k < other.size(); ++k) {
      largest = std::max(largest, std::abs(a.posterior(static_cast<Task>(task))[k] - other[k]));
    }
    within += largest <= by ? 1 : 0;
  }
  return static_cast<double>(within) / static_cast<double>(a.task_count());
}

class Incremental : public ::testing::TestWithParam<const char*> {};

TEST_P(Incremental, AbsorbingIsNearTheRefitAndRefiningReachesIt) {
  const RandomAnnotations all{.tasks = 3000, .workers = 60};
  const RandomAnnotations more{
      .tasks = 40, .workers = 5, .votes = 2, .first_task = 2980, .what = "more"};
  IncrementalFit local = fitted(GetParam(), all.table());
  IncrementalFit full = fitted(GetParam(), all.table());
  const AbsorbReport report = local.absorb(more.table());
  EXPECT_TRUE(report.converged);
  EXPECT_EQ(report.annotations, 80U);
  EXPECT_EQ(report.new_tasks, 20U);
  EXPECT_EQ(report.new_workers, 0U);
  EXPECT_LT(report.tasks_updated, 2000U);

  full.absorb(more.table());
  EXPECT_TRUE(full.refine(1e-10, 2000, {}).converged);
  EXPECT_GT(share_within(local, full, 1e-2), 0.98);
  EXPECT_GT(largest_difference(local, full), 0);
  EXPECT_GT(report.stale_mass, 0);

  IncrementalFit everywhere = fitted(GetParam(), all.table());
  const AbsorbReport spread =
      everywhere.absorb(more.table(), {.tolerance = 1e-10, .max_sweeps = 2000, .spread = 0});
  EXPECT_EQ(spread.stale_mass, 0);
  EXPECT_EQ(spread.tasks_updated, everywhere.task_count());
  EXPECT_LT(largest_difference(everywhere, full), 1e-8);

  local.refine(1e-10, 2000, {});
  EXPECT_LT(largest_difference(local, full), 1e-8);
}

TEST_P(Incremental, RefinedIsTheFitOfEverythingAtOnce) {
  const RandomAnnotations all{.tasks = 400, .workers = 12, .votes = 7};
  const RandomAnnotations more{
      .tasks = 30, .workers = 4, .votes = 3, .first_task = 390, .first_worker = 10, .what = "more"};
  IncrementalFit grown = fitted(GetParam(), all.table());
  EXPECT_EQ(grown.absorb(more.table()).new_workers, 2U);
  grown.refine(1e-12, 5000, {});

  AnnotationBuilder both = all.builder();
  const AnnotationTable added = more.table();
  for (std::size_t row = 0; row < added.rows(); ++row) {
    const Task task = both.task(added.task_names[added.tasks[row]]);
    const Worker worker = both.worker(added.worker_names[added.workers[row]]);
    both.add(task, worker, both.label(added.label_names[added.labels[row]]));
  }
  IncrementalFit whole = fitted(GetParam(), both.finish("both"));
  whole.refine(1e-12, 5000, {});
  EXPECT_EQ(grown.annotations(), whole.annotations());
  EXPECT_LT(largest_difference(grown, whole), 1e-7);
}

// Where each worker has few annotations per number of his, expectation-maximisation creeps.
TEST(IncrementalRefine, LeapsToWhereSweepsCreep) {
  const AnnotationTable table =
      RandomAnnotations{.tasks = 1500, .workers = 60, .classes = 4, .votes = 2}.table();
  const std::vector<std::string> start = {"diagonal=0.2", "off_diagonal=0.1"};
  IncrementalFit leaping(table, "dawid-skene", start, context());
  const RefineReport report = leaping.refine(1e-9, 1000, {});
  EXPECT_TRUE(report.converged);

  std::vector<std::string> creep = start;
  creep.insert(creep.end(), {"tolerance=-1", "iterations=3000"});
  const LabelFit plain = fit_labels("dawid-skene", table, creep);
  const std::size_t n = plain.trace.size();
  std::size_t still_rising = 0;  // sweeps after which the objective is still below its last value
  while (still_rising < n && plain.trace[still_rising] < plain.trace[n - 1] - 1e-8) ++still_rising;
  EXPECT_LT(3 * report.sweeps, still_rising);
  double largest = 0;
  for (std::size_t task = 0; task < leaping.task_count(); ++task) {
    const auto row = plain.posterior.row(task);
    for (std::size_t k = 0; k < row.size(); ++k) {
      largest = std::max(largest, std::abs(leaping.posterior(static_cast<Task>(task))[k] - row[k]));
    }
  }
  EXPECT_LT(largest, 1e-5);
}

TEST_P(Incremental, AStateThatWasSavedGoesOnTheSame) {
  const TemporaryFolder folder;
  const auto path = folder / "state.safetensors";
  IncrementalFit fit = fitted(GetParam(), RandomAnnotations{.tasks = 300}.table());
  fit.absorb(RandomAnnotations{.tasks = 5, .first_task = 298, .what = "more"}.table());
  fit.save(path);
  IncrementalFit again{ColumnReader(path)};
  EXPECT_EQ(largest_difference(fit, again), 0);
  EXPECT_EQ(again.method(), GetParam());
  const RandomAnnotations next{.tasks = 9, .first_task = 50, .what = "next"};
  fit.absorb(next.table());
  again.absorb(next.table());
  EXPECT_LT(largest_difference(fit, again), 1e-9);
}

INSTANTIATE_TEST_SUITE_P(All, Incremental,
                         ::testing::Values("dawid-skene", "one-coin-dawid-skene", "zencrowd"));

TEST(IncrementalFit, ResultIsInCanonicalOrder) {
  IncrementalFit fit =
      fitted("dawid-skene", RandomAnnotations{.tasks = 20, .first_task = 50}.table());
  fit.absorb(RandomAnnotations{.tasks = 3, .first_task = 1, .what = "more"}.table());
  const IncrementalFit::Result result = fit.result();
  EXPECT_EQ(result.table.task_names[0], "task000001");
  EXPECT_EQ(result.table.task_names[result.table.appearance[0]], "task000050");
  EXPECT_EQ(result.table.rows(), fit.annotations());
  EXPECT_EQ(result.fit.posterior.row(0)[1], fit.posterior(fit.task_names().find("task000001"))[1]);
  EXPECT_EQ(result.fit.skills.size(), fit.worker_count());
}

TEST(IncrementalFit, RefusesNewLabelsAndOtherMethodsAndChangesNothing) {
  const AnnotationTable table = RandomAnnotations{}.table();
  EXPECT_THAT([&] { fitted("wawa", table); },
              ThrowsMessage<InputError>(HasSubstr("cannot take in annotations later")));
  IncrementalFit fit = fitted("dawid-skene", table);
  EXPECT_THAT([&] { fit.absorb(RandomAnnotations{.classes = 4, .what = "more"}.table()); },
              ThrowsMessage<InputError>(HasSubstr("the label '3' was not there")));
  EXPECT_EQ(fit.annotations(), table.rows());
}

TEST(IncrementalFit, RefusesFilesThatAreNoStatesOrDoNotFitTogether) {
  EXPECT_THAT([] { fitted("zencrowd", RandomAnnotations{.tasks = 3}.table()).save("state"); },
              ThrowsMessage<InputError>(HasSubstr("ends in .safetensors")));
  const TemporaryFolder folder;
  const auto path = folder / "damaged.safetensors";
  fitted("zencrowd", RandomAnnotations{.tasks = 30}.table()).save(path);
  std::string bytes = contents_of(path);
  // The last tensor in the file is one of bytes: the names of workers, tasks or labels.
  bytes.back() = '\xFF';
  std::ofstream(path, std::ios::binary) << bytes;
  EXPECT_THAT([&] { IncrementalFit{ColumnReader(path)}; },
              ThrowsMessage<InputError>(HasSubstr("do not fit together")));
  std::ofstream(path, std::ios::binary) << "nothing";
  EXPECT_THROW(IncrementalFit{ColumnReader(path)}, InputError);
}

// Tasks without an annotation that counts are no part of the class prior, in an update either.
TEST(Incremental, UpdatesLeaveTasksWithoutWeightOutOfThePrior) {
  const RandomAnnotations made{.tasks = 400, .workers = 10, .classes = 3, .votes = 4};
  IncrementalFit fit(made.table(), "dawid-skene", {}, {});
  AnnotationBuilder builder;
  for (const char* label : {"0", "1", "2"}) builder.label(label);
  for (int i = 0; i < 60; ++i) {
    builder.add(builder.task(fmt::format("unsaid{}", i)), builder.worker("worker0001"),
                static_cast<Label>(0));
    builder.add_weight(i == 0 ? 1 : 0);
  }
  builder.task("unseen");
  const AnnotationTable added = builder.finish("added");
  fit.absorb(added);
  const LabelState::Result result = fit.result();
  double sum = 0;
  for (const double p : result.fit.prior) sum += p;
  EXPECT_NEAR(sum, 1, 1e-12);
  for (const char* name : {"unsaid7", "unseen"}) {
    const std::uint32_t task = result.table.task_names.find(name);
    for (std::size_t k = 0; k < 3; ++k) {
      EXPECT_EQ(result.fit.posterior.row(task)[k], result.fit.prior[k]);
    }
  }
}

}  // namespace
}  // namespace amalgam::labels
