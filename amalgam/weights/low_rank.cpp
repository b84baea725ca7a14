#include "amalgam/weights/low_rank.hpp"

#include <Eigen/QR>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"

namespace amalgam {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using MatrixView = Eigen::Map<const Matrix>;

struct Svd {
  Matrix left;               // [rows, k]
  Eigen::VectorXd singular;  // [k]
  Matrix right;              // [columns, k]
};

// Eigen cuts products into blocks by the sizes of the caches, and the order of additions with them.
void fix_block_sizes() {
  static const bool kFixed = [] {
    Eigen::setCpuCacheSizes(32 << 10, 256 << 10, 2 << 20);
    return true;
  }();
  static_cast<void>(kFixed);
}

template <class Decomposition>
bool decompose(const Matrix& matrix, Svd& svd) {
  const Decomposition done(matrix, Eigen::ComputeThinU | Eigen::ComputeThinV);
  if (done.info() != Eigen::Success || !done.singularValues().allFinite()) return false;
  svd = {done.matrixU(), done.singularValues(), done.matrixV()};
  return true;
}

Svd thin_svd(const Matrix& matrix) {
  Svd svd;
  if (decompose<Eigen::BDCSVD<Matrix>>(matrix, svd)) return svd;
  if (decompose<Eigen::JacobiSVD<Matrix>>(matrix, svd)) return svd;
  throw Error("the singular value decomposition of a {} x {} matrix does not converge",
              matrix.rows(), matrix.cols());
}

// A long matrix is first made square by QR, which is much cheaper.
Svd exact_svd(const MatrixView& matrix) {
  if (matrix.rows() < matrix.cols()) {
    const Matrix transposed = matrix.transpose();
    Svd svd = exact_svd(MatrixView(transposed.data(), transposed.rows(), transposed.cols()));
    std::swap(svd.left, svd.right);
    return svd;
  }
  const Eigen::Index side = matrix.cols();
  if (matrix.rows() < 2 * side) return thin_svd(matrix);
  const Eigen::HouseholderQR<Matrix> qr(matrix);
  const Matrix triangle = qr.matrixQR().topRows(side).template triangularView<Eigen::Upper>();
  Svd svd = thin_svd(triangle);
  Matrix left = Matrix::Zero(matrix.rows(), side);
  left.topRows(side) = svd.left;
  svd.left = qr.householderQ() * left;
  return svd;
}

Matrix orthonormal(const Matrix& matrix) {
  const Eigen::HouseholderQR<Matrix> qr(matrix);
  return qr.householderQ() * Matrix::Identity(matrix.rows(), matrix.cols());
}

Svd projected_svd(const MatrixView& matrix, Eigen::Index directions,
                  const TruncatedSvdOptions& options) {
  RandomStream random(options.seed, "singular value decomposition");
  Matrix probes(matrix.cols(), directions);
  for (Eigen::Index i = 0; i < probes.size(); ++i) probes.data()[i] = random.normal();
  Matrix basis = orthonormal(matrix * probes);
  for (std::size_t i = 0; i < options.power_iterations; ++i) {
    basis = orthonormal(matrix * orthonormal(matrix.transpose() * basis));
  }
  const Matrix small = basis.transpose() * matrix;
  Svd svd = exact_svd(MatrixView(small.data(), small.rows(), small.cols()));
  svd.left = basis * svd.left;
  return svd;
}

// The `rank` largest singular values and their vectors, with signs chosen.
LowRank largest(const Svd& svd, std::size_t rows, std::size_t columns, std::size_t rank) {
  LowRank result{.rows = rows,
                 .columns = columns,
                 .rank = rank,
                 .left = std::vector<double>(rows * rank),
                 .singular = std::vector<double>(rank),
                 .right = std::vector<double>(rank * columns)};
  for (std::size_t k = 0; k < rank; ++k) {
    const auto column = static_cast<Eigen::Index>(k);
    Eigen::Index strongest = 0;
    svd.left.col(column).cwiseAbs().maxCoeff(&strongest);
    const double sign = svd.left(strongest, column) < 0 ? -1.0 : 1.0;
    result.singular[k] = svd.singular(column);
    for (std::size_t i = 0; i < rows; ++i) {
      result.left[i * rank + k] = sign * svd.left(static_cast<Eigen::Index>(i), column);
    }
    for (std::size_t j = 0; j < columns; ++j) {
      result.right[k * columns + j] = sign * svd.right(static_cast<Eigen::Index>(j), column);
    }
  }
  return result;
}

void check(std::span<const double> matrix, std::size_t rows, std::size_t columns,
           std::size_t rank) {
  if (rows == 0 || columns == 0 || matrix.size() / rows != columns || matrix.size() % rows != 0) {
    throw InputError("a matrix of {} x {} with {} entries", rows, columns, matrix.size());
  }
  if (rank > std::min(rows, columns)) {
    throw InputError("rank {} of a {} x {} matrix; expected at most {}", rank, rows, columns,
                     std::min(rows, columns));
  }
  const auto bad = std::ranges::find_if(matrix, [](double x) { return !std::isfinite(x); });
  if (bad != matrix.end()) {
    throw InputError("entry {} of a matrix is {}; a singular value decomposition needs finite ones",
                     bad - matrix.begin(), *bad);
  }
}

}  // namespace

std::vector<double> LowRank::product() const {
  std::vector<double> result(rows * columns);
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t k = 0; k < rank; ++k) {
      const double scale = left[i * rank + k] * singular[k];
      for (std::size_t j = 0; j < columns; ++j) {
        result[i * columns + j] += scale * right[k * columns + j];
      }
    }
  }
  return result;
}

LowRank truncated_svd(std::span<const double> matrix, std::size_t rows, std::size_t columns,
                      std::size_t rank, const TruncatedSvdOptions& options) {
  check(matrix, rows, columns, rank);
  fix_block_sizes();
  const MatrixView view(matrix.data(), static_cast<Eigen::Index>(rows),
                        static_cast<Eigen::Index>(columns));
  const std::size_t shorter = std::min(rows, columns);
  const std::size_t directions = rank + options.oversampling;
  const bool exact = shorter < options.exact_below || directions >= shorter;
  const Svd svd =
      exact ? exact_svd(view) : projected_svd(view, static_cast<Eigen::Index>(directions), options);
  return largest(svd, rows, columns, rank);
}

LowRank product_svd(std::span<const double> left, std::span<const double> right, std::size_t rows,
                    std::size_t columns, std::size_t rank) {
  const std::size_t inner = rows == 0 ? 0 : left.size() / rows;
  check(left, rows, inner, std::min(rank, std::min(rows, inner)));
  check(right, inner, columns, std::min(rank, std::min(inner, columns)));
  fix_block_sizes();
  const auto index = [](std::size_t n) { return static_cast<Eigen::Index>(n); };
  const MatrixView l(left.data(), index(rows), index(inner));
  const MatrixView r(right.data(), index(inner), index(columns));
  if (inner >= rows || inner >= columns) {
    const Matrix product = l * r;
    return truncated_svd({product.data(), rows * columns}, rows, columns,
                         std::min(rank, std::min(rows, columns)));
  }
  const Matrix of_rows = orthonormal(l);
  const Matrix of_columns = orthonormal(r.transpose());
  const Matrix core = (of_rows.transpose() * l) * (r * of_columns);
  Svd svd = exact_svd(MatrixView(core.data(), core.rows(), core.cols()));
  svd.left = of_rows * svd.left;
  svd.right = of_columns * svd.right;
  return largest(svd, rows, columns, std::min(rank, inner));
}

}  // namespace amalgam
