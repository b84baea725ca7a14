#include "amalgam/core/k_means.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"

namespace amalgam {
namespace {

double squared_distance(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (std::size_t c = 0; c < a.size(); ++c) sum += (a[c] - b[c]) * (a[c] - b[c]);
  return sum;
}

RowMatrix spread_centres(const RowMatrix& features, std::size_t clusters, RandomStream& random) {
  RowMatrix centres(clusters, features.columns);
  std::vector<double> distances(features.rows, std::numeric_limits<double>::infinity());
  std::size_t chosen = random.below(features.rows);
  for (std::size_t k = 0; k < clusters; ++k) {
    std::ranges::copy(features.row(chosen), centres.row(k).begin());
    double total = 0;
    for (std::size_t i = 0; i < features.rows; ++i) {
      distances[i] = std::min(distances[i], squared_distance(features.row(i), centres.row(k)));
      total += distances[i];
    }
    // In proportion to the squared distance; any row if all are centres already.
    double left = random.uniform() * total;
    chosen = random.below(features.rows);
    for (std::size_t i = 0; total > 0 && i < features.rows; ++i) {
      if (distances[i] > 0) chosen = i;
      left -= distances[i];
      if (left < 0) break;
    }
  }
  return centres;
}

class Lloyd {
 public:
  Lloyd(const RowMatrix& features, RowMatrix centres) : features_(features) {
    result_.centres = std::move(centres);
    result_.clusters.assign(features.rows, 0);
    distances_.resize(features.rows);
  }

  KMeans run() {
    constexpr std::size_t kIterations = 300;
    assign();
    for (std::size_t i = 0; i < kIterations; ++i) {
      move_centres();
      if (!assign()) break;
    }
    return std::move(result_);
  }

 private:
  // Whether a row changed its cluster.
  bool assign() {
    bool changed = false;
    result_.inertia = 0;
    for (std::size_t i = 0; i < features_.rows; ++i) {
      const std::size_t nearest = nearest_centre(result_.centres, features_.row(i));
      changed = changed || nearest != result_.clusters[i];
      result_.clusters[i] = nearest;
      distances_[i] = squared_distance(features_.row(i), result_.centres.row(nearest));
      result_.inertia += distances_[i];
    }
    return changed;
  }

  void move_centres() {
    std::vector<std::size_t> sizes(result_.centres.rows);
    for (const std::size_t cluster : result_.clusters) ++sizes[cluster];
    for (std::size_t k = 0; k < sizes.size(); ++k) {
      if (sizes[k] > 0) continue;
      const auto farthest =
          static_cast<std::size_t>(std::ranges::max_element(distances_) - distances_.begin());
      if (sizes[result_.clusters[farthest]] == 1) continue;
      --sizes[result_.clusters[farthest]];
      result_.clusters[farthest] = k;
      distances_[farthest] = 0;
      sizes[k] = 1;
    }
    for (std::size_t k = 0; k < sizes.size(); ++k) {
      if (sizes[k] > 0) std::ranges::fill(result_.centres.row(k), 0.0);
    }
    for (std::size_t i = 0; i < features_.rows; ++i) {
      const std::span<double> centre = result_.centres.row(result_.clusters[i]);
      const auto size = static_cast<double>(sizes[result_.clusters[i]]);
      for (std::size_t c = 0; c < centre.size(); ++c) centre[c] += features_.at(i, c) / size;
    }
  }

  const RowMatrix& features_;
  KMeans result_;
  std::vector<double> distances_;
};

}  // namespace

std::size_t nearest_centre(const RowMatrix& centres, std::span<const double> row) {
  std::size_t nearest = 0;
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t k = 0; k < centres.rows; ++k) {
    const double distance = squared_distance(centres.row(k), row);
    if (distance < least) {
      least = distance;
      nearest = k;
    }
  }
  return nearest;
}

KMeans k_means(const RowMatrix& features, std::size_t clusters, std::uint64_t seed,
               std::size_t restarts) {
  check_finite(features, "k-means");
  if (clusters == 0 || restarts == 0 || features.rows < clusters) {
    throw InputError(
        "k-means: {} clusters of {} rows, {} starts; expected at least one each and no"
        " more clusters than rows",
        clusters, features.rows, restarts);
  }
  KMeans best;
  best.inertia = std::numeric_limits<double>::infinity();
  for (std::size_t start = 0; start < restarts; ++start) {
    RandomStream random(seed, fmt::format("k-means {}", start));
    KMeans one = Lloyd(features, spread_centres(features, clusters, random)).run();
    if (one.inertia < best.inertia) best = std::move(one);
  }
  return best;
}

}  // namespace amalgam
