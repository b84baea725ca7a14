#include "amalgam/weights/low_rank.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"

namespace amalgam {
namespace {

std::vector<double> random_matrix(std::size_t rows, std::size_t columns, std::uint64_t seed) {
  RandomStream random(seed, "matrix");
  std::vector<double> matrix(rows * columns);
  for (double& entry : matrix) entry = random.normal();
  return matrix;
}

// A product of `rank` outer products of falling weight, plus a little of everything.
std::vector<double> falling_matrix(std::size_t rows, std::size_t columns, std::size_t rank) {
  std::vector<double> matrix = random_matrix(rows, columns, 9);
  for (double& entry : matrix) entry *= 1e-3;
  for (std::size_t k = 0; k < rank; ++k) {
    const auto u = random_matrix(rows, 1, 100 + k);
    const auto v = random_matrix(1, columns, 200 + k);
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t j = 0; j < columns; ++j) {
        matrix[i * columns + j] += std::pow(0.7, static_cast<double>(k)) * u[i] * v[j];
      }
    }
  }
  return matrix;
}

double squared_error(const std::vector<double>& matrix, const LowRank& approximation) {
  const std::vector<double> product = approximation.product();
  double sum = 0;
  for (std::size_t i = 0; i < matrix.size(); ++i) {
    sum += (matrix[i] - product[i]) * (matrix[i] - product[i]);
  }
  return sum;
}

// Card twin-merging, check 4.
TEST(TruncatedSvd, OfADiagonalMatrixKeepsItsLargestEntries) {
  const std::vector<double> matrix{3, 0, 0, 0, 2, 0, 0, 0, 1};
  const LowRank one = truncated_svd(matrix, 3, 3, 1);
  EXPECT_NEAR(one.singular[0], 3, 1e-14);
  const std::vector<double> product = one.product();
  EXPECT_NEAR(product[0], 3, 1e-14);
  EXPECT_NEAR(std::sqrt(squared_error(matrix, one)), 2.236068, 1e-6);
  EXPECT_NEAR(squared_error(matrix, truncated_svd(matrix, 3, 3, 2)), 1, 1e-12);
  EXPECT_NEAR(squared_error(matrix, truncated_svd(matrix, 3, 3, 3)), 0, 1e-24);
}

TEST(TruncatedSvd, OfRankNothingIsZero) {
  const LowRank none = truncated_svd(random_matrix(4, 3, 1), 4, 3, 0);
  EXPECT_EQ(none.product(), std::vector<double>(12, 0.0));
}

class TruncatedSvdOfShape : public testing::TestWithParam<std::pair<std::size_t, std::size_t>> {};

TEST_P(TruncatedSvdOfShape, HasTheErrorOfTheSingularValuesLeftOutAndOrthonormalFactors) {
  const auto [rows, columns] = GetParam();
  const auto matrix = random_matrix(rows, columns, 3);
  const std::size_t full = std::min(rows, columns);
  const LowRank all = truncated_svd(matrix, rows, columns, full);
  EXPECT_LT(squared_error(matrix, all), 1e-20 * static_cast<double>(matrix.size()));
  for (std::size_t rank = 1; rank < full; rank += 2) {
    const LowRank some = truncated_svd(matrix, rows, columns, rank);
    double left_out = 0;
    for (std::size_t k = rank; k < full; ++k) left_out += all.singular[k] * all.singular[k];
    EXPECT_NEAR(squared_error(matrix, some), left_out, 1e-9 * left_out);
    for (std::size_t a = 0; a < rank; ++a) {
      for (std::size_t b = 0; b <= a; ++b) {
        double left = 0;
        double right = 0;
        for (std::size_t i = 0; i < rows; ++i) {
          left += some.left[i * rank + a] * some.left[i * rank + b];
        }
        for (std::size_t j = 0; j < columns; ++j) {
          right += some.right[a * columns + j] * some.right[b * columns + j];
        }
        EXPECT_NEAR(left, a == b ? 1 : 0, 1e-12);
        EXPECT_NEAR(right, a == b ? 1 : 0, 1e-12);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, TruncatedSvdOfShape,
                         testing::Values(std::pair{7, 7}, std::pair{5, 9}, std::pair{40, 6},
                                         std::pair{6, 40}, std::pair{1, 8}, std::pair{8, 1}));

TEST(TruncatedSvd, ByProjectionIsNearlyAsGood) {
  const auto matrix = falling_matrix(120, 80, 12);
  const LowRank exact = truncated_svd(matrix, 120, 80, 6);
  const LowRank projected = truncated_svd(matrix, 120, 80, 6, {.exact_below = 1});
  EXPECT_LT(squared_error(matrix, projected), 1.0001 * squared_error(matrix, exact));
  EXPECT_NE(projected.singular, exact.singular);  // it did go another way
  for (std::size_t k = 0; k < 6; ++k) {
    EXPECT_NEAR(projected.singular[k], exact.singular[k], 1e-4 * exact.singular[k]);
  }
}

TEST(TruncatedSvd, RefusesWhatHasNone) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(truncated_svd(std::vector<double>{1, nan}, 1, 2, 1), InputError);
  EXPECT_THROW(truncated_svd(std::vector<double>{1, 2}, 1, 2, 2), InputError);
  EXPECT_THROW(truncated_svd(std::vector<double>{1, 2}, 2, 2, 1), InputError);
  EXPECT_THROW(truncated_svd({}, 0, 0, 0), InputError);
}

}  // namespace
}  // namespace amalgam
