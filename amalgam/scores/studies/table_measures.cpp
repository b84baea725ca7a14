#include "amalgam/scores/studies/table_measures.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "amalgam/core/error.hpp"
#include "amalgam/core/string_pool.hpp"

namespace amalgam::scores {
namespace {

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

double product(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

// How often each value is in two columns.
struct ValueCounts {
  std::vector<std::array<std::size_t, 2>> counts;  // by value
  std::array<std::size_t, 2> sizes{};
};

ValueCounts count_values(std::span<const std::string> first, std::span<const std::string> second) {
  StringPool pool;
  ValueCounts found;
  const auto add = [&](std::span<const std::string> column, std::size_t which) {
    for (const std::string& value : column) {
      if (value.empty()) continue;
      const std::uint32_t number = pool.add(value);
      if (number == found.counts.size()) found.counts.emplace_back();
      ++found.counts[number][which];
      ++found.sizes[which];
    }
  };
  add(first, 0);
  add(second, 1);
  return found;
}

// Vectors of norm 1, in double; those of norm 0 stay.
std::vector<double> directions(const Embeddings& embeddings) {
  std::vector<double> unit(embeddings.values.begin(), embeddings.values.end());
  for (std::size_t i = 0; i < embeddings.rows; ++i) {
    const double squares = product(embeddings.row(i), embeddings.row(i));
    if (squares <= 0) continue;
    const double norm = std::sqrt(squares);
    for (std::size_t c = 0; c < embeddings.dimension; ++c)
      unit[i * embeddings.dimension + c] /= norm;
  }
  return unit;
}

}  // namespace

double cosine(std::span<const float> a, std::span<const float> b) {
  const double squares = product(a, a) * product(b, b);
  if (squares <= 0) return kNothing;
  return std::clamp(product(a, b) / std::sqrt(squares), -1.0, 1.0);
}

double coefficient_of_variation(const Embeddings& population) {
  const auto n = static_cast<double>(population.rows);
  if (population.rows < 2) return kNothing;
  std::vector<double> mean(population.dimension, 0);
  double squares = 0;
  for (std::size_t i = 0; i < population.rows; ++i) {
    const std::span<const float> x = population.row(i);
    for (std::size_t c = 0; c < x.size(); ++c) mean[c] += x[c];
    squares += product(x, x);
  }
  double norm = 0;
  for (double& m : mean) {
    m /= n;
    norm += m * m;
  }
  if (!(norm >= 1e-12 * squares / n) || norm <= 0) return kNothing;
  // Projections of the differences from the mean: nothing is lost where all are nearly equal.
  double spread = 0;
  for (std::size_t i = 0; i < population.rows; ++i) {
    double projection = 0;
    for (std::size_t c = 0; c < mean.size(); ++c) {
      projection += mean[c] * (population.row(i)[c] - mean[c]);
    }
    spread += projection * projection;
  }
  return std::sqrt(spread / (n - 1)) / norm;
}

void CosineSummary::add(double cosine) {
  if (std::isnan(cosine)) {
    ++undefined_;
    return;
  }
  const double place = (std::clamp(cosine, -1.0, 1.0) + 1) / 2 * static_cast<double>(kBins);
  ++bins_[std::min(kBins - 1, static_cast<std::size_t>(place))];
  ++count_;
  sum_ += cosine;
}

void CosineSummary::combine(const CosineSummary& other) {
  for (std::size_t i = 0; i < kBins; ++i) bins_[i] += other.bins_[i];
  count_ += other.count_;
  undefined_ += other.undefined_;
  sum_ += other.sum_;
}

double CosineSummary::mean() const {
  return count_ == 0 ? kNothing : sum_ / static_cast<double>(count_);
}

double CosineSummary::quantile(double share) const {
  if (count_ == 0) return kNothing;
  const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(count_ - 1));
  std::uint64_t below = 0;
  std::size_t bin = 0;
  while (below + bins_[bin] <= wanted) below += bins_[bin++];
  return (static_cast<double>(bin) + 0.5) * 2 / static_cast<double>(kBins) - 1;
}

ColumnOverlap column_overlap(std::span<const std::string> first,
                             std::span<const std::string> second) {
  const ValueCounts found = count_values(first, second);
  if (found.sizes[0] == 0 || found.sizes[1] == 0) return {kNothing, kNothing, kNothing, kNothing};
  double of_first = 0;
  double common = 0;
  double least = 0;
  double most = 0;
  for (const auto& [a, b] : found.counts) {
    of_first += a > 0 ? 1 : 0;
    common += a > 0 && b > 0 ? 1 : 0;
    least += static_cast<double>(std::min(a, b));
    most += static_cast<double>(std::max(a, b));
  }
  return {.containment = common / of_first,
          .jaccard = common / static_cast<double>(found.counts.size()),
          .multiset_jaccard = least / static_cast<double>(found.sizes[0] + found.sizes[1]),
          .weighted_jaccard = least / most};
}

GroupSpread group_spread(std::span<const double> lengths, std::span<const std::uint32_t> groups) {
  // Welford's running mean and sum of squares.
  struct Moments {
    double count = 0;
    double mean = 0;
    double squares = 0;
  };
  std::map<std::uint32_t, Moments> moments;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    Moments& one = moments[groups[i]];
    one.count += 1;
    const double apart = lengths[i] - one.mean;
    one.mean += apart / one.count;
    one.squares += apart * (lengths[i] - one.mean);
  }
  GroupSpread spread;
  double sum = 0;
  for (const auto& [group, one] : moments) {
    if (one.count < 2) {
      ++spread.singles;
    } else {
      ++spread.groups;
      sum += one.squares / one.count;
    }
  }
  spread.mean = spread.groups == 0 ? kNothing : sum / static_cast<double>(spread.groups);
  spread.mean_with_singles = moments.empty() ? kNothing : sum / static_cast<double>(moments.size());
  return spread;
}

