#include "amalgam/scores/score_table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "amalgam/core/error.hpp"
#include "tests/scores/toy_scores.hpp"

namespace amalgam::scores {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(ScoreTable, DoesNotDependOnTheOrderOfItsRows) {
  const auto build = [](bool reversed) {
    struct Row {
      const char* system;
      const char* task;
      const char* instance;
      double value;
    };
    std::vector<Row> rows = {{"b", "t2", "10", 1}, {"a", "t1", "9", 2},  {"a", "t2", "10", 3},
                             {"b", "t1", "10", 4}, {"c", "t1", "10", 5}, {"a", "t1", "10", 6}};
    if (reversed) std::reverse(rows.begin(), rows.end());
    ScoreBuilder builder;
    for (const Row& row : rows) {
      builder.add(builder.system(row.system), builder.task(row.task),
                  builder.instance(row.instance), row.value);
    }
    return builder.finish("rows");
  };
  const ScoreTable one = build(false);
  const ScoreTable other = build(true);
  EXPECT_EQ(one.systems, other.systems);
  EXPECT_EQ(one.instances, other.instances);
  EXPECT_EQ(one.values, other.values);
  EXPECT_EQ(one.row_systems, other.row_systems);
  // t1: instance 9 (a = 2), instance 10 (a = 6, b = 4, c = 5); t2: instance 10 (a = 3, b = 1).
  EXPECT_THAT(one.ballot_begins, ElementsAre(0, 1, 4, 6));
  EXPECT_THAT(one.ballot_tasks, ElementsAre(0, 0, 1));
  EXPECT_THAT(one.values, ElementsAre(2, 6, 4, 5, 3, 1));
  EXPECT_TRUE(one.has_instances());
}

TEST(ScoreTable, NegatesWhereLowerIsBetterAndKeepsWhatIsKnownOfTasks) {
  ScoreBuilder builder;
  const Task error = builder.task("z error");
  builder.info(error).higher_is_better = false;
  builder.info(error).weight = 2;
  const Task accuracy = builder.task("accuracy");
  for (const char* system : {"a", "b"}) {
    builder.add(builder.system(system), error, builder.instance(""), system[0] == 'a' ? 0.0 : 5.0);
    builder.add(builder.system(system), accuracy, builder.instance(""), 1);
  }
  const ScoreTable table = builder.finish("rows");
  ASSERT_EQ(table.tasks[1], "z error");
  EXPECT_FALSE(table.task_infos[1].higher_is_better);
  EXPECT_EQ(table.ballot_weight(1), 2);
  EXPECT_THAT(table.ballot(1).values, ElementsAre(0, -5));
  EXPECT_FALSE(std::signbit(table.ballot(1).values[0]));
}

ScoreTable repeated(Repeats repeats) {
  ScoreBuilder builder;
  const Task task = builder.task("t");
  const Instance all = builder.instance("1");
  builder.add(builder.system("a"), task, all, 1);
  builder.add(builder.system("b"), task, all, 0);
  builder.add(builder.system("a"), task, all, 3);
  return builder.finish("scores.csv", repeats);
}

TEST(ScoreTable, RepeatedValuesAreAnErrorOrCountAsAsked) {
  EXPECT_THAT([] { repeated(Repeats::error); },
              ThrowsMessage<InputError>(HasSubstr(
                  "scores.csv: system 'a' has 2 values on task 't', instance '1'; expected one")));
  EXPECT_EQ(repeated(Repeats::mean).values[0], 2);
  EXPECT_EQ(repeated(Repeats::first).values[0], 1);
  EXPECT_EQ(repeated(Repeats::last).values[0], 3);
}

TEST(ScoreTable, RefusesWhatCannotBeRanked) {
  EXPECT_THAT([] { ScoreBuilder().finish("empty.csv"); },
              ThrowsMessage<InputError>(HasSubstr("empty.csv: nothing was measured")));
  EXPECT_THAT(
      [] {
        ScoreBuilder builder;
        builder.add(builder.system("only"), builder.task("t"), builder.instance(""), 1);
        builder.finish("one.csv");
      },
      ThrowsMessage<InputError>(HasSubstr("only system 'only' was measured")));
  EXPECT_THAT(
      [] {
        ScoreBuilder builder;
        const Task task = builder.task("t");
        builder.info(task).kind = ScoreKind::binary;
        builder.add(builder.system("a"), task, builder.instance(""), 1);
        builder.add(builder.system("b"), task, builder.instance(""), 0.5);
        builder.finish("mixed.csv");
      },
      ThrowsMessage<InputError>(HasSubstr("task 't' is binary, but system 'b' has 0.5")));
}

}  // namespace
}  // namespace amalgam::scores
