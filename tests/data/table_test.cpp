#include "amalgam/data/table.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "amalgam/core/error.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

// Twenty-four rows: `size` is the row's number, or missing in every fifth row; `colour` one of
// three; `kind` p or q.
std::string small_table() {
  std::string text = "size,colour,note,kind\n";
  for (int i = 0; i < 24; ++i) {
    text += (i % 5 == 0 ? std::string("NA") : std::to_string(i)) + ", " + "rgb"[i % 3] + ",\"n" +
            std::to_string(i) + "\"," + (i % 2 == 0 ? "p" : "q") + "\r\n";
  }
  return text;
}

const TableOptions kOptions{.label = "kind", .ignore = {"note"}, .categorical = {}};

TEST(Table, LearnsItsLayoutFromTheTrainingRows) {
  const TemporaryFolder folder;
  const auto path = folder.write("t.csv", small_table());
  const TableLayout layout = learn_table_layout(path, kOptions);
  EXPECT_EQ(layout.class_names, (std::vector<std::string>{"p", "q"}));
  ASSERT_EQ(layout.columns.size(), 2U);
  EXPECT_EQ(layout.columns[0].name, "size");
  EXPECT_TRUE(layout.columns[0].is_number());
  EXPECT_TRUE(layout.columns[0].flags_missing);
  EXPECT_EQ(layout.columns[1].categories, (std::vector<std::string>{"b", "g", "r"}));
  EXPECT_EQ(layout.width(), 5U);
  double sum = 0;
  double numbers = 0;
  for (const std::size_t row : split_rows(24, Split::train, "t")) {
    if (row % 5 == 0) continue;
    sum += static_cast<double>(row);
    numbers += 1;
  }
  EXPECT_DOUBLE_EQ(layout.columns[0].fill, sum / numbers);
}

TEST(Table, EncodesRowsOfASplit) {
  const TemporaryFolder folder;
  const auto path = folder.write("t.csv", small_table());
  const TableLayout layout = learn_table_layout(path, kOptions);
  for (const Split split : {Split::train, Split::validation, Split::test, Split::all}) {
    const TableData data = load_table(path, layout, split);
    const std::vector<std::size_t> rows = split_rows(24, split, "t");
    ASSERT_EQ(data.count(), rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::size_t row = rows[i];
      const bool missing = row % 5 == 0;
      std::vector<float> expected(5, 0.0F);
      expected[0] = static_cast<float>(missing ? layout.columns[0].fill : static_cast<double>(row));
      expected[1] = missing ? 1.0F : 0.0F;
      expected[4 - row % 3] = 1;  // r, g, b are columns 4, 3, 2
      const std::vector<float> got(data.values.begin() + static_cast<std::ptrdiff_t>(5 * i),
                                   data.values.begin() + static_cast<std::ptrdiff_t>(5 * i + 5));
      EXPECT_EQ(got, expected) << row;
      EXPECT_EQ(data.labels[i], static_cast<std::int64_t>(row % 2));
    }
  }
}

TEST(Table, SplitsAreDisjointAndComplete) {
  for (const std::size_t count : {12U, 13U, 100U, 1001U}) {
    std::multiset<std::size_t> rows;
    for (const Split split : {Split::train, Split::validation, Split::test}) {
      const auto part = split_rows(count, split, "t");
      EXPECT_FALSE(part.empty());
      rows.insert(part.begin(), part.end());
    }
    EXPECT_EQ(rows.size(), count);
    EXPECT_EQ(std::set<std::size_t>(rows.begin(), rows.end()).size(), count);
    EXPECT_EQ(*rows.rbegin(), count - 1);
  }
  EXPECT_EQ(split_rows(120, Split::test, "t").size(), 20U);
  EXPECT_EQ(split_rows(120, Split::validation, "t").size(), 10U);
  expect_error<InputError>([] { split_rows(11, Split::train, "t.csv"); }, "t.csv: 11 examples",
                           "at least 12");
  EXPECT_EQ(split_rows(3, Split::all, "t"), (std::vector<std::size_t>{0, 1, 2}));
}

TEST(Table, AnotherFileIsEncodedByTheLayoutOfTheFirst) {
  const TemporaryFolder folder;
  const TableLayout layout = learn_table_layout(folder.write("t.csv", small_table()), kOptions);
  // Another order of columns, a column more, an unknown colour.
  const auto other = folder.write("o.csv", "kind,extra,colour,size\nq,1,g,2.5\np,2,mauve,\n");
  const TableData data = load_table(other, layout, Split::all);
  const auto fill = static_cast<float>(layout.columns[0].fill);
  EXPECT_EQ(data.values, (std::vector<float>{2.5F, 0, 0, 1, 0, fill, 1, 0, 0, 0}));
  EXPECT_EQ(data.labels, (std::vector<std::int64_t>{1, 0}));

  const auto refused = [&](const std::string& text, const std::string& part) {
    const auto path = folder.write("bad.csv", text);
    expect_error<InputError>([&] { load_table(path, layout, Split::all); }, part);
  };
  refused("kind,colour\np,g\n", "no column 'size'");
  refused("kind,colour,siz\np,g,1\n", "did you mean 'siz'");
  refused("kind,colour,size\np,g,abc\n", "bad.csv:2:5: 'abc' in column 'size'; expected a number");
  refused("kind,colour,size\np,g,1e300\n", "expected a finite number");
  refused("kind,colour,size\nx,g,1\n", "bad.csv:2:1: label 'x' is none of the 2 classes");
  refused("kind,colour,size\np,g\n", "bad.csv:2: 2 cells, but the header has 3 columns");
  refused("kind,colour,size\n", "no examples");
}

