#include "amalgam/scores/studies/table_measures.hpp"

#include <gmock/gmock.h>

#include <Eigen/Dense>
#include <cmath>
#include <set>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/core/rank_correlation.hpp"

namespace amalgam::scores {
namespace {

using ::testing::ElementsAre;

Embeddings make(std::size_t rows, std::vector<float> values) {
  Embeddings made(rows, values.size() / rows);
  made.values = std::move(values);
  return made;
}

Embeddings random_vectors(std::size_t rows, std::size_t dimension, std::uint64_t seed) {
  Embeddings made(rows, dimension);
  RandomStream random(seed, "vectors");
  for (float& v : made.values) v = static_cast<float>(random.normal());
  return made;
}

// sqrt(mu' S mu / (mu' mu)^2) as it is written, with the whole covariance matrix.
double variation_by_matrix(const Embeddings& population) {
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Matrix x =
      Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
          population.values.data(), static_cast<Eigen::Index>(population.rows),
          static_cast<Eigen::Index>(population.dimension))
          .cast<double>();
  const Eigen::RowVectorXd mean = x.colwise().mean();
  const Matrix centred = x.rowwise() - mean;
  const Matrix covariance =
      centred.transpose() * centred / static_cast<double>(population.rows - 1);
  return std::sqrt((mean * covariance * mean.transpose())(0) /
                   (mean.squaredNorm() * mean.squaredNorm()));
}

TEST(CoefficientOfVariation, IsTheDeviationAlongTheMean) {
  // mu = (2, 0), S11 = 2: sqrt(4 * 2 / 16).
  EXPECT_NEAR(coefficient_of_variation(make(2, {1, 0, 3, 0})), std::sqrt(0.5), 1e-12);
  // Vectors that differ across the mean only: it does not see it, the cosine does.
  const Embeddings across = make(2, {2, 1, 2, -1});
  EXPECT_EQ(coefficient_of_variation(across), 0);
  EXPECT_NEAR(cosine(across.row(0), across.row(1)), 0.6, 1e-12);
}

TEST(CoefficientOfVariation, IsKeptByScalingAndRotationNotByTranslation) {
  const double value = coefficient_of_variation(make(3, {1, 2, 2, 1, 3, 3}));
  EXPECT_NEAR(value, 0.433013, 1e-6);
  EXPECT_NEAR(coefficient_of_variation(make(3, {5, 10, 10, 5, 15, 15})), value, 1e-12);
  // By 90 degrees: (x, y) -> (-y, x).
  EXPECT_NEAR(coefficient_of_variation(make(3, {-2, 1, -1, 2, -3, 3})), value, 1e-12);
  EXPECT_GT(std::abs(coefficient_of_variation(make(3, {2, 2, 3, 1, 4, 3})) - value), 0.01);
}

TEST(CoefficientOfVariation, ByProjectionsEqualsTheMatrixForm) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Embeddings x = random_vectors(5 + seed, 3 + 2 * seed, seed);  // also fewer rows than columns
    for (std::size_t i = 0; i < x.values.size(); ++i) x.values[i] += 1;
    EXPECT_NEAR(coefficient_of_variation(x), variation_by_matrix(x), 1e-12);
  }
}

TEST(CoefficientOfVariation, IsZeroForEqualAndUndefinedForOneOrAMeanOfZero) {
  EXPECT_EQ(coefficient_of_variation(make(3, {1, 2, 1, 2, 1, 2})), 0);
  EXPECT_TRUE(std::isnan(coefficient_of_variation(make(1, {1, 2}))));
  EXPECT_TRUE(std::isnan(coefficient_of_variation(make(2, {1, 2, -1, -2}))));
  EXPECT_TRUE(std::isnan(coefficient_of_variation(make(2, {0, 0, 0, 0}))));
}

TEST(Cosine, IsUndefinedWithoutDirectionAndNeverBeyondOne) {
  const Embeddings x = make(3, {0.1F, 0.7F, 0.3F, 0.2F, 1.4F, 0.6F, 0, 0, 0});
  EXPECT_LE(cosine(x.row(0), x.row(1)), 1);
  EXPECT_NEAR(cosine(x.row(0), x.row(1)), 1, 1e-7);
  EXPECT_TRUE(std::isnan(cosine(x.row(0), x.row(2))));
}