std::vector<std::vector<std::uint32_t>> nearest_rows(const Embeddings& embeddings,
                                                     std::span<const std::uint32_t> queries,
                                                     std::size_t k, bool include_self) {
  const std::size_t choices = embeddings.rows - (include_self || embeddings.rows == 0 ? 0 : 1);
  if (k == 0 || k > choices) {
    throw InputError("{} nearest neighbours among {} others; expected 1 to as many as there are", k,
                     choices);
  }
  const std::vector<double> unit = directions(embeddings);
  const std::size_t d = embeddings.dimension;
  std::vector<std::vector<std::uint32_t>> nearest;
  std::vector<double> similarity(embeddings.rows);
  for (const std::uint32_t query : queries) {
    std::vector<std::uint32_t> order;
    for (std::uint32_t i = 0; i < embeddings.rows; ++i) {
      if (i == query && !include_self) continue;
      double sum = 0;
      double norm = 0;
      for (std::size_t c = 0; c < d; ++c) {
        sum += unit[query * d + c] * unit[i * d + c];
        norm += unit[i * d + c] * unit[i * d + c];
      }
      similarity[i] = norm > 0 ? sum : -2;  // below every cosine
      order.push_back(i);
    }
    const auto nearer = [&](std::uint32_t a, std::uint32_t b) {
      return similarity[a] != similarity[b] ? similarity[a] > similarity[b] : a < b;
    };
    const auto end = order.begin() + static_cast<std::ptrdiff_t>(k);
    std::partial_sort(order.begin(), end, order.end(), nearer);
    order.erase(end, order.end());
    nearest.push_back(std::move(order));
  }
  return nearest;
}

std::vector<double> neighbour_overlap(const std::vector<std::vector<std::uint32_t>>& first,
                                      const std::vector<std::vector<std::uint32_t>>& second,
                                      std::size_t k) {
  std::vector<double> overlaps;
  for (std::size_t q = 0; q < first.size(); ++q) {
    const auto end = first[q].begin() + static_cast<std::ptrdiff_t>(k);
    double common = 0;
    for (std::size_t i = 0; i < k; ++i) {
      common += std::find(first[q].begin(), end, second[q][i]) != end ? 1 : 0;
    }
    overlaps.push_back(common / static_cast<double>(k));
  }
  return overlaps;
}

std::vector<double> entity_overlap(const std::vector<std::vector<std::uint32_t>>& first,
                                   const std::vector<std::vector<std::uint32_t>>& second,
                                   std::span<const std::uint32_t> entities, std::size_t k) {
  std::vector<double> overlaps;
  for (std::size_t q = 0; q < first.size(); ++q) {
    std::map<std::uint32_t, std::array<std::size_t, 2>> counts;
    for (std::size_t i = 0; i < k; ++i) {
      ++counts[entities[first[q][i]]][0];
      ++counts[entities[second[q][i]]][1];
    }
    double common = 0;
    for (const auto& [entity, both] : counts) {
      common += static_cast<double>(std::min(both[0], both[1]));
    }
    overlaps.push_back(common / static_cast<double>(k));
  }
  return overlaps;
}

double cluster_purity(std::span<const std::size_t> clusters,
                      std::span<const std::uint32_t> classes) {
  std::map<std::size_t, std::map<std::uint32_t, std::size_t>> counts;
  for (std::size_t i = 0; i < clusters.size(); ++i) ++counts[clusters[i]][classes[i]];
  std::size_t right = 0;
  for (const auto& [cluster, by_class] : counts) {
    std::size_t most = 0;
    for (const auto& [number, count] : by_class) most = std::max(most, count);
    right += most;
  }
  return clusters.empty() ? kNothing
                          : static_cast<double>(right) / static_cast<double>(clusters.size());
}

}  // namespace amalgam::scores
