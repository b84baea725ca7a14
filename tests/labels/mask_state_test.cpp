#include "amalgam/labels/masks/mask_state.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/labels/masks/segmentation.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/error_of.hpp"
#include "tests/labels/column_bytes.hpp"
#include "tests/labels/task_rows.hpp"

namespace amalgam::labels {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A square that each worker draws a little otherwise; the size depends on the task. Some workers
// draw the same task twice.
std::vector<TaskRow> random_rows(RandomStream& random, std::size_t count) {
  std::vector<TaskRow> rows;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t task = random.below(8);
    Mask mask{6 + task, 9, std::vector<std::uint8_t>((6 + task) * 9, 0)};
    for (std::size_t p = 0; p < mask.pixels.size(); ++p) {
      const bool inside = p / 9 >= 2 && p / 9 < 5 && p % 9 < 4;
      mask.pixels[p] = inside != (random.uniform() < 0.1) ? 1 : 0;
    }
    rows.push_back(
        {fmt::format("image {}", task), fmt::format("w{}", random.below(7)), mask_text(mask)});
  }
  return rows;
}

MaskState reloaded(const MaskState& state) {
  const TemporaryFolder folder;
  state.save(folder / "state.safetensors");
  return MaskState(ColumnReader(folder / "state.safetensors"));
}

class MaskStates : public ::testing::TestWithParam<const char*> {};

TEST_P(MaskStates, OfPartsAreThoseOfAllAtOnceToTheByte) {
  for (std::uint64_t seed = 0; seed < 15; ++seed) {
    RandomStream random(seed, GetParam());
    const std::vector<TaskRow> rows = random_rows(random, 40);
    MaskState whole(GetParam());
    whole.absorb(task_texts(rows));
    MaskState grown(GetParam());
    for (std::size_t begin = 0; begin < rows.size();) {
      const std::size_t end = std::min(rows.size(), begin + 1 + random.below(20));
      grown.absorb(task_texts(std::span(rows).subspan(begin, end - begin)),
                   {.mask = {}, .where = {}, .parallel = {.threads = 1 + random.below(4)}});
      if (random.below(4) == 0) grown = reloaded(grown);
      begin = end;
    }
    EXPECT_EQ(bytes_of(grown.columns()), bytes_of(whole.columns()));
    EXPECT_EQ(grown.results(), whole.results());
    EXPECT_EQ(grown.skills(), whole.skills());
  }
}

