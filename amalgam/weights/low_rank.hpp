#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace amalgam {

/// U diag(S) V, an approximation of a matrix [rows, columns]; everything row by row.
struct LowRank {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t rank = 0;
  std::vector<double> left;      ///< U [rows, rank], orthonormal columns
  std::vector<double> singular;  ///< S [rank], in descending order, at least 0
  std::vector<double> right;     ///< V [rank, columns], orthonormal rows

  /// The product [rows, columns].
  std::vector<double> product() const;
};

struct TruncatedSvdOptions {
  /// Matrices whose shorter side is less than this, and those of which nearly all of the rank is
  /// wanted, are decomposed exactly; others by random projection.
  std::size_t exact_below = 2048;
  std::size_t oversampling = 10;     ///< of the projection: more directions than are wanted
  std::size_t power_iterations = 2;  ///< of the projection: products with A A^T that sharpen it
  std::uint64_t seed = 0;            ///< of the projection
};

/// The `rank` largest singular values of `matrix` (row by row, rows x columns finite numbers) and
/// their vectors: the best approximation of this rank, with squared error the sum of the squares of
/// the singular values left out (Eckart and Young 1936). By random projection with power iterations
/// (Halko, Martinsson and Tropp 2011, algorithms 4.4 and 5.1) nearly so. The largest entry of every
/// column of U is positive; of equal singular values any basis may come. Bits do not depend on the
/// machine. InputError for a size that does not fit, an empty matrix, a rank above the shorter side
/// or entries that are not finite; Error if no method converges.
LowRank truncated_svd(std::span<const double> matrix, std::size_t rows, std::size_t columns,
                      std::size_t rank, const TruncatedSvdOptions& options = {});

/// The same of a product left [rows, inner] * right [inner, columns], exactly and without forming
/// it where `inner` is smaller than both sides. A rank above what the product can have is lowered.
LowRank product_svd(std::span<const double> left, std::span<const double> right, std::size_t rows,
                    std::size_t columns, std::size_t rank);

}  // namespace amalgam
