#include "amalgam/labels/models/verifiers.hpp"

#include <algorithm>
#include <cmath>

#include "amalgam/core/interrupt.hpp"
#include "amalgam/labels/models/em.hpp"

namespace amalgam::labels::models {
namespace {

// The root of the mean size of a matrix's entries.
double typical_of(const WorkerPairs& matrix) {
  double sum = 0;
  for (const double value : matrix.values) sum += std::abs(value);
  const auto workers = static_cast<double>(matrix.workers());
  return std::sqrt(sum / (workers * workers));
}

std::vector<double> product(const WorkerPairs& matrix, std::span<const double> x,
                            const Parallel& parallel) {
  std::vector<double> image(x.size());
  parallel_for(parallel, x.size(), [&](std::size_t w, std::size_t) {
    double sum = 0;
    for (std::uint64_t i = matrix.begins[w]; i < matrix.begins[w + 1]; ++i) {
      sum += matrix.values[i] * x[matrix.others[i]];
    }
    image[w] = sum;
  });
  return image;
}

double dot(std::span<const double> x, std::span<const double> y) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

void scale(std::vector<double>& x, double factor) {
  for (double& value : x) value *= factor;
}

double largest_row_sum(const WorkerPairs& matrix) {
  double largest = 0;
  for (std::size_t w = 0; w < matrix.workers(); ++w) {
    double sum = 0;
    for (std::uint64_t i = matrix.begins[w]; i < matrix.begins[w + 1]; ++i) {
      sum += std::abs(matrix.values[i]);
    }
    largest = std::max(largest, sum);
  }
  return largest;
}

// The leading eigenvector, times the root of its eigenvalue, by power iterations, its sum not
// negative. Entries near 0, as those of workers who share no task with the leading ones, are
// lifted to the root of the mean size of the matrix's: from 0 nothing starts.
std::vector<double> start_of(const WorkerPairs& matrix, const Parallel& parallel) {
  constexpr int kIterations = 500;
  constexpr double kSmallChange = 1e-14;
  const double shift = largest_row_sum(matrix);
  const std::size_t workers = matrix.workers();
  std::vector<double> x = product(matrix, std::vector<double>(workers, 1), parallel);
  for (double& value : x) value += shift / static_cast<double>(workers);
  double change = 1;
  for (int i = 0; i < kIterations && change > kSmallChange && dot(x, x) > 0; ++i) {
    check_interrupt();
    scale(x, 1 / std::sqrt(dot(x, x)));
    std::vector<double> next = product(matrix, x, parallel);
    for (std::size_t w = 0; w < workers; ++w) next[w] += shift * x[w];
    const double length = std::sqrt(dot(next, next));
    change = 0;
    for (std::size_t w = 0; w < workers; ++w) {
      change = std::max(change, std::abs(next[w] / length - x[w]));
    }
    x = std::move(next);
  }
  const double square = dot(x, x);
  const double value = square > 0 ? dot(x, product(matrix, x, parallel)) / square : 0;
  scale(x, value > 0 ? std::sqrt(value / square) : 0);
  double sum = 0;
  for (const double entry : x) sum += entry;
  if (sum < 0) scale(x, -1);
  const double typical = typical_of(matrix);
  for (double& entry : x) {
    if (std::abs(entry) < typical / 10) entry = entry < 0 ? -typical : typical;
  }
  return x;
}

// The workers reached from `first` over common tasks, in two sides if there is no odd cycle among
// them.
struct Component {
  std::vector<Worker> sides[2];
  bool has_odd_cycle = false;
};
Component component_of(const WorkerPairs& pairs, Worker first, std::vector<int>& side) {
  Component component;
  std::vector<Worker> open{first};
  side[first] = 0;
  while (!open.empty()) {
    const Worker v = open.back();
    open.pop_back();
    const int mine = side[v];
    component.sides[mine].push_back(v);
    for (std::uint64_t i = pairs.begins[v]; i < pairs.begins[v + 1]; ++i) {
      int& other = side[pairs.others[i]];
      component.has_odd_cycle = component.has_odd_cycle || other == mine;
      if (other >= 0) continue;
      other = 1 - mine;
      open.push_back(pairs.others[i]);
    }
  }
  return component;
}

// Workers without a common task are told apart from no product: the sign of each component is the
// one with which its sum is not negative. Where only products of two sides are known, both get the
// same norm.
void settle_components(const WorkerPairs& pairs, std::vector<double>& u) {
  std::vector<int> side(u.size(), -1);
  for (std::size_t v = 0; v < u.size(); ++v) {
    if (side[v] >= 0) continue;
    const Component component = component_of(pairs, static_cast<Worker>(v), side);
    double squares[2] = {0, 0};
    double sum = 0;
    for (int s = 0; s < 2; ++s) {
      for (const Worker w : component.sides[s]) squares[s] += u[w] * u[w];
    }
    const bool free = !component.has_odd_cycle && squares[0] > 0 && squares[1] > 0;
    const double factor = free ? std::sqrt(std::sqrt(squares[1] / squares[0])) : 1;
    for (int s = 0; s < 2; ++s) {
      for (const Worker w : component.sides[s]) {
        u[w] *= s == 0 ? factor : 1 / factor;
        sum += u[w];
      }
    }
    if (sum >= 0) continue;
    for (const auto& one : component.sides) {
      for (const Worker w : one) u[w] = -u[w];
    }
  }
}

// The sum over triples of the product of three, from power sums.
double third_symmetric(double one, double two, double three) {
  return (one * one * one - 3 * one * two + 2 * three) / 6;
}

struct SkewSums {
  double above = 0;
  double below = 0;

