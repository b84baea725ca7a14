#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "amalgam/core/row_matrix.hpp"

// Classical classifiers that experiments need as members and the library does not.
namespace amalgam::experiments {

/// The shares of classes among the k nearest training rows by Euclidean distance, of equally near
/// ones those that come first: [queries, classes].
std::vector<double> nearest_neighbour_probabilities(const RowMatrix& train,
                                                    std::span<const std::size_t> labels,
                                                    std::size_t classes, std::size_t k,
                                                    const RowMatrix& queries);

/// Gaussian naive Bayes: a normal distribution per class and column, whose variance has 1e-9 of the
/// largest column's variance added; classes without rows have probability 0: [queries, classes].
std::vector<double> naive_bayes_probabilities(const RowMatrix& train,
                                              std::span<const std::size_t> labels,
                                              std::size_t classes, const RowMatrix& queries);

}  // namespace amalgam::experiments
