#include "amalgam/weights/rules/small_matrix.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace amalgam {

SmallMatrix SmallMatrix::from_upper(std::span<const double> upper, std::size_t size) {
  SmallMatrix matrix(size);
  std::size_t at = 0;
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = i; j < size; ++j, ++at) {
      matrix(i, j) = upper[at];
      matrix(j, i) = upper[at];
    }
  }
  return matrix;
}

SmallMatrix SmallMatrix::operator*(const SmallMatrix& right) const {
  SmallMatrix product(size_);
  for (std::size_t i = 0; i < size_; ++i) {
    for (std::size_t k = 0; k < size_; ++k) {
      const double factor = (*this)(i, k);
      for (std::size_t j = 0; j < size_; ++j) product(i, j) += factor * right(k, j);
    }
  }
  return product;
}

std::vector<double> SmallMatrix::operator*(std::span<const double> vector) const {
  std::vector<double> product(size_);
  for (std::size_t i = 0; i < size_; ++i) {
    for (std::size_t j = 0; j < size_; ++j) product[i] += (*this)(i, j) * vector[j];
  }
  return product;
}

SmallMatrix SmallMatrix::transposed() const {
  SmallMatrix result(size_);
  for (std::size_t i = 0; i < size_; ++i) {
    for (std::size_t j = 0; j < size_; ++j) result(j, i) = (*this)(i, j);
  }
  return result;
}

double inner_product(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

double quadratic_form(const SmallMatrix& matrix, std::span<const double> x) {
  return inner_product(x, matrix * x);
}

SmallMatrix cholesky(const SmallMatrix& matrix) {
  const std::size_t n = matrix.size();
  SmallMatrix lower(n);
  for (std::size_t j = 0; j < n; ++j) {
    for (std::size_t i = j; i < n; ++i) {
      double sum = matrix(i, j);
      for (std::size_t k = 0; k < j; ++k) sum -= lower(i, k) * lower(j, k);
      lower(i, j) = i == j ? std::sqrt(sum) : sum / lower(j, j);
    }
  }
  return lower;
}

EigenSystem eigen_system(const SmallMatrix& symmetric) {
  const std::size_t n = symmetric.size();
  SmallMatrix a = symmetric;
  SmallMatrix vectors(n);
  for (std::size_t i = 0; i < n; ++i) vectors(i, i) = 1;
  double scale = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) scale += a(i, j) * a(i, j);
  }
  // Rotations of elements this small no longer change the eigenvalues.
  const double negligible = 1e-18 * std::sqrt(scale);
  constexpr int kMaxSweeps = 64;  // convergence is quadratic: about ten are used
  bool rotated = true;
  for (int sweep = 0; sweep < kMaxSweeps && rotated; ++sweep) {
    rotated = false;
    for (std::size_t p = 0; p < n; ++p) {
      for (std::size_t q = p + 1; q < n; ++q) {
        if (!(std::abs(a(p, q)) > negligible)) continue;
        rotated = true;
        // The rotation that makes a(p, q) zero by the smaller angle.
        const double ratio = (a(q, q) - a(p, p)) / (2 * a(p, q));
        const double tangent =
            (ratio < 0 ? -1.0 : 1.0) / (std::abs(ratio) + std::sqrt(1 + ratio * ratio));
        const double c = 1 / std::sqrt(1 + tangent * tangent);
        const double s = tangent * c;
        for (std::size_t k = 0; k < n; ++k) {
          const double kp = a(k, p);
          const double kq = a(k, q);
          a(k, p) = c * kp - s * kq;
          a(k, q) = s * kp + c * kq;
        }
        for (std::size_t k = 0; k < n; ++k) {
          const double pk = a(p, k);
          const double qk = a(q, k);
          a(p, k) = c * pk - s * qk;
          a(q, k) = s * pk + c * qk;
          const double vp = vectors(k, p);
          const double vq = vectors(k, q);
          vectors(k, p) = c * vp - s * vq;
          vectors(k, q) = s * vp + c * vq;
        }
        a(p, q) = 0;
        a(q, p) = 0;
      }
    }
  }
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t i, std::size_t j) { return a(i, i) > a(j, j); });
  EigenSystem system{.values = {}, .vectors = SmallMatrix(n)};
  for (std::size_t column = 0; column < n; ++column) {
    system.values.push_back(a(order[column], order[column]));
    for (std::size_t i = 0; i < n; ++i) system.vectors(i, column) = vectors(i, order[column]);
  }
  return system;
}

}  // namespace amalgam
