#include "amalgam/labels/soft/centroid.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "amalgam/core/elementary.hpp"
#include "amalgam/labels/soft/aggregate.hpp"

namespace amalgam::labels::soft {
namespace {

// Floored and normalised again.
void lift(std::span<double> row) {
  double sum = 0;
  for (double& value : row) {
    value = std::max(value, kLeastProbability);
    sum += value;
  }
  for (double& value : row) value /= sum;
}

}  // namespace

void jensen_shannon_centroid(std::span<const double> rows, std::span<double> centroid) {
  constexpr int kMostSteps = 1000;
  constexpr double kSmallChange = 1e-10;
  const std::size_t classes = centroid.size();
  const std::size_t members = rows.size() / classes;
  std::vector<double> lifted(rows.begin(), rows.end());
  for (std::size_t m = 0; m < members; ++m) lift({lifted.data() + m * classes, classes});
  std::ranges::fill(centroid, 0.0);
  for (std::size_t i = 0; i < lifted.size(); ++i) {
    centroid[i % classes] += lifted[i] / static_cast<double>(members);
  }
  // The natural coordinates of a distribution are ln(p_k / p_last); those of the next step are the
  // mean of the coordinates of the halfway points to the members.
  std::vector<double> next(classes);
  for (int step = 0; step < kMostSteps; ++step) {
    std::ranges::fill(next, 0.0);
    for (std::size_t m = 0; m < members; ++m) {
      const double* const member = lifted.data() + m * classes;
      const double last = portable_log((centroid[classes - 1] + member[classes - 1]) / 2);
      for (std::size_t k = 0; k + 1 < classes; ++k) {
        next[k] +=
            (portable_log((centroid[k] + member[k]) / 2) - last) / static_cast<double>(members);
      }
    }
    double most = 0;
    for (const double value : next) most = std::max(most, value);
    double sum = 0;
    for (double& value : next) {
      value = portable_exp(value - most);
      sum += value;
    }
    double change = 0;
    for (std::size_t k = 0; k < classes; ++k) {
      next[k] /= sum;
      if (k + 1 < classes) change += std::abs(next[k] - centroid[k]);
      centroid[k] = next[k];
    }
    if (change < kSmallChange) return;
  }
}

SoftLabels centroid_labels(std::span<const SoftLabels> members, const Parallel& parallel) {
  SoftLabels result = mean_labels(members);
  constexpr std::size_t kItemsAtATime = 1024;
  const std::size_t blocks = (result.items + kItemsAtATime - 1) / kItemsAtATime;
  parallel_for(parallel, blocks, [&](std::size_t block, std::size_t) {
    std::vector<double> rows(members.size() * result.classes);
    const std::size_t end = std::min(result.items, (block + 1) * kItemsAtATime);
    for (std::size_t item = block * kItemsAtATime; item < end; ++item) {
      for (std::size_t m = 0; m < members.size(); ++m) {
        std::ranges::copy(members[m].row(item),
                          rows.begin() + static_cast<std::ptrdiff_t>(m * result.classes));
      }
      jensen_shannon_centroid(rows, result.row(item));
    }
  });
  return result;
}

}  // namespace amalgam::labels::soft