TEST(Table, ClassesThatAreNumbersAreInTheOrderOfNumbers) {
  const TemporaryFolder folder;
  std::string text = "x,y\n";
  for (int i = 0; i < 24; ++i) text += std::to_string(i) + "," + std::to_string(i % 12) + "\n";
  const auto path = folder.write("t.csv", text);
  const TableLayout layout = learn_table_layout(path, {.label = "y"});
  EXPECT_EQ(layout.class_names[2], "2");
  EXPECT_EQ(layout.class_names[10], "10");
  const TableLayout as_names = learn_table_layout(path, {.label = "y", .categorical = {"x"}});
  EXPECT_FALSE(as_names.columns[0].is_number());
  EXPECT_EQ(as_names.width(), split_rows(24, Split::train, "t").size());
}

TEST(Table, LabelsMayBeNumbersToPredictScaledByTheTrainingRows) {
  const TemporaryFolder folder;
  std::string text = "x,y\n";
  for (int i = 0; i < 48; ++i) text += std::to_string(i) + "," + std::to_string(i * i) + ".5\n";
  const auto path = folder.write("t.csv", text);
  const TableLayout layout = learn_table_layout(path, {.label = "y", .label_is_number = true});
  EXPECT_EQ(layout.class_names, (std::vector<std::string>{"y"}));
  EXPECT_EQ(layout.columns.size(), 1U);
  ASSERT_TRUE(layout.target);
  const TableData train = load_table(path, layout, Split::train);
  double sum = 0;
  double squares = 0;
  for (const float target : train.targets) {
    sum += static_cast<double>(target);
    squares += static_cast<double>(target * target);
  }
  const auto count = static_cast<double>(train.count());
  EXPECT_NEAR(sum / count, 0, 1e-6);
  EXPECT_NEAR(squares / count, 1, 1e-5);
  const TableData test = load_table(path, layout, Split::test);
  ASSERT_EQ(test.targets.size(), test.count());
  for (std::size_t i = 0; i < test.count(); ++i) {
    const double x = test.values[i];
    EXPECT_NEAR(test.targets[i] * layout.target->deviation + layout.target->mean, x * x + .5, 1e-3);
    EXPECT_EQ(test.labels[i], 0);
  }
}

TEST(Table, NumbersToPredictAreInEveryRow) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& rows, const std::string& part) {
    const auto path = folder.write("t.csv", "x,y\n1,2\n" + rows);
    expect_error<InputError>(
        [&] { learn_table_layout(path, {.label = "y", .label_is_number = true}); }, part);
    const TableLayout known{.label = "y",
                            .class_names = {"y"},
                            .target = TargetScale{},
                            .columns = {{.name = "x", .categories = {}}}};
    expect_error<InputError>([&] { load_table(path, known, Split::all); }, "t.csv:3:");
  };
  refused("1,high\n", "t.csv:3:3: 'high' in column 'y'; expected a number to predict");
  refused("1,1e99\n", "expected a number to predict, of at most 1e+38");
  refused("1,?\n", "the label 'y' is missing");
}

TEST(Table, RefusesTablesThatCannotBeLearnedFrom) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& text, const TableOptions& options,
                           const std::string& part) {
    const auto path = folder.write("t.csv", text);
    expect_error<InputError>([&] { learn_table_layout(path, options); }, part);
  };
  refused(small_table(), {.label = "Kind"}, "no column 'Kind'; did you mean 'kind'");
  refused(small_table(), {.label = "kind", .ignore = {"nope"}}, "no column 'nope'");
  refused(small_table(), {.label = "kind", .categorical = {"kind"}}, "it is the label");
  refused("x,y\n1,a\n2,\n", {.label = "y"}, "t.csv:3:3: the label 'y' is missing");
  refused("x,y\n1,a\n", {.label = "y"}, "too few");
  refused("x,y\n1,a,3\n", {.label = "y"}, "t.csv:2: 3 cells");
  refused("x,y\n1,\xFF\n", {.label = "y"}, "not UTF-8");
  refused("", {.label = "y"}, "empty");
  std::string many = "x,y\n";
  for (int i = 0; i < 2000; ++i) many += std::to_string(i) + ",v" + std::to_string(i) + "\n";
  refused(many, {.label = "y"}, "column 'y' has more than 1000 different values");
  refused(many, {.label = "x", .categorical = {}}, "column 'x' has more than 1000");
  std::string names = "x,y\n";
  for (int i = 0; i < 2000; ++i) names += "v" + std::to_string(i) + "," + "ab"[i % 2] + "\n";
  refused(names, {.label = "y"}, "not a column of numbers ('v0' at ");
  std::string only = "y\n";
  for (int i = 0; i < 20; ++i) only += "a\n";
  refused(only, {.label = "y"}, "no column to learn from besides the label");
}

}  // namespace
}  // namespace amalgam