TEST_P(MaskStates, AreWhatIsMadeOfEachTasksMasks) {
  RandomStream random(3, "masks");
  const std::vector<TaskRow> rows = random_rows(random, 40);
  MaskState state(GetParam());
  state.absorb(task_texts(rows));
  for (std::size_t task = 0; task < state.results().size(); ++task) {
    std::vector<TaskRow> of_task;
    for (const TaskRow& row : rows) {
      if (row.task == state.masks().task_names()[task]) of_task.push_back(row);
    }
    std::ranges::stable_sort(of_task, {}, &TaskRow::worker);
    std::vector<Mask> masks;
    for (const TaskRow& row : of_task) masks.push_back(parse_mask(row.text, "test"));
    if (!state.judges_workers()) {
      EXPECT_EQ(state.results()[task], mask_text(majority_mask(masks, "test")));
      EXPECT_TRUE(state.skills().empty());
      continue;
    }
    const Segmentation found = segmentation_em(masks, "test");
    EXPECT_EQ(state.results()[task], mask_text(found.mask));
    const std::vector<TaskText> kept = state.masks().of_task(static_cast<std::uint32_t>(task));
    ASSERT_EQ(kept.size(), masks.size());
    for (std::size_t i = 0; i < kept.size(); ++i) {
      EXPECT_EQ(kept[i].worker, of_task[i].worker);
      EXPECT_EQ(kept[i].text, of_task[i].text);
      EXPECT_EQ(state.skills()[kept[i].row], found.skills[i]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, MaskStates, ::testing::Values("em", "majority"));

TEST(MaskState, FitsTasksOfNewMasksAloneAndSaysSo) {
  MaskState state("majority");
  state.absorb(task_texts(std::array<TaskRow, 2>{{{"a", "1", "1x2:1,1"}, {"b", "1", "1x2:2"}}}));
  std::atomic<int> read = 0;
  const AbsorbReport report = state.absorb(
      task_texts(
          std::array<TaskRow, 3>{{{"c", "2", "an image"}, {"a", "2", "1"}, {"a", "1", "2"}}}),
      {.mask =
           [&](std::string_view text, std::size_t row) {
             ++read;
             EXPECT_EQ(text, (std::array{"an image", "1", "2"}.at(row)));
             return Mask{1, 2, {1, 1}};
           },
       .where = {},
       .parallel = {}});
  EXPECT_EQ(read, 3);
  EXPECT_EQ(report.annotations, 3U);
  EXPECT_EQ(report.new_tasks, 1U);
  EXPECT_EQ(report.new_workers, 1U);
  EXPECT_EQ(report.tasks_updated, 2U);
  EXPECT_THAT(state.results(), ElementsAre("1x2:0,2", "1x2:2", "1x2:0,2"));
  // Kept as run lengths, whatever they were.
  EXPECT_EQ(state.masks().rows()[2].text, "1x2:0,2");
}

TEST(MaskState, MasksThatMemoryCannotHoldAreRefused) {
  TaskTexts masks;
  for (int i = 0; i < 9; ++i) masks.add("t", "w" + std::to_string(i), "16384x16384:268435456");
  MaskState state("majority");
  EXPECT_THAT(error_of([&] { state.absorb(masks); }),
              HasSubstr("task 't': its masks have more than 2147483648 pixels together"));
}

TEST(MaskState, AnAbsorbThatFailsChangesNothing) {
  MaskState state("em");
  state.absorb(task_texts(std::array<TaskRow, 2>{{{"a", "1", "1x2:1,1"}, {"b", "1", "1x2:2"}}}));
  const std::string before = bytes_of(state.columns());
  const auto error = [&](const TaskRow& bad) {
    const std::string message = error_of([&] {
      state.absorb(
          task_texts(std::array<TaskRow, 3>{{{"new", "2", "1x1:1"}, {"a", "2", "1x2:2"}, bad}}),
          {.mask = {}, .where = "m.csv", .parallel = {}});
    });
    EXPECT_EQ(bytes_of(state.columns()), before);
    return message;
  };
  EXPECT_EQ(error({"b", "2", "2x1:2"}),
            "m.csv: task 'b': a mask of 2 times 1 pixels, but the first has 1 times 2");
  EXPECT_EQ(error({"new", "3", "1x3:3"}),
            "m.csv: task 'new': a mask of 1 times 3 pixels, but the first has 1 times 1");
  EXPECT_THAT(error({"b", "2", "1x2"}), HasSubstr("m.csv: task 'b': the mask is '1x2'"));
  EXPECT_THAT(error_of([] { MaskState("mean"); }),
              HasSubstr("'mean' is no method of 'label masks'; expected em or majority"));
}

TEST(MaskState, OfResultsAloneIsTheSameButNotSaved) {
  RandomStream random(5, "masks");
  const std::vector<TaskRow> rows = random_rows(random, 30);
  MaskState kept("em");
  kept.absorb(task_texts(rows));
  MaskState state("em", MaskState::Keep::results);
  state.absorb(task_texts(rows));
  EXPECT_EQ(state.results(), kept.results());
  EXPECT_EQ(state.skills(), kept.skills());
  for (const TaskTexts::Row& row : state.masks().rows()) EXPECT_EQ(row.text, "");
  EXPECT_THROW(state.columns(), Error);
  EXPECT_THROW(state.absorb(task_texts(rows)), Error);
}

class MaskFile : public ::testing::Test {
 protected:
  MaskFile() {
    state_.absorb(task_texts(std::array<TaskRow, 3>{
        {{"a", "1", "1x2:1,1"}, {"b", "2", "2x2:4"}, {"a", "2", "1x2:0,2"}}}));
  }
  std::string error_of_file(const ColumnSet& set) const {
    const auto path = folder_ / "state.safetensors";
    write_column_file(path, set);
    return error_of([&] { MaskState(ColumnReader{path}); });
  }
  // What is said of the file with other texts in place of those of this name.
  std::string error_with(const std::string& what, const std::vector<std::string>& texts) const {
    std::vector<Column> columns;
    add_texts(columns, what, texts.size(),
              [&](std::size_t i) { return std::string_view(texts[i]); });
    ColumnSet set = state_.columns();
    for (const Column& column : columns) set = with_column(std::move(set), column);
    return error_of_file(set);
  }

  TemporaryFolder folder_;
  MaskState state_{"em"};
};

TEST_F(MaskFile, ColumnsThatDoNotFitTogetherAreRefused) {
  EXPECT_EQ(error_with("rows", {"1x2:1,1", "2x2:4", "1x2:2"}), "no error");
  EXPECT_THAT(error_with("rows", {"1x2:1,2", "2x2:4", "1x2:2"}), HasSubstr("runs are longer"));
  EXPECT_THAT(error_with("rows", {"1x2:1", "2x2:4", "1x2:2"}), HasSubstr("expected 1 times 2"));
  EXPECT_THAT(error_with("rows", {"", "2x2:4", "1x2:2"}), HasSubstr("the mask is ''"));
  EXPECT_THAT(error_with("rows", {"1x2:2", "2x2:4"}), HasSubstr("texts of rows"));
  EXPECT_THAT(error_with("rows", {"1x2:2", "2x2:4", "2x1:2"}),
              HasSubstr("its sizes of masks do not fit together"));
  EXPECT_THAT(error_with("results", {"1x2:2", "1x4:4"}),
              HasSubstr("its sizes of masks do not fit together"));
  EXPECT_THAT(error_with("results", {"1x2:2"}), HasSubstr("texts of results"));
  EXPECT_THAT(error_with("results", {"1x2:x", "2x2:4"}),
              HasSubstr("state.safetensors: 'x' in a mask"));
  for (const std::vector<double>& skills :
       {std::vector<double>{1, 1}, {1, 1, 1.5}, {-0.1, 1, 1}, {1, 1, std::nan("")}}) {
    EXPECT_THAT(
        error_of_file(with_column(state_.columns(), make_column("skills", DType::f64, skills))),
        HasSubstr("its skills do not fit together"));
  }
}

TEST_F(MaskFile, OfAnotherCommandOrMethodIsRefused) {
  ColumnSet set = state_.columns();
  set.metadata = state_metadata({.method = "mean"}, "masks");
  EXPECT_THAT(error_of_file(set),
              HasSubstr("state.safetensors: 'mean' is no method of 'label masks'"));
  set.metadata = state_metadata({.method = "rover"}, "text");
  EXPECT_THAT(error_of_file(set),
              HasSubstr("it is a state of 'amalgam label text'; expected one of 'amalgam label "
                        "masks' ('amalgam label text --from' takes more into it)"));
}

}  // namespace
}  // namespace amalgam::labels