  void combine(SkewSums&& right) {
    above += right.above;
    below += right.below;
  }
};

WorkerPairs covariances(const AnnotationTable& table, const Parallel& parallel) {
  enum { kMine, kOther, kBoth, kColumns };
  WorkerPairs pairs = worker_pairs("weaver", table, kColumns, parallel,
                                   [](Label mine, Label other, double weight, double* yes) {
                                     if (mine != 0) yes[kMine] += weight;
                                     if (other != 0) yes[kOther] += weight;
                                     if (mine != 0 && other != 0) yes[kBoth] += weight;
                                   });
  for (std::size_t i = 0; i < pairs.others.size(); ++i) {
    const double* yes = pairs.values.data() + i * kColumns;
    const double n = pairs.common[i];
    pairs.values[i] = yes[kBoth] / n - yes[kMine] / n * (yes[kOther] / n);
  }
  pairs.columns = 1;
  pairs.values.resize(pairs.others.size());
  return pairs;
}

}  // namespace

VerifierMoments verifier_moments(const AnnotationTable& table, const Parallel& parallel) {
  VerifierMoments moments;
  moments.means.assign(table.worker_count(), 0);
  const std::vector<double> all = annotation_weights(table);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.labels[row] != 0) moments.means[table.workers[row]] += table.weight(row);
  }
  for (std::size_t w = 0; w < all.size(); ++w) {
    moments.means[w] = all[w] > 0 ? moments.means[w] / all[w] : 0.5;
  }
  moments.covariance = covariances(table, parallel);
  return moments;
}

std::vector<double> rank_one_fit(const WorkerPairs& covariance, const Parallel& parallel) {
  constexpr int kMostSweeps = 10'000;
  constexpr double kSmall = 1e-14;
  std::vector<double> u = start_of(covariance, parallel);
  for (int sweep = 0; sweep < kMostSweeps; ++sweep) {
    check_interrupt();
    double change = 0;
    for (std::size_t v = 0; v < u.size(); ++v) {
      double above = 0;
      double below = 0;
      for (std::uint64_t i = covariance.begins[v]; i < covariance.begins[v + 1]; ++i) {
        const double weighted = covariance.common[i] * u[covariance.others[i]];
        above += weighted * covariance.values[i];
        below += weighted * u[covariance.others[i]];
      }
      const double next = below > 0 ? above / below : 0;
      change = std::max(change, std::abs(next - u[v]));
      u[v] = next;
    }
    if (change <= kSmall) break;
  }
  settle_components(covariance, u);
  return u;
}

std::optional<double> estimated_skew(const AnnotationTable& table, std::span<const double> means,
                                     std::span<const double> u, const Parallel& parallel) {
  const std::size_t leaves = leaves_for(table, sizeof(SkewSums));
  // Weighting the triples by the tasks that they share makes both sums ones over tasks.
  const SkewSums sums = *fold(parallel, leaves, [&](std::size_t leaf, std::size_t) {
    SkewSums part;
    const auto [begin, end] = leaf_range(table, leaf, leaves);
    for (Task task = begin; task < end; ++task) {
      const auto [first, last] = table.rows_of(task);
      double x[3] = {0, 0, 0};
      double squares[3] = {0, 0, 0};
      for (std::size_t row = first; row < last; ++row) {
        const Worker worker = table.workers[row];
        const double scaled = u[worker] * ((table.labels[row] != 0 ? 1 : 0) - means[worker]);
        const double square = u[worker] * u[worker];
        x[0] += scaled;
        x[1] += scaled * scaled;
        x[2] += scaled * scaled * scaled;
        squares[0] += square;
        squares[1] += square * square;
        squares[2] += square * square * square;
      }
      part.above += third_symmetric(x[0], x[1], x[2]);
      part.below += third_symmetric(squares[0], squares[1], squares[2]);
    }
    return part;
  });
  if (!(sums.below > 1e-30)) return std::nullopt;
  return sums.above / sums.below;
}

double share_of_skew(double skew) { return (1 - skew / std::sqrt(4 + skew * skew)) / 2; }

}  // namespace amalgam::labels::models
