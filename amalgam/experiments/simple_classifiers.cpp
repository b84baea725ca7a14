#include "amalgam/experiments/simple_classifiers.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "amalgam/core/elementary.hpp"

namespace amalgam::experiments {

std::vector<double> nearest_neighbour_probabilities(const RowMatrix& train,
                                                    std::span<const std::size_t> labels,
                                                    std::size_t classes, std::size_t k,
                                                    const RowMatrix& queries) {
  std::vector<double> probabilities(queries.rows * classes, 0);
  std::vector<double> distances(train.rows);
  std::vector<std::size_t> order(train.rows);
  k = std::min(k, train.rows);
  for (std::size_t q = 0; q < queries.rows; ++q) {
    for (std::size_t i = 0; i < train.rows; ++i) {
      distances[i] = 0;
      for (std::size_t c = 0; c < train.columns; ++c) {
        const double apart = train.at(i, c) - queries.at(q, c);
        distances[i] += apart * apart;
      }
    }
    std::iota(order.begin(), order.end(), 0);
    const auto nearer = [&](std::size_t a, std::size_t b) {
      return distances[a] != distances[b] ? distances[a] < distances[b] : a < b;
    };
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), order.end(),
                      nearer);
    for (std::size_t n = 0; n < k; ++n) {
      probabilities[q * classes + labels[order[n]]] += 1 / static_cast<double>(k);
    }
  }
  return probabilities;
}

std::vector<double> naive_bayes_probabilities(const RowMatrix& train,
                                              std::span<const std::size_t> labels,
                                              std::size_t classes, const RowMatrix& queries) {
  const std::size_t columns = train.columns;
  std::vector<double> counts(classes, 0);
  std::vector<double> means(classes * columns, 0);
  std::vector<double> variances(classes * columns, 0);
  for (std::size_t i = 0; i < train.rows; ++i) {
    counts[labels[i]] += 1;
    for (std::size_t c = 0; c < columns; ++c) means[labels[i] * columns + c] += train.at(i, c);
  }
  for (std::size_t j = 0; j < means.size(); ++j) means[j] /= std::max(1.0, counts[j / columns]);
  std::vector<double> all_mean(columns, 0);
  std::vector<double> all_square(columns, 0);
  for (std::size_t i = 0; i < train.rows; ++i) {
    for (std::size_t c = 0; c < columns; ++c) {
      const double apart = train.at(i, c) - means[labels[i] * columns + c];
      variances[labels[i] * columns + c] += apart * apart;
      all_mean[c] += train.at(i, c) / static_cast<double>(train.rows);
      all_square[c] += train.at(i, c) * train.at(i, c) / static_cast<double>(train.rows);
    }
  }
  double largest = 0;
  for (std::size_t c = 0; c < columns; ++c) {
    largest = std::max(largest, all_square[c] - all_mean[c] * all_mean[c]);
  }
  const double smoothing = std::max(1e-9 * largest, 1e-12);
  for (std::size_t j = 0; j < variances.size(); ++j) {
    variances[j] = variances[j] / std::max(1.0, counts[j / columns]) + smoothing;
  }
  std::vector<double> probabilities(queries.rows * classes, 0);
  for (std::size_t q = 0; q < queries.rows; ++q) {
    double* const row = probabilities.data() + q * classes;
    double most = -std::numeric_limits<double>::infinity();
    for (std::size_t k = 0; k < classes; ++k) {
      row[k] = portable_log(counts[k] / static_cast<double>(train.rows));
      for (std::size_t c = 0; c < columns && counts[k] > 0; ++c) {
        const double variance = variances[k * columns + c];
        const double apart = queries.at(q, c) - means[k * columns + c];
        row[k] -= 0.5 * (portable_log(variance) + apart * apart / variance);
      }
      most = std::max(most, row[k]);
    }
    double sum = 0;
    for (std::size_t k = 0; k < classes; ++k) sum += row[k] = portable_exp(row[k] - most);
    for (std::size_t k = 0; k < classes; ++k) row[k] /= sum;
  }
  return probabilities;
}

}  // namespace amalgam::experiments
