#include "amalgam/labels/multilabel_state.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/labels/multilabel.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/labels/joined_tables.hpp"
#include "tests/labels/soft_difference.hpp"

namespace amalgam::labels {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

/// Answers to tasks from `first` on by `workers` workers each of 12, right with probability .85 of
/// each of `labels` labels.
AnnotationTable answers(std::size_t first, std::size_t tasks, std::size_t labels,
                        std::uint64_t seed) {
  RandomStream random(seed, "answers");
  AnnotationBuilder builder;
  const auto name_label = [&](std::size_t k) { return builder.label(fmt::format("l{}", k)); };
  for (std::size_t i = first; i < first + tasks; ++i) {
    const Task task = builder.task(fmt::format("t{}", i));
    const std::uint64_t first_worker = random.below(12);
    for (std::size_t w = 0; w < 4; ++w) {
      const Worker worker = builder.worker(fmt::format("w{}", (first_worker + w) % 12));
      bool any = false;
      for (std::size_t k = 0; k < labels; ++k) {
        const bool truth = (i * 7 + k * k * 3) % (k + 2) == 0;
        if ((random.uniform() < 0.85) != truth) continue;
        builder.add(task, worker, name_label(k));
        any = true;
      }
      if (!any) builder.add(task, worker, kNoLabel);
    }
  }
  return builder.finish("answers");
}

MultilabelState reloaded(const MultilabelState& state) {
  const TemporaryFolder folder;
  state.save(folder / "state.safetensors");
  return MultilabelState{ColumnReader(folder / "state.safetensors")};
}

class MultilabelStates : public ::testing::TestWithParam<const char*> {};

TEST_P(MultilabelStates, UpdatesAreTheFitOfEverything) {
  const AnnotationTable first = answers(0, 300, 3, 1);
  const AnnotationTable more = answers(300, 20, 5, 2);  // two labels are new
  MultilabelState state(GetParam(), {});
  state.absorb(first);
  state = reloaded(state);
  AbsorbOptions close;
  close.tolerance = 1e-9;
  close.spread = 0;
  const MultilabelReport report = state.absorb(more, close);
  EXPECT_EQ(report.annotations, 80U);
  EXPECT_EQ(report.new_tasks, 20U);
  EXPECT_EQ(report.new_labels, 2U);
  MultilabelState whole(GetParam(), {});
  whole.absorb(joined(first, more));
  EXPECT_EQ(state.answers().labels, whole.answers().labels);
  EXPECT_EQ(state.answers().label_names, whole.answers().label_names);
  // States settle until nothing changes by 1e-6 in a sweep.
  EXPECT_LT(largest_difference(state.probabilities(), whole.probabilities()), 1e-4);
}

TEST_P(MultilabelStates, AreTheSameFromAFile) {
  const AnnotationTable more = answers(290, 15, 3, 4);
  MultilabelState state(GetParam(), {}, 3);
  state.absorb(answers(0, 290, 3, 3));
  MultilabelState again = reloaded(state);
  EXPECT_EQ(again.method(), GetParam());
  EXPECT_EQ(largest_difference(again.probabilities(), state.probabilities()), 0);
  state.absorb(more);
  again.absorb(more);
  EXPECT_LT(largest_difference(again.probabilities(), state.probabilities()), 1e-12);
}

INSTANTIATE_TEST_SUITE_P(Methods, MultilabelStates,
                         ::testing::Values("dawid-skene", "majority-vote", "fast-dawid-skene",
                                           "wawa", "m-msr"),
                         [](const auto& of) {
                           std::string name = of.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST(MultilabelState, BeginsAsBinaryRelevance) {
  const AnnotationTable table = answers(0, 100, 4, 5);
  MultilabelState state("standard", {});
  state.absorb(table);
  EXPECT_EQ(largest_difference(state.probabilities(), binary_relevance("standard", table, {}, {})),
            0);
}

TEST(MultilabelState, LabelsThatAllOrNoneGiveMayChange) {
  const auto table = [](const std::vector<Triple>& triples) {
    std::uint64_t count = 0;
    return with_empty_answers(make_table(triples), "none", count);
  };
  MultilabelState state("standard", {});
  state.absorb(table({{"p", "A", "x"}, {"p", "B", "x"}}));
  EXPECT_THAT(state.probabilities().values, ElementsAre(1));
  state = reloaded(state);
  state.absorb(table({{"p", "C", "none"}, {"q", "A", "y"}}));
  const double third = 1.0 / 3;
  EXPECT_THAT(state.probabilities().values, ElementsAre(2 * third, 0, 0, 1));
  // An update of empty answers alone.
  state = reloaded(state);
  state.absorb(table({{"q", "B", "none"}}));
  EXPECT_THAT(state.probabilities().values, ElementsAre(2 * third, 0, 0, 0.5));
  EXPECT_THAT(
      [&] {
        state.absorb(table({{"q", "B", "y"}}));
      },
      ThrowsMessage<InputError>(HasSubstr("task 'q': 'B' has answered it before")));
}

// An answer's no weighs as its heaviest label, in whatever order labels are: a new one may change
// that.
TEST(MultilabelState, AnswersWithSeveralWeightsAreTakenAlike) {
  const auto table = [](const std::vector<std::pair<Triple, float>>& rows) {
    AnnotationBuilder builder;
    for (const auto& [row, weight] : rows) {
      builder.add(builder.task(row.task), builder.worker(row.worker), builder.label(row.label));
      builder.add_weight(weight);
    }
    return builder.finish("answers");
  };
  const AnnotationTable first = table(
      {{{"p", "A", "9"}, 1}, {{"p", "A", "10"}, 3}, {{"p", "B", "2"}, 1}, {{"q", "A", "2"}, 1}});
  const AnnotationTable more = table({{{"r", "A", "x"}, 1}, {{"r", "B", "2"}, 1}});
  EXPECT_THAT(relevance_table(first, 0).weights, ElementsAre(3, 1, 1));  // "2"
  EXPECT_THAT(relevance_table(first, 1).weights, ElementsAre(1, 1, 1));  // "9"
  MultilabelState state("standard", {});
  state.absorb(first);
  state = reloaded(state);
  state.absorb(more);
  EXPECT_EQ(largest_difference(state.probabilities(),
                               binary_relevance("standard", joined(first, more), {}, {})),
            0);
}

TEST(MultilabelState, RefusesWhatIsNone) {
  EXPECT_THROW(MultilabelState("dawid-skeen", {}), InputError);
  std::uint64_t count = 0;
  const AnnotationTable empty =
      with_empty_answers(make_table(std::vector<Triple>{{"p", "A", "none"}}), "none", count);
  MultilabelState state("standard", {});
  EXPECT_THAT([&] { state.absorb(empty); },
              ThrowsMessage<InputError>(HasSubstr("no label applies")));
}

TEST(MultilabelState, FilesThatDoNotFitTogetherAreRefused) {
  const TemporaryFolder folder;
  const auto path = folder / "state.safetensors";
  MultilabelState state("dawid-skene", {});
  state.absorb(answers(0, 20, 2, 6));
  const auto refuses = [&](const auto& change, const char* text) {
    ColumnSet set = state.columns();
    change(set);
    write_column_file(path, set);
    EXPECT_THAT([&] { MultilabelState{ColumnReader(path)}; },
                ThrowsMessage<InputError>(HasSubstr(text)));
  };
  const auto column = [](ColumnSet& set, const std::string& name) -> Column& {
    for (Column& one : set.columns) {
      if (one.name == name) return one;
    }
    throw Error("no column {}", name);
  };
  refuses([&](ColumnSet& set) { column(set, "label.1.rows.begins").name = "other"; },
          "its labels do not fit together");
  refuses([&](ColumnSet& set) { column(set, "rows.labels").bytes[0] = std::byte{7}; },
          "its rows do not fit together");
  refuses([&](ColumnSet& set) { column(set, "label.0.posterior").bytes[7] = std::byte{0xff}; },
          "its posteriors do not fit together");
  refuses(
      [&](ColumnSet& set) {  // a label that nobody gives
        for (const char* name : {"labels.names", "labels.begins"}) {
          column(set, name).shape = {column(set, name).shape[0] + 1};
        }
        column(set, "labels.names").bytes.push_back(std::byte{'z'});
        std::vector<std::byte>& begins = column(set, "labels.begins").bytes;
        begins.insert(begins.end(), begins.end() - 8, begins.end());
        begins[begins.size() - 8] =
            static_cast<std::byte>(column(set, "labels.names").bytes.size());
      },
      "its labels do not fit together");
  refuses([](ColumnSet& set) { set.metadata["amalgam.labels.command"] = "text"; },
          "expected one of 'amalgam label multilabel'");
  refuses([](ColumnSet& set) { set.metadata["amalgam.labels.method"] = "none"; }, "none");
}

}  // namespace
}  // namespace amalgam::labels
