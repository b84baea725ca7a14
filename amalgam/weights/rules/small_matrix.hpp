#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace amalgam {

/// A dense square matrix as large as the number of members. Its operations are plain loops in a
/// fixed order: those of linear algebra libraries depend on cache and vector sizes in the last
/// bits, and the coefficients of a merge must not.
class SmallMatrix {
 public:
  explicit SmallMatrix(std::size_t size = 0) : size_(size), values_(size * size) {}
  /// The symmetric matrix whose upper triangle is packed row by row (kernels::pair_index).
  static SmallMatrix from_upper(std::span<const double> upper, std::size_t size);

  std::size_t size() const { return size_; }
  double& operator()(std::size_t i, std::size_t j) { return values_[i * size_ + j]; }
  double operator()(std::size_t i, std::size_t j) const { return values_[i * size_ + j]; }

  SmallMatrix operator*(const SmallMatrix& right) const;
  std::vector<double> operator*(std::span<const double> vector) const;
  SmallMatrix transposed() const;

 private:
  std::size_t size_;
  std::vector<double> values_;
};

double inner_product(std::span<const double> a, std::span<const double> b);
/// x^T M x.
double quadratic_form(const SmallMatrix& matrix, std::span<const double> x);

/// The lower triangular L with L L^T = `matrix`, which is symmetric and positive definite.
SmallMatrix cholesky(const SmallMatrix& matrix);

/// matrix = vectors diag(values) vectors^T, values in descending order (equal ones in the order the
/// rotations left them, so equal input gives equal output), vectors in columns.
struct EigenSystem {
  std::vector<double> values;
  SmallMatrix vectors;
};
/// Of a symmetric matrix, by cyclic Jacobi rotations: relative accuracy near 1e-15 of the largest
/// eigenvalue. O(n^3) per sweep and about 10 sweeps: meant for n up to a few hundred.
EigenSystem eigen_system(const SmallMatrix& symmetric);

}  // namespace amalgam