TEST(CosineSummary, PartsAddUpAndQuantilesAreWithinABin) {
  CosineSummary low;
  CosineSummary high;
  for (int i = 0; i < 50; ++i) low.add(0.01 * i);
  for (int i = 50; i <= 100; ++i) high.add(0.01 * i);
  high.add(std::nan(""));
  low.combine(high);
  EXPECT_EQ(low.count(), 101);
  EXPECT_EQ(low.undefined(), 1);
  EXPECT_NEAR(low.mean(), 0.5, 1e-12);
  EXPECT_NEAR(low.quantile(0.25), 0.25, 0.0011);
  EXPECT_NEAR(low.quantile(1), 1, 0.0011);
  EXPECT_TRUE(std::isnan(CosineSummary().quantile(0.5)));
}

TEST(ColumnOverlap, CountsDistinctValuesAndMultiples) {
  const std::vector<std::string> first{"a", "a", "b", "c"};
  const std::vector<std::string> second{"a", "b", "b", "d", ""};  // null does not count
  const ColumnOverlap found = column_overlap(first, second);
  EXPECT_NEAR(found.jaccard, 0.5, 1e-12);
  EXPECT_NEAR(found.containment, 2.0 / 3, 1e-12);
  EXPECT_NEAR(found.multiset_jaccard, 0.25, 1e-12);     // 2 / (4 + 4)
  EXPECT_NEAR(found.weighted_jaccard, 1.0 / 3, 1e-12);  // 2 / 6
  const ColumnOverlap same = column_overlap(first, first);
  EXPECT_NEAR(same.jaccard, 1, 1e-12);
  EXPECT_NEAR(same.containment, 1, 1e-12);
  EXPECT_NEAR(same.multiset_jaccard, 0.5, 1e-12);
  EXPECT_TRUE(std::isnan(column_overlap(first, std::vector<std::string>{""}).jaccard));
}

TEST(Spearman, OfSwappedNeighbours) {
  EXPECT_NEAR(spearman(std::vector<double>{1, 2, 3, 4, 5}, std::vector<double>{2, 1, 4, 3, 5}), 0.8,
              1e-12);
}

TEST(GroupSpread, IsTheMeanPopulationVarianceOfGroups) {
  const GroupSpread one =
      group_spread(std::vector<double>{1, 2, 3}, std::vector<std::uint32_t>{7, 7, 7});
  EXPECT_NEAR(one.mean, 2.0 / 3, 1e-12);
  // {1, 3}: 1; {5, 5}: 0; {9}: a group of one.
  const GroupSpread three =
      group_spread(std::vector<double>{1, 5, 3, 9, 5}, std::vector<std::uint32_t>{0, 1, 0, 2, 1});
  EXPECT_NEAR(three.mean, 0.5, 1e-12);
  EXPECT_NEAR(three.mean_with_singles, 1.0 / 3, 1e-12);
  EXPECT_EQ(three.groups, 2);
  EXPECT_EQ(three.singles, 1);
  EXPECT_TRUE(
      std::isnan(group_spread(std::vector<double>{1, 2}, std::vector<std::uint32_t>{0, 1}).mean));
}

std::vector<std::uint32_t> first_queries(std::uint32_t count) {
  std::vector<std::uint32_t> queries;
  for (std::uint32_t q = 0; q < count; ++q) queries.push_back(q);
  return queries;
}

double mean_overlap(const Embeddings& a, const Embeddings& b, std::size_t k) {
  const auto queries = first_queries(static_cast<std::uint32_t>(a.rows));
  const auto overlaps =
      neighbour_overlap(nearest_rows(a, queries, k), nearest_rows(b, queries, k), k);
  double sum = 0;
  for (const double one : overlaps) sum += one;
  return sum / static_cast<double>(overlaps.size());
}

TEST(NearestRows, AgreeWithThemselvesAndWithARotatedScaledCopy) {
  const Embeddings x = random_vectors(60, 4, 1);
  Embeddings turned = x;
  for (std::size_t i = 0; i < x.rows; ++i) {
    const auto from = x.row(i);
    const auto to = turned.row(i);
    to[0] = 3 * -from[1];
    to[1] = 3 * from[0];
    to[2] = 3 * from[3];
    to[3] = 3 * from[2];
  }
  EXPECT_EQ(mean_overlap(x, x, 10), 1);
  EXPECT_EQ(mean_overlap(x, turned, 10), 1);
}

