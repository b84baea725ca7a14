#include "amalgam/labels/text/transcription_state.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/labels/state_rows.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/error_of.hpp"
#include "tests/labels/column_bytes.hpp"
#include "tests/labels/task_rows.hpp"

namespace amalgam::labels {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Some workers write twice of the same task, some nothing.
std::vector<TaskRow> random_rows(RandomStream& random, std::size_t count) {
  constexpr std::array<const char*, 5> kWords{"the", "cat", "sat", "här", "down"};
  std::vector<TaskRow> rows;
  for (std::size_t i = 0; i < count; ++i) {
    std::string text;
    for (std::size_t words = random.below(6); words > 0; --words) {
      text += kWords.at(random.below(kWords.size()));
      text += ' ';
    }
    rows.push_back({fmt::format("task {}", random.below(12)), fmt::format("{}", random.below(9)),
                    std::move(text)});
  }
  return rows;
}

TranscriptionState reloaded(const TranscriptionState& state) {
  const TemporaryFolder folder;
  state.save(folder / "state.safetensors");
  return TranscriptionState(ColumnReader(folder / "state.safetensors"));
}

void expect_same_results(const TranscriptionState& a, const TranscriptionState& b) {
  ASSERT_EQ(a.texts().task_names(), b.texts().task_names());
  for (std::size_t task = 0; task < a.results().size(); ++task) {
    EXPECT_EQ(a.results()[task].text, b.results()[task].text);
    EXPECT_EQ(a.results()[task].agreement, b.results()[task].agreement);
  }
}

TEST(TranscriptionState, OfPartsIsThatOfAllAtOnceToTheByte) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    RandomStream random(seed, "transcriptions");
    const std::vector<TaskRow> rows = random_rows(random, 60);
    TranscriptionState whole;
    whole.absorb(task_texts(rows));
    TranscriptionState grown;
    for (std::size_t begin = 0; begin < rows.size();) {
      const std::size_t end = std::min(rows.size(), begin + 1 + random.below(30));
      const Parallel parallel{.threads = 1 + random.below(4)};
      grown.absorb(task_texts(std::span(rows).subspan(begin, end - begin)), parallel);
      if (random.below(4) == 0) grown = reloaded(grown);
      begin = end;
    }
    expect_same_results(grown, whole);
    EXPECT_EQ(bytes_of(grown.columns()), bytes_of(whole.columns()));
  }
}

TEST(TranscriptionState, ResultsDoNotDependOnTheOrderOfTexts) {
  RandomStream random(7, "transcriptions");
  std::vector<TaskRow> rows = random_rows(random, 80);
  // Tasks stay in their order.
  std::ranges::stable_sort(rows, {}, &TaskRow::task);
  TranscriptionState state;
  state.absorb(task_texts(rows));
  std::ranges::reverse(rows);
  std::ranges::stable_sort(rows, {}, &TaskRow::task);
  TranscriptionState other;
  other.absorb(task_texts(rows));
  expect_same_results(state, other);
}

TEST(TranscriptionState, SaysWhatItTookIn) {
  TranscriptionState state;
  AbsorbReport report = state.absorb(
      task_texts(std::array<TaskRow, 3>{{{"a", "1", "x y"}, {"a", "2", "x"}, {"b", "1", "z"}}}));
  EXPECT_EQ(report.annotations, 3U);
  EXPECT_EQ(report.new_tasks, 2U);
  EXPECT_EQ(report.new_workers, 2U);
  EXPECT_EQ(report.tasks_updated, 2U);
  EXPECT_TRUE(report.converged);
  report = state.absorb(task_texts(std::array<TaskRow, 4>{
      {{"c", "1", "u"}, {"a", "3", "x"}, {"a", "4", "x"}, {"c", "3", "u"}}}));
  EXPECT_EQ(report.annotations, 4U);
  EXPECT_EQ(report.new_tasks, 1U);
  EXPECT_EQ(report.new_workers, 2U);
  EXPECT_EQ(report.tasks_updated, 2U);
  // Three of four leave out y.
  EXPECT_EQ(state.results()[0].text, "x");
  EXPECT_EQ(state.results()[1].text, "z");
  EXPECT_EQ(state.results()[2].text, "u");
}

TEST(TranscriptionState, TextsOfATaskAreInTheOrderOfWorkersNames) {
  TaskTexts texts = task_texts(std::array<TaskRow, 2>{{{"a", "2", "x"}, {"b", "1", "y"}}});
  const TaskTexts added = task_texts(
      std::array<TaskRow, 4>{{{"c", "9", "z"}, {"b", "3", "v"}, {"b", "1", "u"}, {"b", "0", "w"}}});
  const auto words = [](const std::vector<TaskText>& list) {
    std::vector<std::string> all;
    for (const TaskText& one : list) {
      all.push_back(fmt::format("{} {} {}", one.worker, one.text, one.row));
    }
    return all;
  };
  EXPECT_THAT(words(texts.of_task_with(added, 0)), ElementsAre("9 z 2"));
  EXPECT_THAT(words(texts.of_task_with(added, 1)), ElementsAre("0 w 5", "1 y 1", "1 u 4", "3 v 3"));
  AbsorbReport report;
  EXPECT_THAT(texts.append(TaskTexts(added), report), ElementsAre(2, 1));
  EXPECT_THAT(words(texts.of_task(1)), ElementsAre("0 w 5", "1 y 1", "1 u 4", "3 v 3"));
}

