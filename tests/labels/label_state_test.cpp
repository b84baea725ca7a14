#include "amalgam/labels/label_state.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/hard_label_state.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/labels/joined_tables.hpp"
#include "tests/labels/random_annotations.hpp"

namespace amalgam::labels {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

const RandomAnnotations kAll{.tasks = 500, .workers = 15, .votes = 4};
const RandomAnnotations kMore{
    .tasks = 40, .workers = 4, .votes = 2, .first_task = 480, .first_worker = 13, .what = "more"};

class CountingStates : public ::testing::TestWithParam<const char*> {};

TEST_P(CountingStates, AreTheFitOfEverythingAtOnceToTheBit) {
  const TemporaryFolder folder;
  const auto path = folder / "state.safetensors";
  const auto state = make_label_state(kAll.table(), GetParam(), {}, {});
  const AbsorbReport report = state->absorb(kMore.table());
  EXPECT_EQ(report.annotations, 80U);
  EXPECT_EQ(report.new_tasks, 20U);
  EXPECT_EQ(report.new_workers, 2U);
  EXPECT_TRUE(report.converged);
  EXPECT_EQ(report.stale_mass, 0);
  state->save(path);
  const auto again = load_label_state(path);
  EXPECT_EQ(again->method(), GetParam());
  EXPECT_EQ(again->annotations(), 2080U);

  const AnnotationTable whole = joined(kAll.table(), kMore.table());
  const LabelFit fit = fit_labels(GetParam(), whole);
  const LabelState::Result result = again->result();
  EXPECT_EQ(result.fit.posterior.values, fit.posterior.values);
  EXPECT_EQ(result.fit.skills, fit.skills);
  EXPECT_EQ(result.table.appearance, whole.appearance);
  EXPECT_EQ(result.table.workers, whole.workers);
}

INSTANTIATE_TEST_SUITE_P(All, CountingStates,
                         ::testing::Values("majority-vote", "weighted-majority", "wawa",
                                           "zero-based-skill", "standard", "softmax"));

// Where both are put in canonical order, the labels of their tasks must be the same.
void expect_same_labels(const LabelState& a, const LabelState& b) {
  const LabelState::Result one = a.result();
  const LabelState::Result other = b.result();
  ASSERT_EQ(one.table.task_names, other.table.task_names);
  EXPECT_EQ(hard_labels(one.fit.posterior).labels, hard_labels(other.fit.posterior).labels);
  for (std::size_t i = 0; i < one.fit.posterior.values.size(); ++i) {
    ASSERT_NEAR(one.fit.posterior.values[i], other.fit.posterior.values[i], 1e-9) << i;
  }
  for (std::size_t i = 0; i < one.fit.confusion.size(); ++i) {
    ASSERT_NEAR(one.fit.confusion[i], other.fit.confusion[i], 1e-9) << i;
  }
}

// Sweeps over all tasks by hand: labels, then all counts from them, until none changes.
std::vector<Label> swept(const AnnotationTable& table, std::vector<Label> labels) {
  const std::size_t classes = table.label_count();
  std::vector<Label> before;
  while (labels != before) {
    std::vector<double> counts(table.worker_count() * classes * classes, 0);
    std::vector<double> prior(classes, 0);
    for (std::size_t row = 0; row < table.rows(); ++row) {
      counts[(table.workers[row] * classes + table.labels[row]) * classes +
             labels[table.tasks[row]]] += 1;
    }
    for (const Label label : labels) prior[label] += 1.0 / static_cast<double>(labels.size());
    models::normalise_confusion(counts, classes, {}, {});
    before = labels;
    for (Task task = 0; task < labels.size(); ++task) {
      std::vector<double> logits = models::log_of(prior);
      for (std::size_t row = table.task_begins[task]; row < table.task_begins[task + 1]; ++row) {
        for (std::size_t k = 0; k < classes; ++k) {
          logits[k] += counts[(table.workers[row] * classes + table.labels[row]) * classes + k];
        }
      }
      labels[task] = static_cast<Label>(std::ranges::max_element(logits) - logits.begin());
    }
  }
  return labels;
}

TEST(HardLabelState, AnUpdateIsWhatSweepsOverEverythingGive) {
  for (const std::uint64_t seed : {1U, 2U, 3U, 4U, 5U}) {
    RandomAnnotations all{.tasks = 3000, .workers = 300, .votes = 5, .seed = seed};
    RandomAnnotations more{
        .tasks = 60, .workers = 6, .votes = 2, .seed = seed, .first_task = 2960, .what = "more"};
    HardLabelState local(all.table(), {}, {});
    // From the same labels: those of the state, and the votes' of new tasks.
    const AnnotationTable whole = joined(all.table(), more.table());
    const AnnotationTable added = more.table();
    const LabelState::Result old = local.result();
    const std::vector<Label> old_labels = hard_labels(old.fit.posterior).labels;
    const std::vector<Label> votes = hard_labels(fit_labels("standard", added).posterior).labels;
    std::vector<Label> start;
    for (std::size_t task = 0; task < whole.task_count(); ++task) {
      const std::uint32_t before = old.table.task_names.find(whole.task_names[task]);
      start.push_back(before != StringPool::npos
                          ? old_labels[before]
                          : votes[added.task_names.find(whole.task_names[task])]);
    }
    const AbsorbReport report = local.absorb(added);
    EXPECT_TRUE(report.converged);
    EXPECT_LT(report.tasks_updated, whole.task_count()) << seed;
    EXPECT_EQ(hard_labels(local.result().fit.posterior).labels, swept(whole, start)) << seed;
    // Nothing is left to do.
    EXPECT_EQ(local.refine(1e-9, 100, {}).sweeps, 1U);
  }
}

TEST(HardLabelState, ReachesTheFitOfEverythingAtOnce) {
  HardLabelState grown(kAll.table(), {}, {});
  grown.absorb(kMore.table());
  const HardLabelState whole(joined(kAll.table(), kMore.table()), {}, {});
  expect_same_labels(grown, whole);
}

TEST(HardLabelState, GoesOnTheSameAfterItWasSaved) {
  const TemporaryFolder folder;
  const auto path = folder / "state.safetensors";
  const std::vector<std::string> parameters{"diagonal=1", "off_diagonal=0.5"};
  const auto state = make_label_state(kAll.table(), "fast-dawid-skene", parameters, {});
  state->absorb(kMore.table());
  state->save(path);
  const auto again = load_label_state(path);
  EXPECT_EQ(again->method(), "fast-dawid-skene");
  expect_same_labels(*state, *again);
  const RandomAnnotations next{.tasks = 9, .votes = 3, .first_task = 50, .what = "next"};
  state->absorb(next.table());
  again->absorb(next.table());
  expect_same_labels(*state, *again);
}

TEST(HardLabelState, WeightsAndTasksWithoutAnyAreCounted) {
  const auto table = [](std::string_view what, float first) {
    AnnotationBuilder builder;
    RandomStream random(1, what);
    for (std::size_t k = 0; k < 2; ++k) builder.label(fmt::to_string(k));
    for (std::size_t t = 0; t < 60; ++t) {
      for (std::size_t w = 0; w < 4; ++w) {
        const bool right = random.uniform() < 0.8;
        builder.add(builder.task(fmt::format("{}{}", what, t)), builder.worker(fmt::to_string(w)),
                    static_cast<Label>((t % 2) ^ (right ? 0 : 1)));
        builder.add_weight(t == 0 ? first : 0.5F + 0.25F * static_cast<float>(w));
      }
    }
    return builder.finish("weighted");
  };
  HardLabelState state(table("a", 0), {}, {});
  state.absorb(table("b", 1));
  state.absorb(table("a", 2));  // task a0 has annotations that count now
  const LabelState::Result result = state.result();
  const HardLabelState whole(result.table, {}, {});
  expect_same_labels(state, whole);
}

TEST(LabelState, RefusesNewLabelsUnknownMethodsAndGoldThatItCannotHoldAndChangesNothing) {
  for (const char* method : {"wawa", "fast-dawid-skene", "glad", "dawid-skene"}) {
    const auto state = make_label_state(kAll.table(), method, {}, {});
    EXPECT_THAT([&] { state->absorb(RandomAnnotations{.classes = 4, .what = "more"}.table()); },
                ThrowsMessage<InputError>(HasSubstr("the label '3' was not there")));
    EXPECT_EQ(state->annotations(), 2000U);
    EXPECT_EQ(state->task_count(), 500U);
  }
  EXPECT_THAT([] { make_label_state(kAll.table(), "wava", {}, {}); },
              ThrowsMessage<InputError>(HasSubstr("did you mean 'wawa'?")));
  const AnnotationTable table = kAll.table();
  const GoldLabels gold{std::vector<Label>(table.task_count(), 0)};
  FitContext known;
  known.gold = &gold;
  AbsorbOptions more;
  more.gold = [&](const AnnotationTable& all) {
    return GoldLabels{std::vector<Label>(all.task_count(), 0)};
  };
  for (const char* method : {"fast-dawid-skene", "dawid-skene"}) {
    EXPECT_THAT([&] { make_label_state(table, method, {}, known); },
                ThrowsMessage<InputError>(HasSubstr("cannot hold gold labels")));
    const auto state = make_label_state(table, method, {}, {});
    EXPECT_THAT([&] { state->absorb(kMore.table(), more); },
                ThrowsMessage<InputError>(HasSubstr("cannot hold gold labels")));
    EXPECT_EQ(state->annotations(), 2000U);
  }
}

TEST(LabelState, LabelsOfTasksInAFileAreChecked) {
  const TemporaryFolder folder;
  const auto path = folder / "state.safetensors";
  make_label_state(kAll.table(), "fast-dawid-skene", {}, {})->save(path);
  std::string bytes;
  {
    std::ifstream file(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  const std::string name = "\"task_labels\":{\"dtype\":\"U16\",\"shape\":[500],\"data_offsets\":[";
  const std::size_t found = bytes.find(name);
  ASSERT_NE(found, std::string::npos);
  const std::size_t header =
      8 + static_cast<unsigned char>(bytes[0]) + 256U * static_cast<unsigned char>(bytes[1]);
  bytes.at(header + std::stoul(bytes.substr(found + name.size()))) = 3;
  std::ofstream(path, std::ios::binary) << bytes;
  EXPECT_THAT([&] { load_label_state(path); },
              ThrowsMessage<InputError>(HasSubstr("its labels of tasks do not fit together")));
}

}  // namespace
}  // namespace amalgam::labels
