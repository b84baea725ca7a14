#include "amalgam/weights/rules/small_matrix.hpp"

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <random>

namespace amalgam {
namespace {

SmallMatrix random_gram(std::size_t n, std::size_t rank, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal;
  std::vector<std::vector<double>> vectors(n, std::vector<double>(rank));
  for (auto& vector : vectors) {
    for (double& value : vector) value = normal(generator);
  }
  SmallMatrix gram(n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) gram(i, j) = inner_product(vectors[i], vectors[j]);
  }
  return gram;
}

TEST(SmallMatrix, EigenSystemAgreesWithEigenAndRebuildsTheMatrix) {
  for (const std::size_t n : {1, 2, 3, 8, 33}) {
    const SmallMatrix gram = random_gram(n, n / 2 + 1, static_cast<unsigned>(n));
    const EigenSystem system = eigen_system(gram);
    Eigen::MatrixXd dense(n, n);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) {
        dense(static_cast<long>(i), static_cast<long>(j)) = gram(i, j);
      }
    }
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> reference(dense);
    const double scale = dense.norm() + 1;
    for (std::size_t k = 0; k < n; ++k) {
      EXPECT_NEAR(system.values[k], reference.eigenvalues()(static_cast<long>(n - 1 - k)),
                  1e-13 * scale);
      for (std::size_t j = 0; j < n; ++j) {
        double rebuilt = 0;
        double orthogonal = 0;
        for (std::size_t c = 0; c < n; ++c) {
          rebuilt += system.values[c] * system.vectors(k, c) * system.vectors(j, c);
          orthogonal += system.vectors(c, k) * system.vectors(c, j);
        }
        EXPECT_NEAR(rebuilt, gram(k, j), 1e-12 * scale);
        EXPECT_NEAR(orthogonal, k == j ? 1 : 0, 1e-13);
      }
    }
  }
}

TEST(SmallMatrix, EqualEigenvaluesKeepTheirOrder) {
  SmallMatrix matrix(3);
  matrix(0, 0) = 1;
  matrix(1, 1) = 2;
  matrix(2, 2) = 1;
  const EigenSystem system = eigen_system(matrix);
  EXPECT_EQ(system.values, (std::vector<double>{2, 1, 1}));
  EXPECT_EQ(system.vectors(1, 0), 1.0);
  EXPECT_EQ(system.vectors(0, 1), 1.0);
  EXPECT_EQ(system.vectors(2, 2), 1.0);
}

TEST(SmallMatrix, CholeskyFactorsAPositiveMatrix) {
  // [[4, 2], [2, 10]] = L L^T with L = [[2, 0], [1, 3]].
  SmallMatrix matrix(2);
  matrix(0, 0) = 4;
  matrix(0, 1) = matrix(1, 0) = 2;
  matrix(1, 1) = 10;
  const SmallMatrix lower = cholesky(matrix);
  EXPECT_EQ(lower(0, 0), 2.0);
  EXPECT_EQ(lower(1, 0), 1.0);
  EXPECT_EQ(lower(1, 1), 3.0);
  EXPECT_EQ(lower(0, 1), 0.0);
}

}  // namespace
}  // namespace amalgam
