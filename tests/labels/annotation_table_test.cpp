#include "amalgam/labels/annotation_table.hpp"

#include <gmock/gmock.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "amalgam/core/error.hpp"

namespace amalgam::labels {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(AnnotationTable, NumbersWholeNumbersByTheirValueAndTextsByTheirBytes) {
  const AnnotationTable table =
      make_table(std::vector<Triple>{{"10", "bob", "2"}, {"9", "Zoe", "10"}, {"10", "amy", "-1"}});
  EXPECT_EQ(table.task_names[0], "9");
  EXPECT_EQ(table.worker_names[0], "Zoe");
  EXPECT_EQ(table.label_names[0], "-1");
  EXPECT_EQ(table.label_names[2], "10");
  EXPECT_THAT(table.tasks, ElementsAre(0, 1, 1));
  EXPECT_THAT(table.workers, ElementsAre(0, 1, 2));
  EXPECT_THAT(table.labels, ElementsAre(2, 0, 1));
  EXPECT_THAT(table.task_begins, ElementsAre(0, 1, 3));
  EXPECT_THAT(table.appearance, ElementsAre(1, 0));
}

struct Row {
  std::uint8_t task;
  std::uint8_t worker;
  std::uint8_t label;
};

AnnotationTable table_of(const std::vector<Row>& rows) {
  AnnotationBuilder builder;
  for (const Row& row : rows) {
    const Task task = builder.task(std::to_string(row.task % 7));
    const Worker worker = builder.worker(std::string(1, static_cast<char>('a' + row.worker % 5)));
    builder.add(task, worker, builder.label(std::to_string(row.label % 3)));
    builder.add_weight(1 + static_cast<float>(row.label % 3));
  }
  return builder.finish("rows");
}

RC_GTEST_PROP(AnnotationTable, DoesNotDependOnTheOrderOfRows, ()) {
  const auto seeds = *rc::gen::nonEmpty(
      rc::gen::arbitrary<std::vector<std::tuple<std::uint8_t, std::uint8_t, std::uint8_t>>>());
  std::vector<Row> rows;
  for (const auto& [task, worker, label] : seeds) rows.push_back({task, worker, label});
  const AnnotationTable one = table_of(rows);
  std::ranges::reverse(rows);
  const AnnotationTable other = table_of(rows);
  RC_ASSERT(one.tasks == other.tasks);
  RC_ASSERT(one.workers == other.workers);
  RC_ASSERT(one.labels == other.labels);
  RC_ASSERT(one.weights == other.weights);
  RC_ASSERT(one.task_names == other.task_names);
  RC_ASSERT(one.worker_names == other.worker_names);
}

AnnotationBuilder twice() {
  AnnotationBuilder builder;
  const Task task = builder.task("t");
  const Worker worker = builder.worker("w");
  builder.add(task, worker, builder.label("late"));
  builder.add_time(20);
  builder.add(task, worker, builder.label("early"));
  builder.add_time(10);
  return builder;
}

TEST(AnnotationBuilder, KeepsWhatIsSaidOfDuplicates) {
  TableNotes notes;
  EXPECT_EQ(twice().finish("f").rows(), 2U);
  const AnnotationTable first = twice().finish("f", Duplicates::first, &notes);
  EXPECT_EQ(notes.duplicates, 1U);
  EXPECT_EQ(first.label_names[first.labels.at(0)], "early");
  EXPECT_THAT(first.task_begins, ElementsAre(0, 1));
  const AnnotationTable last = twice().finish("f", Duplicates::last);
  EXPECT_EQ(last.label_names[last.labels.at(0)], "late");
  EXPECT_THAT(
      [] { twice().finish("f.csv", Duplicates::error); },
      ThrowsMessage<InputError>(HasSubstr("f.csv: worker 'w' annotated task 't' more than once")));
}

TEST(AnnotationBuilder, RefusesNothingAtAll) {
  EXPECT_THROW(AnnotationBuilder().finish("f"), InputError);
}

TEST(TableOfVotes, LeavesOutAbstentionsAndKeepsItemsWithoutVotes) {
  const std::vector<int> votes = {-1, -1, 0, 2, 1, -1};
  const AnnotationTable table = table_of_votes(votes, 3, 2, 3);
  EXPECT_THAT(table.task_begins, ElementsAre(0, 0, 2, 3));
  EXPECT_EQ(table.label_count(), 3U);
  EXPECT_THAT([&] { table_of_votes(votes, 3, 2, 2); },
              ThrowsMessage<InputError>(HasSubstr("item 1, labelling function 1: the vote is 2")));
}

}  // namespace
}  // namespace amalgam::labels
