// Dimensions, class separation, and what is measured in data.
#include "amalgam/scores/studies/task_constants.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <numeric>
#include <vector>

#include "amalgam/core/random.hpp"
#include "amalgam/data/shared_data.hpp"
#include "amalgam/scores/studies/intrinsic_dimension.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/error_of.hpp"

namespace amalgam::scores {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<double> uniform_rows(std::size_t count, std::size_t width, std::uint64_t seed) {
  RandomStream random(seed, "cube");
  std::vector<double> values(count * width);
  for (double& value : values) value = random.uniform();
  return values;
}

NearestDistances all_nearest(const std::vector<double>& values, std::size_t width,
                             std::size_t neighbours) {
  std::vector<std::size_t> all(values.size() / width);
  std::iota(all.begin(), all.end(), std::size_t{0});
  return nearest_distances({values, width}, all, neighbours);
}

// An interior point of a grid: T = 1, 1, 2, 2, 3, so m = 4 / (2 ln 3 + 2 ln 1.5).
TEST(LikelihoodDimension, OfAGridWorkedByHand) {
  std::vector<double> grid(11);
  std::iota(grid.begin(), grid.end(), 0.0);
  const NearestDistances nearest = nearest_distances({grid, 1}, std::vector<std::size_t>{5}, 5);
  EXPECT_THAT(nearest.of(0), ElementsAre(1, 1, 2, 2, 3));
  EXPECT_NEAR(likelihood_dimension(nearest), 1.3297, 5e-5);
  EXPECT_NEAR(likelihood_dimension(nearest), 4 / (2 * std::log(3) + 2 * std::log(1.5)), 1e-14);
}

// Inverses are averaged: of ratios 2 and 4, 2 / (ln 2 + ln 4), not the mean of the inverses.
TEST(LikelihoodDimension, AveragesInverses) {
  const NearestDistances nearest{2, {1, 2, 1, 4}};
  EXPECT_NEAR(likelihood_dimension(nearest), 2 / (3 * std::log(2)), 1e-15);
}

TEST(LikelihoodDimension, OfACubeAndAPlane) {
  const double cube = likelihood_dimension(all_nearest(uniform_rows(2000, 3, 1), 3, 5));
  EXPECT_GT(cube, 2.6);
  EXPECT_LT(cube, 3.1);
  // A plane in four dimensions.
  const std::vector<double> flat = uniform_rows(2000, 2, 2);
  std::vector<double> plane;
  for (std::size_t i = 0; i < flat.size(); i += 2) {
    const double u = flat[i];
    const double v = flat[i + 1];
    for (const double x : {u, 0.6 * v, 0.8 * v, 3.0}) plane.push_back(x);
  }
  const NearestDistances nearest = all_nearest(plane, 4, 5);
  EXPECT_NEAR(likelihood_dimension(nearest), 2, 0.1);
  EXPECT_NEAR(two_nearest_dimension(nearest), 2, 0.15);
}

TEST(LikelihoodDimension, DoesNotDependOnTheUnit) {
  std::vector<double> values = uniform_rows(300, 3, 5);
  const double before = likelihood_dimension(all_nearest(values, 3, 5));
  for (double& value : values) value *= 1024;
  EXPECT_EQ(likelihood_dimension(all_nearest(values, 3, 5)), before);
}

// Ratios 2, 4, 8, 16 with 1 - F = 3/4, 1/2, 1/4, 0: the last is left out.
TEST(TwoNearestDimension, WorkedByHand) {
  const NearestDistances nearest{2, {1, 4, 1, 2, 2, 32, 1, 8}};
  const double l = std::log(2);
  const double expected =
      (l * std::log(4.0 / 3) + 2 * l * std::log(2) + 3 * l * std::log(4)) / (l * l * (1 + 4 + 9));
  EXPECT_NEAR(two_nearest_dimension(nearest, 0), expected, 1e-14);
  // Half left out.
  EXPECT_NEAR(two_nearest_dimension(nearest, 0.5),
              (l * std::log(4.0 / 3) + 2 * l * std::log(2)) / (5 * l * l), 1e-14);
}

TEST(IntrinsicDimension, RefusesWhatHasNoAnswer) {
  EXPECT_THAT(error_of([] {
                likelihood_dimension(NearestDistances{2, {0, 1}});
              }),
              HasSubstr("distinct points"));
  EXPECT_THAT(error_of([] {
                likelihood_dimension(NearestDistances{1, {1}});
              }),
              HasSubstr("2 or more"));
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_THAT(error_of([&] {
                two_nearest_dimension(NearestDistances{3, {1, 2, inf}});
              }),
              HasSubstr("fewer than 4 distinct"));
  EXPECT_THAT(error_of([] {
                two_nearest_dimension(NearestDistances{2, {1, 2}}, 1);
              }),
              HasSubstr("below 1"));
  EXPECT_EQ(likelihood_dimension(NearestDistances{2, {1, 1}}), inf);
}

// Coordinates vary by 4 and 1 around a mean: (4 + 1)^2 / (16 + 1).
TEST(PrincipalSpectrum, WorkedByHand) {
  const std::vector<double> rows = {10 + 2, 5 + 1, 10 - 2, 5 + 1, 10 + 2, 5 - 1, 10 - 2, 5 - 1};
  const PrincipalSpectrum spectrum = principal_spectrum({rows, 2});
  ASSERT_EQ(spectrum.variances.size(), 2U);
  EXPECT_NEAR(spectrum.variances[0], 4, 1e-12);
  EXPECT_NEAR(spectrum.variances[1], 1, 1e-12);
  EXPECT_NEAR(spectrum.participation_ratio(), 25.0 / 17, 1e-12);
  EXPECT_EQ(spectrum.components(0.79), 1U);
  EXPECT_EQ(spectrum.components(0.81), 2U);
  // More columns than rows: the same two variances.
  std::vector<double> wide;
  for (std::size_t i = 0; i < rows.size(); i += 2) {
    for (const double x : {rows[i], 0.0, 0.6 * rows[i + 1], 7.0, 0.8 * rows[i + 1], 1.0}) {
      wide.push_back(x);
    }
  }
  const PrincipalSpectrum of_wide = principal_spectrum({wide, 6});
  ASSERT_EQ(of_wide.variances.size(), 4U);
  EXPECT_NEAR(of_wide.variances[0], 4, 1e-12);
  EXPECT_NEAR(of_wide.variances[1], 1, 1e-12);
  EXPECT_NEAR(of_wide.variances[2], 0, 1e-12);
  EXPECT_EQ(principal_spectrum({std::vector<double>{3, 3, 3}, 1}).participation_ratio(), 0);
}

TEST(DistinctRows, KeepsTheFirstOfEachAndTakesZerosAsEqual) {
  const std::vector<double> rows = {1, 2, 0, 5, 1, 2, -0.0, 5, 1, 3};
  EXPECT_THAT(distinct_rows({rows, 2}), ElementsAre(0, 1, 4));
}

// Distances 1, 2, 4 (tail 2): M_1 = ln 8 / 2 = 1.5 ln 2, M_2 = (4 + 1) / 2 ln^2 2 = 2.5 ln^2 2, so
// g = 1.5 ln 2 + 1 - 0.5 / (1 - 0.9) = 1.5 ln 2 - 4; a = 2 * 60 / 30 = 4.
TEST(ExtremeValueDistance, WorkedByHand) {
  const std::vector<double> distances = {1, 2, 4};
  const double g = 1.5 * std::log(2) - 4;
  const double growth = (std::pow(4, g) - 1) / g;
  const double inverse = 0.25 * 1.5 * std::log(2) * growth + 0.25;
  EXPECT_LT(inverse, 1);  // so that the distance seen is smaller, and holds
  EXPECT_EQ(extreme_value_distance(distances, 30, 60), 1);
  // With one far nearer than the others, g = 0.308 > 0 and there is more to come.
  const std::vector<double> heavy = {0.5, 0.9, 0.95, 1};
  const double a = -std::log(0.5);
  const double b = -std::log(0.9);
  const double c = -std::log(0.95);
  const double m1 = (a + b + c) / 3;
  const double m2 = (a * a + b * b + c * c) / 3;
  const double index = m1 + 1 - 0.5 / (1 - m1 * m1 / m2);
  EXPECT_NEAR(index, 0.308, 1e-3);
  const double reach = (std::pow(3 * 1e6 / 10, index) - 1) / index;
  EXPECT_NEAR(extreme_value_distance(heavy, 10, 1e6), 1 / (m1 * reach + 1), 1e-12);
  EXPECT_LT(extreme_value_distance(heavy, 10, 1e6), 0.03);
  EXPECT_EQ(extreme_value_distance(std::vector<double>{2, 2, 2, 2}, 10, 1e6), 2);
}

LabelledPoints two_clouds(std::size_t count) {
  LabelledPoints points{.source = "clouds",
                        .width = 3,
                        .values = uniform_rows(count, 3, 8),
                        .labels = {},
                        .class_names = {"left", "right"}};
  for (std::size_t i = 0; i < count; ++i) {
    points.labels.push_back(i % 2);
    if (i % 2 == 1) points.values[3 * i] += 1.25;
  }
  return points;
}

TEST(ClassSeparation, WaysAgreeOnTwoClouds) {
  const LabelledPoints points = two_clouds(1200);
  SeparationOptions options;
  const Separation exact = class_separation(points.rows(), points.labels, options);
  EXPECT_TRUE(exact.all_pairs);
  EXPECT_GT(exact.distance, 0.25);
  EXPECT_LT(exact.distance, 0.4);
  options.sample = 300;
  const Separation sampled = class_separation(points.rows(), points.labels, options);
  EXPECT_FALSE(sampled.all_pairs);
  EXPECT_EQ(sampled.looked_at, 300U);
  EXPECT_GT(sampled.distance, exact.distance);
  EXPECT_NE(points.labels[sampled.observed.first], points.labels[sampled.observed.second]);
  options = {.way = SeparationOptions::Way::extreme_value, .pairs = 50'000, .tail = 500};
  const Separation tail = class_separation(points.rows(), points.labels, options);
  EXPECT_LE(tail.distance, tail.observed.distance);
  EXPECT_NEAR(tail.distance, exact.distance, 0.1);
  EXPECT_EQ(
      class_separation(points.rows(), points.labels, options, {3, Runner::std_thread}).distance,
      tail.distance);
}

// Every pair of different classes is as likely as every other, whatever the classes' sizes.
TEST(ClassSeparation, RareClassesAreDrawnToo) {
  LabelledPoints points = two_clouds(400);
  points.class_names.emplace_back("rare");
  points.labels[17] = 2;
  points.values[51] = points.values[3 * 18] + 0.001;  // next to point 18, alone with it
  points.values[52] = points.values[3 * 18 + 1];
  points.values[53] = points.values[3 * 18 + 2];
  const SeparationOptions options{
      .way = SeparationOptions::Way::extreme_value, .pairs = 300'000, .tail = 100};
  const Separation found = class_separation(points.rows(), points.labels, options);
  EXPECT_EQ(found.observed.first, 17U);
  EXPECT_EQ(found.observed.second, 18U);
}

TEST(ClassSeparation, NamesEqualPointsOfDifferentClasses) {
  LabelledPoints points = two_clouds(40);
  for (std::size_t j = 0; j < 3; ++j) points.values[3 * 7 + j] = points.values[3 * 30 + j];
  EXPECT_THAT(error_of([&] { class_separation(points.rows(), points.labels, {}); }),
              HasSubstr("rows 7 and 30"));
  EXPECT_GT(class_separation(points.rows(), points.labels, {.at_least = 0.01}).distance, 0.01);
  EXPECT_THAT(error_of([&] { class_separation(points.rows(), points.labels, {.at_least = 100}); }),
              HasSubstr("100 or more apart"));
}

TEST(TaskConstants, OfTwoClouds) {
  const LabelledPoints points = two_clouds(800);
  const SeparationOptions separation;
  const TaskConstantsOptions options{.separation = &separation};
  const TaskConstants found = measure_task(points, options);
  EXPECT_EQ(found.examples, 800U);
  EXPECT_EQ(found.distinct, 800U);
  EXPECT_EQ(found.queries, 800U);
  EXPECT_EQ(found.classes, 2U);
  EXPECT_NEAR(found.likelihood_dimension, 2.8, 0.4);
  EXPECT_GT(found.radius, 2);
  EXPECT_EQ(found.principal_components, 3U);
  const TaskConstants threads = measure_task(points, options, {3, Runner::std_thread});
  EXPECT_EQ(threads.likelihood_dimension, found.likelihood_dimension);
  EXPECT_EQ(threads.separation.distance, found.separation.distance);

  // The unit of length changes neither the dimension nor the ratio of radius and separation.
  LabelledPoints scaled = points;
  for (double& value : scaled.values) value *= 16;
  const TaskConstants of_scaled = measure_task(scaled, options);
  EXPECT_EQ(of_scaled.likelihood_dimension, found.likelihood_dimension);
  EXPECT_DOUBLE_EQ(of_scaled.radius / of_scaled.separation.distance,
                   found.radius / found.separation.distance);

  // Each point twice: n counts them, neighbours do not.
  LabelledPoints twice = points;
  twice.values.insert(twice.values.end(), points.values.begin(), points.values.end());
  twice.labels.insert(twice.labels.end(), points.labels.begin(), points.labels.end());
  const TaskConstants of_twice = measure_task(twice, options);
  EXPECT_EQ(of_twice.examples, 1600U);
  EXPECT_EQ(of_twice.distinct, 800U);
  EXPECT_EQ(of_twice.likelihood_dimension, found.likelihood_dimension);
}

TEST(TaskConstants, RefusesWithTheSourceInFront) {
  LabelledPoints one{
      .source = "one.csv", .width = 1, .values = {1, 2}, .labels = {0, 0}, .class_names = {"a"}};
  EXPECT_THAT(error_of([&] { measure_task(one, {}); }),
              AllOf(HasSubstr("one.csv"), HasSubstr("one class")));
  LabelledPoints few{.source = "few.csv",
                     .width = 1,
                     .values = {1, 2, 4},
                     .labels = {0, 1, 0},
                     .class_names = {"a", "b"}};
  EXPECT_THAT(error_of([&] { measure_task(few, {}); }),
              AllOf(HasSubstr("few.csv"), HasSubstr("fewer than 6 distinct")));
}

TEST(PointTable, ReadsNumbersAndNamesWhatIsNone) {
  const TemporaryFolder folder;
  const auto path = folder / "points.csv";
  std::ofstream(path) << "id,x,class,y\na, 1.5,10,2\nb,-1,9,0\nc,3,10,1e3\n";
  const LabelledPoints points = read_point_table(path, {.label = "class", .ignore = {"id"}});
  EXPECT_THAT(points.values, ElementsAre(1.5, 2, -1, 0, 3, 1000));
  EXPECT_THAT(points.class_names, ElementsAre("9", "10"));  // by number
  EXPECT_THAT(points.labels, ElementsAre(1, 0, 1));
  EXPECT_EQ(read_point_table(path, {.label = "class", .features = {"y"}}).width, 1U);
  EXPECT_THAT(
      error_of([&] { read_point_table(path, {.label = "class"}); }),
      AllOf(HasSubstr("points.csv:2:1"), HasSubstr("'a' in column 'id'"), HasSubstr("--ignore")));
  EXPECT_THAT(error_of([&] { read_point_table(path, {.label = "klass"}); }), HasSubstr("class"));
  const LabelledPoints first = first_points(points, 1);
  EXPECT_THAT(first.class_names, ElementsAre("10"));
  EXPECT_THAT(first.labels, ElementsAre(0));
}

TEST(PointTable, ASpellingOfNanIsAClassOfItsOwn) {
  const TemporaryFolder folder;
  const auto path = folder / "points.csv";
  std::ofstream(path) << "x,class\n1,nAn\n2,7\n3,nAn\n4,8\n";
  const LabelledPoints points = read_point_table(path, {.label = "class"});
  EXPECT_THAT(points.class_names, ElementsAre("7", "8", "nAn"));
  EXPECT_THAT(points.labels, ElementsAre(2, 0, 2, 1));
}

TEST(PointTable, StandardisedColumnsHaveMeanZeroAndDeviationOne) {
  LabelledPoints points{.source = "",
                        .width = 2,
                        .values = {1, 7, 3, 7, 5, 7},
                        .labels = {0, 0, 1},
                        .class_names = {"a", "b"}};
  standardise(points);
  const double reach = std::sqrt(1.5);
  EXPECT_NEAR(points.values[0], -reach, 1e-15);
  EXPECT_NEAR(points.values[4], reach, 1e-15);
  EXPECT_EQ(points.values[1], 0);
}

// A .npy file of version 1.
void write_npy(const std::filesystem::path& path, const std::string& type, bool column_major,
               const std::string& shape, const std::string& bytes) {
  std::string header = "{'descr': '" + type +
                       "', 'fortran_order': " + (column_major ? "True" : "False") + ", 'shape': (" +
                       shape + "), }";
  header.resize(117, ' ');
  header += '\n';
  std::ofstream(path, std::ios::binary)
      << std::string("\x93NUMPY\x01\x00", 8) << static_cast<char>(header.size()) << '\0' << header
      << bytes;
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

TEST(PointArrays, FlattenPointsAndTakeBothOrders) {
  const TemporaryFolder folder;
  const auto features = folder / "x.npy";
  const auto labels = folder / "y.npy";
  write_npy(labels, "<i8", false, "2,", bytes_of<std::int64_t>({7, -1}));
  write_npy(features, "<f4", false, "2, 3, 1", bytes_of<float>({1, 2, 3, 4, 5, 6}));
  const LabelledPoints points = read_point_arrays(features, labels);
  EXPECT_EQ(points.width, 3U);
  EXPECT_THAT(points.values, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(points.class_names, ElementsAre("-1", "7"));
  EXPECT_THAT(points.labels, ElementsAre(1, 0));
  write_npy(features, "<f8", true, "2, 3", bytes_of<double>({1, 4, 2, 5, 3, 6}));
  EXPECT_THAT(read_point_arrays(features, labels).values, ElementsAre(1, 2, 3, 4, 5, 6));

  const auto refused = [&] { return error_of([&] { read_point_arrays(features, labels); }); };
  write_npy(features, "<f8", false, "3, 1", bytes_of<double>({1, 2, 3}));
  EXPECT_THAT(refused(), AllOf(HasSubstr("y.npy"), HasSubstr("each of the 3 points")));
  write_npy(features, "<f8", false, "2,", bytes_of<double>({1, 2}));
  EXPECT_THAT(refused(), HasSubstr("points by features"));
  write_npy(features, "<f8", false, "2, 1", bytes_of<double>({1, std::nan("")}));
  EXPECT_THAT(refused(), HasSubstr("point 1 has the value nan"));
  write_npy(features, "<f8", false, "2, 0", "");
  EXPECT_THAT(refused(), HasSubstr("empty"));
  write_npy(features, "<f8", false, "2, 1", bytes_of<double>({1, 2}));
  write_npy(labels, "<f8", false, "2,", bytes_of<double>({0, 0.5}));
  EXPECT_THAT(refused(), HasSubstr("label 0.5"));
}

TEST(PointImages, AreRowsOfPixels) {
  LabelledPoints points;
  try {
    points = read_point_images("fashion-mnist", Split::validation);
  } catch (const InputError&) {
    GTEST_SKIP() << "no Fashion-MNIST";
  }
  EXPECT_EQ(points.count(), 5000U);
  EXPECT_EQ(points.width, 784U);
  EXPECT_EQ(points.class_names.size(), 10U);
  EXPECT_EQ(*std::ranges::max_element(points.values), 1.0);
  EXPECT_EQ(*std::ranges::min_element(points.values), 0.0);
}

// The figures that a trial run gave, and what becomes of them.
TEST(TaskConstants, OfRealDigits) {
  std::filesystem::path path;
  try {
    path = shared_data("tabular/digits.csv");
  } catch (const InputError&) {
    GTEST_SKIP() << "no shared data";
  }
  LabelledPoints digits = read_point_table(path, {.label = "class"});
  for (double& value : digits.values) value /= 16;
  const SeparationOptions separation;
  const TaskConstants found = measure_task(digits, {.separation = &separation});
  EXPECT_EQ(found.examples, 1797U);
  EXPECT_NEAR(found.radius, 4.806, 0.001);
  EXPECT_NEAR(found.likelihood_dimension, 8.13, 0.6);
  EXPECT_NEAR(found.separation.distance, 1.1792, 1e-4);
}

}  // namespace
}  // namespace amalgam::scores
