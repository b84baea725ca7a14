#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "amalgam/core/row_matrix.hpp"

namespace amalgam {

struct KMeans {
  RowMatrix centres;  ///< [clusters, columns]
  std::vector<std::size_t>
      clusters;        ///< [rows], the nearest centre; of equally near ones the lowest
  double inertia = 0;  ///< sum of squared distances to it
};

/// Lloyd's algorithm from `restarts` starts by k-means++ (Arthur and Vassilvitskii 2007), the
/// result with the smallest inertia. A cluster that loses all its rows takes the row farthest from
/// its centre. InputError for features that are not finite or fewer rows than clusters.
KMeans k_means(const RowMatrix& features, std::size_t clusters, std::uint64_t seed,
               std::size_t restarts = 10);

/// The nearest centre of a row.
std::size_t nearest_centre(const RowMatrix& centres, std::span<const double> row);

}  // namespace amalgam
