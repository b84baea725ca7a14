#include "amalgam/scores/studies/nearest_distances.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include "amalgam/core/random.hpp"

namespace amalgam::scores {
namespace {

using ::testing::ElementsAre;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr Parallel kThree{3, Runner::std_thread};

std::vector<double> normal_rows(std::size_t count, std::size_t width, std::uint64_t seed) {
  RandomStream random(seed, "rows");
  std::vector<double> values(count * width);
  for (double& value : values) value = random.normal();
  return values;
}

std::vector<std::size_t> all_of(std::size_t count) {
  std::vector<std::size_t> all(count);
  for (std::size_t i = 0; i < count; ++i) all[i] = i;
  return all;
}

double distance(const PointRows& points, std::size_t a, std::size_t b) {
  return std::sqrt(squared_distance(points.row(a), points.row(b), points.width));
}

// Sorts all distances.
std::vector<double> by_sorting(const PointRows& points, std::size_t query, std::size_t neighbours) {
  std::vector<double> all;
  for (std::size_t i = 0; i < points.count(); ++i) {
    if (i != query) all.push_back(distance(points, query, i));
  }
  std::ranges::sort(all);
  all.resize(neighbours, kInfinity);
  return all;
}

void expect_sorted_distances(const PointRows& points, std::size_t neighbours) {
  const NearestDistances found =
      nearest_distances(points, all_of(points.count()), neighbours, kThree);
  ASSERT_EQ(found.queries(), points.count());
  for (std::size_t q = 0; q < points.count(); ++q) {
    const auto got = found.of(q);
    ASSERT_EQ(std::vector<double>(got.begin(), got.end()), by_sorting(points, q, neighbours)) << q;
  }
}

TEST(NearestDistancesSearch, EqualsSortingAllDistancesBitForBit) {
  for (const std::size_t width : {1U, 3U, 65U}) {
    expect_sorted_distances({normal_rows(700, width, width), width}, 6);
  }
}

TEST(NearestDistancesSearch, IsExactFarFromTheOriginAndAtAnyScale) {
  // Single precision alone would see all points at 1e8 as one.
  for (const auto& [offset, scale] :
       {std::pair(1e8, 1.0), std::pair(-1e15, 10.0), std::pair(0.0, 1e-60), std::pair(1e9, 1e40)}) {
    std::vector<double> values = normal_rows(300, 5, 1);
    for (double& value : values) value = offset + scale * value;
    expect_sorted_distances({values, 5}, 4);
  }
}

TEST(NearestDistancesSearch, CopiesOfAPointAreAtDistanceZeroButItIsNotItsOwnNeighbour) {
  const std::vector<double> values = {0, 0, 3, 0, 7};
  const NearestDistances found = nearest_distances({values, 1}, all_of(5), 3);
  EXPECT_THAT(found.of(0), ElementsAre(0, 0, 3));
  EXPECT_THAT(found.of(4), ElementsAre(4, 7, 7));
}

// More points at one distance than wait to be looked at.
TEST(NearestDistancesSearch, ManyEqualDistances) {
  std::vector<double> values = {0.0};
  for (int i = 0; i < 9000; ++i) values.push_back(i % 2 == 0 ? 1 : -1);
  values.push_back(0.5);
  const NearestDistances found =
      nearest_distances({values, 1}, std::vector<std::size_t>{0}, 3, kThree);
  EXPECT_THAT(found.of(0), ElementsAre(0.5, 1, 1));
}

TEST(NearestDistancesSearch, FewerPointsThanWantedAreInfinitelyFar) {
  const std::vector<double> values = {0, 2};
  EXPECT_THAT(nearest_distances({values, 1}, all_of(2), 3).of(1),
              ElementsAre(2, kInfinity, kInfinity));
}

TEST(NearestDistancesSearch, DataInSeveralPlacesCombine) {
  const std::vector<double> values = normal_rows(500, 4, 3);
  const PointRows points{values, 4};
  const NearestDistances whole = nearest_distances(points, all_of(500), 5);
  const PointRows first{points.values.first(200 * 4), 4};
  const PointRows second{points.values.subspan(200 * 4), 4};
  std::vector<std::size_t> own_first(500, kNoPoint);
  std::vector<std::size_t> own_second(500, kNoPoint);
  for (std::size_t i = 0; i < 500; ++i) (i < 200 ? own_first[i] : own_second[i]) = i % 200;
  for (std::size_t i = 200; i < 500; ++i) own_second[i] = i - 200;
  NearestDistances parts = nearest_distances(points, first, own_first, 5);
  parts.combine(nearest_distances(points, second, own_second, 5));
  EXPECT_EQ(parts.distances, whole.distances);
}

TEST(NearestDistancesSearch, SameBitsForAnyNumberOfThreads) {
  const std::vector<double> values = normal_rows(900, 20, 4);
  const PointRows points{values, 20};
  EXPECT_EQ(nearest_distances(points, all_of(900), 5, {1, Runner::sequential}).distances,
            nearest_distances(points, all_of(900), 5, kThree).distances);
}

ClosestPair by_all_pairs(const PointRows& points, const std::vector<std::uint32_t>& classes,
                         double at_least) {
  ClosestPair best;
  for (std::size_t a = 0; a < points.count(); ++a) {
    for (std::size_t b = a + 1; b < points.count(); ++b) {
      const double apart = distance(points, a, b);
      if (classes[a] != classes[b] && apart >= at_least) best.combine({apart, a, b});
    }
  }
  return best;
}

TEST(ClosestOfDifferentClasses, EqualsLookingAtAllPairs) {
  RandomStream random(5, "classes");
  for (const double offset : {0.0, 1e8}) {
    std::vector<double> values = normal_rows(400, 6, 9);
    for (double& value : values) value += offset;
    const PointRows points{values, 6};
    std::vector<std::uint32_t> classes(400);
    for (auto& k : classes) k = static_cast<std::uint32_t>(random.below(3));
    for (const double at_least : {0.0, 1.0}) {
      const ClosestPair expected = by_all_pairs(points, classes, at_least);
      for (const Parallel& parallel : {Parallel{1, Runner::sequential}, kThree}) {
        const ClosestPair found = closest_of_different_classes(points, classes, at_least, parallel);
        EXPECT_EQ(std::tie(found.distance, found.first, found.second),
                  std::tie(expected.distance, expected.first, expected.second));
        EXPECT_GE(found.distance, at_least);
      }
    }
  }
}

TEST(ClosestOfDifferentClasses, OfEqualDistancesTheFirstByItsNumbers) {
  const std::vector<double> values = {5, 0, 1, 2, 3};
  const std::vector<std::uint32_t> classes = {0, 0, 1, 0, 1};
  const ClosestPair found = closest_of_different_classes({values, 1}, classes);
  EXPECT_EQ(found.distance, 1);
  EXPECT_EQ(found.first, 1U);
  EXPECT_EQ(found.second, 2U);
}

TEST(ClosestOfDifferentClasses, OneClassHasNone) {
  const std::vector<double> values = {1, 2, 3};
  EXPECT_EQ(closest_of_different_classes({values, 1}, std::vector<std::uint32_t>{4, 4, 4}).distance,
            kInfinity);
}

}  // namespace
}  // namespace amalgam::scores