TEST(TranscriptionState, AnAbsorbThatFailsChangesNothing) {
  TranscriptionState state;
  state.absorb(task_texts(std::array<TaskRow, 2>{{{"a", "1", "x y"}, {"b", "1", "z"}}}));
  const std::string before = bytes_of(state.columns());
  std::string text;
  for (int i = 0; i < 11'000; ++i) text += "word ";
  const std::array<TaskRow, 4> rows{
      {{"a", "2", "x"}, {"new", "2", "x"}, {"b", "2", text}, {"b", "3", text}}};
  EXPECT_THAT(error_of([&] { state.absorb(task_texts(rows)); }),
              HasSubstr("too long to be aligned"));
  EXPECT_EQ(bytes_of(state.columns()), before);
}

TEST(TaskTexts, RefuseWhatHasNoNameOrIsNotUtf8) {
  TaskTexts texts;
  EXPECT_THAT(error_of([&] { texts.add("", "1", "x"); }), HasSubstr("name of a task is empty"));
  EXPECT_THAT(error_of([&] { texts.add("a", "", "x"); }), HasSubstr("name of a worker is empty"));
  EXPECT_THAT(error_of([&] { texts.add("\xff", "1", "x"); }),
              HasSubstr("the task '\\xff' is not UTF-8"));
  EXPECT_THAT(error_of([&] { texts.add("a", "1", "\xc3"); }), HasSubstr("is not UTF-8"));
  EXPECT_TRUE(texts.rows().empty());
  EXPECT_EQ(texts.task_count(), 0U);
}

class TranscriptionFile : public ::testing::Test {
 protected:
  TranscriptionFile() {
    state_.absorb(
        task_texts(std::array<TaskRow, 3>{{{"a", "1", "x"}, {"b", "2", ""}, {"a", "2", "x y"}}}));
  }

  std::string error_with(const Column& other) const {
    return error_of_file(with_column(state_.columns(), other));
  }
  std::string error_of_file(const ColumnSet& set) const {
    const auto path = folder_ / "state.safetensors";
    write_column_file(path, set);
    return error_of([&] { TranscriptionState(ColumnReader{path}); });
  }

  TemporaryFolder folder_;
  TranscriptionState state_;
};

TEST_F(TranscriptionFile, ColumnsThatDoNotFitTogetherAreRefused) {
  using Numbers = std::vector<std::uint32_t>;
  using Begins = std::vector<std::uint64_t>;
  const auto numbers = [&](const char* name, const Numbers& values) {
    return error_with(make_column(name, DType::u32, values));
  };
  const auto begins = [&](const char* name, const Begins& values) {
    return error_with(make_column(name, DType::u64, values));
  };
  EXPECT_EQ(numbers("rows.tasks", {0, 1, 0}), "no error");
  for (const Numbers& tasks : {Numbers{0, 1}, Numbers{0, 2, 0}, Numbers{1, 0, 0}}) {
    EXPECT_THAT(numbers("rows.tasks", tasks), HasSubstr("its rows do not fit together"));
  }
  EXPECT_THAT(numbers("rows.tasks", {0, 0, 0}), HasSubstr("its names do not fit together"));
  EXPECT_THAT(numbers("rows.workers", {0, 5, 1}), HasSubstr("its rows do not fit together"));
  EXPECT_THAT(numbers("rows.workers", {0, 0, 0}), HasSubstr("its names do not fit together"));
  EXPECT_EQ(begins("rows.begins", {0, 1, 1, 4}), "no error");
  for (const Begins& values : {Begins{0, 1, 4}, Begins{0, 1, 1, 5}, Begins{0, 3, 1, 4},
                               Begins{1, 1, 1, 4}, Begins{}, Begins{0, ~0ULL, 1, 4}}) {
    EXPECT_THAT(begins("rows.begins", values), HasSubstr("its texts of rows do not fit together"));
  }
  EXPECT_THAT(begins("results.begins", {0, 1}), HasSubstr("texts of results do not fit together"));
  EXPECT_THAT(
      error_with(make_column("rows.texts", DType::u8, std::vector<char>{'x', '\xff', 'a', 'b'})),
      HasSubstr("its texts of rows do not fit together"));
  for (const std::vector<double>& agreement :
       {std::vector<double>{1}, {1, 1.5}, {-0.1, 1}, {std::nan(""), 1}}) {
    EXPECT_THAT(error_with(make_column("results.agreement", DType::f64, agreement)),
                HasSubstr("its agreements do not fit together"));
  }
  EXPECT_THAT(error_with(make_column("results.agreement", DType::f32, std::vector<float>{1, 1})),
              HasSubstr("has another type"));
}

TEST_F(TranscriptionFile, OfAnotherCommandOrMethodIsRefused) {
  ColumnSet set = state_.columns();
  set.metadata = state_metadata({.method = "wawa"});
  EXPECT_THAT(
      error_of_file(set),
      HasSubstr("it is a state of 'amalgam label aggregate'; expected one of 'amalgam label "
                "text' ('amalgam label update' takes more into it)"));
  set.metadata = state_metadata({.method = "vote"}, "text");
  EXPECT_THAT(error_of_file(set), HasSubstr("it is of the method 'vote'; expected 'rover'"));
  set.metadata.clear();
  EXPECT_THAT(error_of_file(set), HasSubstr("'amalgam label text --state' makes them"));
  const auto path = folder_ / "state.safetensors";
  state_.save(path);
  EXPECT_THAT(error_of([&] { load_label_state(path); }),
              HasSubstr("it is a state of 'amalgam label text'; expected one of 'amalgam label "
                        "aggregate' ('amalgam label text --from' takes more into it)"));
}

TEST_F(TranscriptionFile, OfNoTaskIsReadAgain) {
  const TranscriptionState state = reloaded(TranscriptionState());
  EXPECT_EQ(state.texts().task_count(), 0U);
}

}  // namespace
}  // namespace amalgam::labels
