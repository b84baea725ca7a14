#include <gmock/gmock.h>

#include <string>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/bags/bag_files.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/error_of.hpp"

namespace amalgam::labels {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kRows =
    "id,age,dose,clinic,outcome,kind\n"
    "a,30,1.5,10,2,b\n"
    "b,40,2.5,9,4,a\n"
    "c,50,3.5,10,6,b\n";

BagRowsFormat format() {
  return {.bag = "clinic",
          .response = "outcome",
          .class_column = "kind",
          .features = {},
          .ignore = {"id"}};
}

class BagFiles : public ::testing::Test {
 protected:
  std::string error_reading(const std::string& contents, const BagRowsFormat& how = format()) {
    const auto path = folder_.write("bad.csv", contents);
    return error_of([&] { read_bag_rows(path, how); });
  }

  TemporaryFolder folder_;
  std::filesystem::path rows_ = folder_.write("rows.csv", kRows);
};

TEST_F(BagFiles, HaveFeaturesBagsAndResponses) {
  const BagRows rows = read_bag_rows(rows_, format());
  EXPECT_THAT(rows.feature_names, ElementsAre("age", "dose"));
  EXPECT_THAT(rows.x, ElementsAre(30, 1.5, 40, 2.5, 50, 3.5));
  EXPECT_THAT(rows.bag_of_row, ElementsAre(1, 0, 1));  // 9 before 10
  EXPECT_THAT(rows.responses, ElementsAre(2, 4, 6));
  EXPECT_THAT(rows.class_of_row, ElementsAre(1, 0, 1));
  EXPECT_THAT(class_shares(rows), ElementsAre(1, 0, 0, 1));
  const BagData data = to_bag_data(rows, bag_means(rows.bags(), rows.responses));
  EXPECT_THAT(data.responses, ElementsAre(4, 4));
}

TEST_F(BagFiles, TakeChosenFeaturesInTheirOrder) {
  BagRowsFormat chosen = format();
  chosen.ignore = {};
  chosen.features = {"dose", "age"};
  EXPECT_THAT(read_bag_rows(rows_, chosen).x, ElementsAre(1.5, 30, 2.5, 40, 3.5, 50));
  chosen.features = {"clinic"};
  EXPECT_THAT(error_of([&] { read_bag_rows(rows_, chosen); }),
              HasSubstr("column 'clinic' cannot be a feature and something else"));
}

TEST_F(BagFiles, NameThePlaceOfWhatIsWrong) {
  EXPECT_THAT(error_reading("id,age,clinic,outcome,kind\na,x,1,2,b\n"),
              HasSubstr("bad.csv:2:3: 'x' in column 'age' is no finite number"));
  EXPECT_THAT(error_reading("id,age,clinic,outcome,kind\na,1,1,2,b\nb,,1,2,b\n"),
              HasSubstr("bad.csv:3:3: no value in column 'age'"));
  EXPECT_THAT(error_reading("id,age,clinic,outcome,kind\na,1,1,inf,b\n"),
              HasSubstr("'inf' in column 'outcome'"));
  EXPECT_THAT(error_reading("id,age,clinic,outcome,kind\na,1,,2,b\n"),
              HasSubstr("no value in column 'clinic'; expected a name"));
  EXPECT_THAT(error_reading("id,age,klinic,outcome,kind\n"), HasSubstr("no column 'clinic'"));
  EXPECT_THAT(error_reading("id,clinic,outcome,kind\na,1,1,b\n"),
              HasSubstr("0 columns of features"));
  EXPECT_THAT(error_reading("id,age,clinic,outcome,kind\n"), HasSubstr("no rows after the header"));
}

class BagValues : public BagFiles {
 protected:
  std::string error_reading_values(const std::string& contents) {
    const BagRows rows = read_bag_rows(rows_, format());
    const auto path = folder_.write("bags.csv", contents);
    return error_of([&] { read_bag_values(path, "clinic", {"mean"}, rows.bag_names, "rows.csv"); });
  }
};

TEST_F(BagValues, AreThoseOfEachBag) {
  const BagRows rows = read_bag_rows(rows_, format());
  const auto path = folder_.write("bags.csv", "mean,clinic,more\n1.5,10,3\n-2,9,4\n");
  EXPECT_THAT(read_bag_values(path, "clinic", {"mean"}, rows.bag_names, "rows.csv"),
              ElementsAre(-2, 1.5));
  EXPECT_THAT(read_bag_values(path, "clinic", {"more", "mean"}, rows.bag_names, "rows.csv"),
              ElementsAre(4, -2, 3, 1.5));
}

TEST_F(BagValues, MustBeOfTheSameBagsAsTheRows) {
  EXPECT_THAT(error_reading_values("clinic,mean\n10,1\n"),
              HasSubstr("no line for bag '9', which rows of rows.csv are in"));
  EXPECT_THAT(error_reading_values("clinic,mean\n9,1\n10,1\n11,1\n"),
              HasSubstr("bags.csv:4:1: no row of rows.csv is in bag '11'"));
  EXPECT_THAT(error_reading_values("clinic,mean\n9,1\n9,1\n"), HasSubstr("bag '9' is there twice"));
  EXPECT_THAT(error_reading_values("clinic,mean\n9,nan\n"), HasSubstr("no value in column 'mean'"));
  EXPECT_THAT(error_reading_values("clinic,means\n9,1\n"), HasSubstr("no column 'mean'"));
}

TEST(ClassShares, MustBeShares) {
  StringPool bags;
  bags.add("one");
  bags.add("two");
  EXPECT_EQ(error_of([&] { check_shares({0.25, 0.75, 1, 0}, 2, bags); }), "no error");
  EXPECT_THAT(error_of([&] {
                check_shares({0.25, 0.75, 1, 0.1}, 2, bags);
              }),
              HasSubstr("bag 'two' sum to 1.1"));
  EXPECT_THAT(error_of([&] { check_shares({-0.5, 1.5, 1, 0}, 2, bags); }), HasSubstr("bag 'one'"));
}

TEST_F(BagFiles, WriteWhatReadsBackTheSame) {
  const LinearBagModel model{
      .coefficients = {0.1, -2}, .intercept = 1.0 / 3, .options = {}, .rank = 2};
  write_coefficients(folder_ / "model.csv", std::vector<std::string>{"age", "a,b"}, model);
  EXPECT_EQ(contents_of(folder_ / "model.csv"),
            "term,coefficient\n(intercept),0.3333333333333333\nage,0.1\n\"a,b\",-2\n");
  write_columns(folder_ / "values.tsv", std::vector<std::string>{"p", "q"},
                std::vector<double>{1, 2.5, 3, 4});
  EXPECT_EQ(contents_of(folder_ / "values.tsv"), "p\tq\n1\t2.5\n3\t4\n");
  const BagRows rows = read_bag_rows(rows_, format());
  write_bag_values(folder_ / "means.csv", "clinic", rows.bag_names,
                   std::vector<std::string>{"mean"}, std::vector<double>{4, 5});
  EXPECT_EQ(contents_of(folder_ / "means.csv"), "clinic,mean\n9,4\n10,5\n");
}

TEST_F(BagFiles, AreCopiedWithTheirBags) {
  EXPECT_EQ(read_groups(rows_, "").size(), 3U);
  EXPECT_THAT(read_groups(rows_, "kind"), ElementsAre(0, 1, 0));
  const std::vector<std::uint32_t> bags{1, 0, 1};
  write_with_bags(rows_, folder_ / "out.csv", "bag", bags, {"outcome", "kind"});
  EXPECT_EQ(contents_of(folder_ / "out.csv"),
            "id,age,dose,clinic,bag\na,30,1.5,10,1\nb,40,2.5,9,0\nc,50,3.5,10,1\n");
  EXPECT_THAT(error_of([&] { write_with_bags(rows_, folder_ / "o.csv", "clinic", bags, {}); }),
              HasSubstr("there is a column 'clinic' already"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "o.csv"));
}

}  // namespace
}  // namespace amalgam::labels