TEST(NearestRows, OfIndependentSpacesAgreeByChance) {
  // Of 199 others, 20 are neighbours: about 20 / 199 = 0.1 are common.
  EXPECT_NEAR(mean_overlap(random_vectors(200, 8, 1), random_vectors(200, 8, 2), 20), 0.1, 0.02);
}

TEST(NearestRows, LeaveOutTheQueryUnlessAskedAndRefuseTooMany) {
  const Embeddings x = make(3, {1, 0, 0.9F, 0.1F, 0, 1});
  EXPECT_THAT(nearest_rows(x, first_queries(1), 2)[0], ElementsAre(1, 2));
  EXPECT_THAT(nearest_rows(x, first_queries(1), 2, true)[0], ElementsAre(0, 1));
  EXPECT_THROW(nearest_rows(x, first_queries(1), 3), InputError);
}

TEST(EntityOverlap, CountsEntitiesAsMultisets) {
  // Neighbours are different cells of the same entities: {e0, e0, e1} and {e0, e1, e1}: 2 of 3.
  const std::vector<std::uint32_t> entities{0, 0, 1, 1, 0, 1};
  const auto overlap = entity_overlap({{0, 1, 2}}, {{4, 3, 5}}, entities, 3);
  EXPECT_NEAR(overlap[0], 2.0 / 3, 1e-12);
  EXPECT_EQ(neighbour_overlap({{0, 1, 2}}, {{4, 3, 5}}, 3)[0], 0);
}

TEST(ClusterPurity, IsTheShareOfTheMostFrequentClass) {
  const std::vector<std::uint32_t> classes{0, 0, 1, 1, 2, 2};
  EXPECT_EQ(cluster_purity(std::vector<std::size_t>{5, 5, 3, 3, 4, 4}, classes), 1);
  EXPECT_NEAR(cluster_purity(std::vector<std::size_t>(6, 0), classes), 1.0 / 3, 1e-12);
}

TEST(DistinctPermutations, BeginWithTheIdentityAndAreNeverRepeated) {
  const auto few = distinct_permutations(3, 1000, 1);
  EXPECT_EQ(few.size(), 6);
  EXPECT_THAT(few[0], ElementsAre(0, 1, 2));
  EXPECT_EQ(std::set(few.begin(), few.end()).size(), 6);
  const auto many = distinct_permutations(12, 1000, 1);
  EXPECT_EQ(many.size(), 1001);
  EXPECT_TRUE(std::ranges::is_sorted(many[0]));
  EXPECT_EQ(std::set(many.begin(), many.end()).size(), 1001);
  for (const auto& order : many) EXPECT_EQ(std::set(order.begin(), order.end()).size(), 12);
  EXPECT_EQ(distinct_permutations(12, 1000, 1), many);
  EXPECT_NE(distinct_permutations(12, 1000, 2), many);
  // 4! - 1 = 23 others: exactly as many as asked for.
  EXPECT_EQ(distinct_permutations(4, 23, 1).size(), 24);
  EXPECT_EQ(distinct_permutations(4, 10, 1).size(), 11);
  EXPECT_EQ(distinct_permutations(1, 10, 1).size(), 1);
}

TEST(DistinctSubsets, AreAllThereAreOrAsManyAsAskedFor) {
  const auto all = distinct_subsets(4, 2, 1000, 1);
  EXPECT_EQ(all.size(), 6);
  EXPECT_THAT(all[1], ElementsAre(0, 2));
  EXPECT_EQ(std::set(all.begin(), all.end()).size(), 6);
  const auto some = distinct_subsets(12, 6, 100, 1);  // of 924
  EXPECT_EQ(std::set(some.begin(), some.end()).size(), 100);
  for (const auto& one : some) {
    EXPECT_EQ(one.size(), 6);
    EXPECT_TRUE(std::ranges::is_sorted(one));
    EXPECT_LT(one.back(), 12);
  }
}

}  // namespace
}  // namespace amalgam::scores
