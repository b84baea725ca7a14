#include "amalgam/labels/bags/bags.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/labels/bags/losses.hpp"
#include "tests/error_of.hpp"

namespace amalgam::labels {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

void expect_partition(const Bags& bags, std::size_t rows) {
  ASSERT_EQ(bags.row_count(), rows);
  ASSERT_EQ(bags.begins.back(), rows);
  std::vector<std::size_t> all = bags.rows;
  std::sort(all.begin(), all.end());
  for (std::size_t row = 0; row < rows; ++row) ASSERT_EQ(all[row], row);
}

TEST(Bags, AreMadeOfTheBagOfEachRow) {
  const Bags bags = bags_of(std::vector<std::uint32_t>{1, 0, 1, 2}, 3);
  EXPECT_THAT(bags.begins, ElementsAre(0, 1, 3, 4));
  EXPECT_THAT(bags.rows, ElementsAre(1, 0, 2, 3));
  EXPECT_THAT(bags.bag_of_row(), ElementsAre(1, 0, 1, 2));
  EXPECT_THAT(bag_means(bags, std::vector<double>{1, 5, 4, 7}), ElementsAre(5, 2.5, 7));
}

TEST(Bags, WithoutRowsOrBeyondTheirCountAreRefused) {
  EXPECT_THAT(error_of([] {
                bags_of(std::vector<std::uint32_t>{0, 2}, 3);
              }),
              HasSubstr("bag 1 has no rows"));
  EXPECT_THAT(error_of([] {
                bags_of(std::vector<std::uint32_t>{0, 3}, 3);
              }),
              HasSubstr("row 1 is in bag 3"));
}

TEST(RandomBags, AreAPartitionNoBagSmallerThanAskedFor) {
  for (const std::size_t size : {1, 2, 5, 10, 43}) {
    const Bags bags = random_bags(43, size, 7);
    expect_partition(bags, 43);
    EXPECT_EQ(bags.count(), 43 / size);
    EXPECT_GE(bags.smallest(), size);
    EXPECT_LE(bags.largest() - bags.smallest(), 1U + (43 % size) / (43 / size));
  }
}

TEST(RandomBags, DependOnTheSeedAlone) {
  EXPECT_EQ(random_bags(100, 5, 1).rows, random_bags(100, 5, 1).rows);
  EXPECT_NE(random_bags(100, 5, 1).rows, random_bags(100, 5, 2).rows);
  EXPECT_THAT(error_of([] { random_bags(4, 5, 1); }), HasSubstr("expected a size from 1 to 4"));
  EXPECT_THAT(error_of([] { random_bags(4, 0, 1); }), HasSubstr("expected a size from 1 to 4"));
}

TEST(RandomBagsWithin, MixGroupsOnlyWhereOneIsTooSmall) {
  // Groups of 7, 2, 6 and 1 rows: the second and the last are too small for bags of 3.
  const std::vector<std::uint32_t> groups{0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 2, 3};
  const Bags bags = random_bags_within(groups, 3, 5);
  expect_partition(bags, groups.size());
  EXPECT_GE(bags.smallest(), 3U);
  std::size_t mixed = 0;
  for (std::size_t bag = 0; bag < bags.count(); ++bag) {
    std::set<std::uint32_t> seen;
    for (const std::size_t row : bags.rows_of(bag)) seen.insert(groups[row]);
    mixed += seen.size() > 1 ? 1 : 0;
    if (seen.size() > 1) EXPECT_EQ(seen, (std::set<std::uint32_t>{1, 3}));
  }
  EXPECT_EQ(mixed, 1U);
  EXPECT_EQ(bags.count(), 5U);
}

TEST(RandomBagsWithin, PutsTheLastFewIntoTheLastBag) {
  const Bags bags = random_bags_within(std::vector<std::uint32_t>{0, 0, 0, 1}, 3, 5);
  expect_partition(bags, 4);
  EXPECT_EQ(bags.count(), 1U);
}

TEST(BagFolds, HoldEveryBagOutOnce) {
  const auto folds = bag_folds(11, 3, 9);
  ASSERT_EQ(folds.size(), 3U);
  std::vector<std::size_t> all;
  for (const auto& fold : folds) {
    EXPECT_GE(fold.size(), 3U);
    EXPECT_LE(fold.size(), 4U);
    all.insert(all.end(), fold.begin(), fold.end());
  }
  std::sort(all.begin(), all.end());
  EXPECT_THAT(all, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  EXPECT_THAT(error_of([] { bag_folds(2, 3, 0); }), HasSubstr("does not fit 2 bags"));
  EXPECT_THAT(error_of([] { bag_folds(2, 1, 0); }), HasSubstr("expected 2 rounds or more"));
}

BagData small_data() {
  return {.features = 1,
          .x = {1, 3, 2, 2},
          .bags = bags_of(std::vector<std::uint32_t>{0, 0, 1, 1}, 2),
          .responses = {3, 2}};
}

TEST(BagData, WithWhatCannotBeLearnedFromIsRefused) {
  EXPECT_NO_THROW(check_bag_data(small_data()));
  BagData data = small_data();
  data.x[2] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(error_of([&] { check_bag_data(data); }), HasSubstr("row 2, feature 0 is nan"));
  data = small_data();
  data.responses[1] = std::numeric_limits<double>::infinity();
  EXPECT_THAT(error_of([&] { check_bag_data(data); }), HasSubstr("response of bag 1 is inf"));
  data = small_data();
  data.responses.pop_back();
  EXPECT_THAT(error_of([&] { check_bag_data(data); }), HasSubstr("1 responses for 2 bags"));
  data = small_data();
  data.x.pop_back();
  EXPECT_THAT(error_of([&] { check_bag_data(data); }), HasSubstr("3 values are no 4 rows"));
  EXPECT_THAT(error_of([&] { check_bag_data(BagData{}); }), HasSubstr("there are no bags"));
}

TEST(SelectBags, TakesThemWhole) {
  const BagData data = select_bags(small_data(), std::vector<std::size_t>{1});
  EXPECT_THAT(data.x, ElementsAre(2, 2));
  EXPECT_THAT(data.responses, ElementsAre(2));
  EXPECT_THAT(data.bags.rows, ElementsAre(0, 1));
}

TEST(BagLosses, OfOneBagWhoseMeanIsRight) {
  // Predictions 3 and 5, response 4: R = (1 / (2 * 1 * 2^2)) (4 + 4) = 1.
  const BagLosses losses = bag_losses(bags_of(std::vector<std::uint32_t>{0, 0}, 1),
                                      std::vector<double>{4}, std::vector<double>{3, 5});
  EXPECT_DOUBLE_EQ(losses.bag, 0);
  EXPECT_DOUBLE_EQ(losses.instance, 1);
  EXPECT_DOUBLE_EQ(losses.spread, 1);
  EXPECT_DOUBLE_EQ(losses.interpolated(0.25), 0.25);
}

// Bags of 1 to 4 rows with any predictions, and R as the paper's sum over pairs, weighted by rows.
TEST(BagLosses, OfInstancesAreThoseOfBagsAndTheSpread) {
  RandomStream random(3, "losses");
  const std::vector<std::uint32_t> bag_of_row{0, 1, 1, 2, 2, 2, 3, 3, 3, 3};
  const Bags bags = bags_of(bag_of_row, 4);
  for (int round = 0; round < 20; ++round) {
    std::vector<double> predictions(10);
    std::vector<double> responses(4);
    for (double& value : predictions) value = 3 * random.normal();
    for (double& value : responses) value = random.uniform();
    const BagLosses losses = bag_losses(bags, responses, predictions);
    EXPECT_NEAR(losses.instance, losses.bag + losses.spread, 1e-12 * losses.instance);
    double pairs = 0;
    for (std::size_t i = 0; i < 10; ++i) {
      for (std::size_t j = 0; j < 10; ++j) {
        if (bag_of_row[i] != bag_of_row[j]) continue;
        const double gap = predictions[i] - predictions[j];
        pairs += gap * gap / (2.0 * static_cast<double>(bags.size(bag_of_row[i])));
      }
    }
    EXPECT_NEAR(losses.spread, pairs / 10, 1e-12 * losses.spread);
    // The logistic loss has a second derivative of at most 1/4 and is convex.
    const BagLosses logistic = bag_losses(bags, responses, predictions, PointLoss::logistic);
    EXPECT_LE(logistic.bag, logistic.instance);
    EXPECT_LE(logistic.instance, logistic.bag + logistic.spread / 8);
  }
}

TEST(BagLosses, RefuseWhatDoesNotFit) {
  const Bags bags = single_rows(2);
  EXPECT_THAT(error_of([&] {
                bag_losses(bags, std::vector<double>{1}, std::vector<double>{1, 2});
              }),
              HasSubstr("1 responses and 2 predictions for 2 bags of 2 rows"));
}

}  // namespace
}  // namespace amalgam::labels
