#include "amalgam/weights/rules/coordinate_kernels.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/weights/rules/coordinate_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace amalgam::kernels::HWY_NAMESPACE {
namespace {

// Elements worked on at once: all members' values of a tile stay in the first-level cache, and
// every inner loop below runs over a tile with a fixed trip count, which the compiler vectorises.
constexpr std::size_t kTile = 64;

// Rows of a tile, aligned so that no vector straddles two cache lines.
template <class T>
class TileRows {
 public:
  explicit TileRows(std::size_t members) : rows_(members) {}
  T* row(std::size_t i) { return rows_[i].values; }
  const T* row(std::size_t i) const { return rows_[i].values; }
  void copy_from(const TileRows& other) {
    std::memcpy(rows_.data(), other.rows_.data(), rows_.size() * sizeof(Row));
  }

 private:
  struct alignas(64) Row {
    T values[kTile];
  };
  std::vector<Row> rows_;
};

template <class T>
struct Tile {
  explicit Tile(std::size_t members)
      : values(members), sorted(members), distances(members), sorted_distances(members) {}

  TileRows<T> values;  // of each member
  TileRows<T> sorted;
  TileRows<double> distances;
  TileRows<double> sorted_distances;
  alignas(64) double centre[kTile] = {};
  alignas(64) double result[kTile] = {};
  alignas(64) double base[kTile] = {};
};

template <class T>
HWY_INLINE void sort_tile(std::span<const Comparator> network, TileRows<T>& rows) {
  for (const Comparator& comparator : network) {
    T* HWY_RESTRICT const low = rows.row(comparator.low);
    T* HWY_RESTRICT const high = rows.row(comparator.high);
    for (std::size_t k = 0; k < kTile; ++k) {
      const T a = low[k];
      const T b = high[k];
      low[k] = b < a ? b : a;
      high[k] = b < a ? a : b;
    }
  }
}

template <class T>
HWY_INLINE void load_tile(std::span<const T* const> members, const T* base, std::size_t first,
                          std::size_t length, Tile<T>& tile) {
  for (std::size_t i = 0; i < members.size(); ++i) {
    T* const row = tile.values.row(i);
    std::memcpy(row, members[i] + first, length * sizeof(T));
    std::fill(row + length, row + kTile, T{0});
    if (base != nullptr) {
      for (std::size_t k = 0; k < length; ++k) row[k] -= base[first + k];
    }
  }
  if (base != nullptr) std::copy_n(base + first, length, tile.base);
}

// The sum of the order statistics [first, last], in member order: of values equal to the first and
// the last one, only some belong to them.
template <class T>
HWY_INLINE void sum_between(const CoordinateMean& plan, Tile<T>& tile) {
  const T* const low = tile.sorted.row(plan.first());
  const T* const high = tile.sorted.row(plan.last());
  T skip_low[kTile];
  T take_high[kTile];
  std::fill_n(skip_low, kTile, static_cast<T>(plan.first()));
  std::fill_n(take_high, kTile, static_cast<T>(plan.last() + 1));
  for (std::size_t i = 0; i < plan.members(); ++i) {
    const T* const row = tile.values.row(i);
    for (std::size_t k = 0; k < kTile; ++k) {
      skip_low[k] -= row[k] < low[k] ? T{1} : T{0};
      take_high[k] -= row[k] < high[k] ? T{1} : T{0};
    }
  }
  std::fill_n(tile.centre, kTile, 0.0);
  for (std::size_t i = 0; i < plan.members(); ++i) {
    const T* const row = tile.values.row(i);
    for (std::size_t k = 0; k < kTile; ++k) {
      const T at_low = row[k] == low[k] ? T{1} : T{0};
      const T at_high = row[k] == high[k] ? T{1} : T{0};
      const T above = skip_low[k] > T{0} ? T{0} : at_low;
      const T below = take_high[k] > T{0} ? at_high : T{0};
      const T from_low = row[k] > low[k] ? T{1} : above;
      const T to_high = row[k] < high[k] ? T{1} : below;
      skip_low[k] -= at_low;
      take_high[k] -= at_high;
      tile.centre[k] += from_low * to_high > T{0} ? static_cast<double>(row[k]) : 0.0;
    }
  }
}

template <class T>
HWY_INLINE void find_centre(const CoordinateMean& plan, Tile<T>& tile) {
  tile.sorted.copy_from(tile.values);
  sort_tile(plan.centre_network(), tile.sorted);
  const std::size_t number = plan.last() - plan.first() + 1;
  if (number > 2) {
    sum_between(plan, tile);
  } else {
    const T* const first = tile.sorted.row(plan.first());
    const T* const last = tile.sorted.row(plan.last());
    for (std::size_t k = 0; k < kTile; ++k) {
      const auto value = static_cast<double>(first[k]);
      tile.centre[k] = number == 1 ? value : value + static_cast<double>(last[k]);
    }
  }
  if (number == 1) return;
  for (std::size_t k = 0; k < kTile; ++k) tile.centre[k] /= static_cast<double>(number);
}

template <class T>
HWY_INLINE void mean_of_nearest(const CoordinateMean& plan, Tile<T>& tile) {
  const std::size_t n = plan.members();
  for (std::size_t i = 0; i < n; ++i) {
    const T* const row = tile.values.row(i);
    double* const distances = tile.distances.row(i);
    for (std::size_t k = 0; k < kTile; ++k) {
      distances[k] = std::abs(static_cast<double>(row[k]) - tile.centre[k]);
    }
  }
  tile.sorted_distances.copy_from(tile.distances);
  sort_tile(plan.distance_network(), tile.sorted_distances);
  const double* const limit = tile.sorted_distances.row(plan.keep() - 1);
  // What is nearer than the limit is kept; of what lies on it, the first ones.
  double places[kTile];
  std::fill_n(places, kTile, static_cast<double>(plan.keep()));
  for (std::size_t i = 0; i < n; ++i) {
    const double* const distances = tile.distances.row(i);
    for (std::size_t k = 0; k < kTile; ++k) places[k] -= distances[k] < limit[k] ? 1.0 : 0.0;
  }
  std::fill_n(tile.result, kTile, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    const T* const row = tile.values.row(i);
    const double* const distances = tile.distances.row(i);
    for (std::size_t k = 0; k < kTile; ++k) {
      const double on_limit = distances[k] == limit[k] ? 1.0 : 0.0;
      const double taken = places[k] > 0.0 ? on_limit : 0.0;
      places[k] -= taken;
      const double kept = distances[k] < limit[k] ? 1.0 : taken;
      tile.result[k] += kept > 0.0 ? static_cast<double>(row[k]) : 0.0;
    }
  }
  const auto number = static_cast<double>(plan.keep());
  for (std::size_t k = 0; k < kTile; ++k) tile.result[k] /= number;
}

// Comparisons with NaN are all false, which would lose values on the way.
template <class T>
HWY_INLINE void mark_nan(std::size_t members, Tile<T>& tile) {
  for (std::size_t i = 0; i < members; ++i) {
    const T* const row = tile.values.row(i);
    for (std::size_t k = 0; k < kTile; ++k) {
      tile.result[k] = row[k] == row[k] ? tile.result[k] : std::numeric_limits<double>::quiet_NaN();
    }
  }
}

template <class T>
void mean_by_tiles(const CoordinateMean& plan, std::span<const T* const> members, const T* base,
                   std::span<double> out) {
  Tile<T> tile(members.size());
  for (std::size_t first = 0; first < out.size(); first += kTile) {
    const std::size_t length = std::min(kTile, out.size() - first);
    load_tile(members, base, first, length, tile);
    find_centre(plan, tile);
    if (plan.keep() == 0) {
      std::memcpy(tile.result, tile.centre, sizeof tile.result);
    } else {
      mean_of_nearest(plan, tile);
    }
    mark_nan(members.size(), tile);
    if (base == nullptr) {
      std::copy_n(tile.result, length, out.data() + first);
    } else {
      for (std::size_t k = 0; k < length; ++k) out[first + k] = tile.base[k] + tile.result[k];
    }
  }
}

// HWY_EXPORT takes no templates.
void CoordinateFloat(const CoordinateMean& plan, std::span<const float* const> members,
                     const float* base, std::span<double> out) {
  mean_by_tiles(plan, members, base, out);
}
void CoordinateDouble(const CoordinateMean& plan, std::span<const double* const> members,
                      const double* base, std::span<double> out) {
  mean_by_tiles(plan, members, base, out);
}

}  // namespace
}  // namespace amalgam::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amalgam::kernels {
namespace {

HWY_EXPORT(CoordinateFloat);
HWY_EXPORT(CoordinateDouble);

}  // namespace

std::vector<Comparator> sorting_network(std::size_t n, std::span<const std::size_t> wanted) {
  std::vector<Comparator> all;
  for (std::size_t run = 1; run < n; run *= 2) {
    for (std::size_t step = run; step >= 1; step /= 2) {
      for (std::size_t begin = step % run; begin + step < n; begin += 2 * step) {
        for (std::size_t i = begin; i < std::min(begin + step, n - step); ++i) {
          // Both ends must belong to the same pair of runs that are being merged.
          if (i / (2 * run) != (i + step) / (2 * run)) continue;
          all.push_back({static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(i + step)});
        }
      }
    }
  }
  // Backwards: a comparator matters if one of its outputs does, and then both of its inputs do.
  std::vector<bool> matters(n);
  for (const std::size_t i : wanted) matters[i] = true;
  std::vector<Comparator> network;
  for (auto comparator = all.rbegin(); comparator != all.rend(); ++comparator) {
    if (!matters[comparator->low] && !matters[comparator->high]) continue;
    matters[comparator->low] = true;
    matters[comparator->high] = true;
    network.push_back(*comparator);
  }
  std::reverse(network.begin(), network.end());
  return network;
}

CoordinateMean::CoordinateMean(std::size_t members, std::size_t first, std::size_t last,
                               std::size_t keep)
    : members_(members), first_(first), last_(last), keep_(keep) {
  const std::size_t ends[] = {first, last};
  centre_network_ = sorting_network(members, ends);
  if (keep > 0) {
    const std::size_t limit[] = {keep - 1};
    distance_network_ = sorting_network(members, limit);
  }
}

CoordinateMean CoordinateMean::median(std::size_t members, std::size_t keep) {
  return {members, (members - 1) / 2, members / 2, keep};
}

void coordinate_mean(const CoordinateMean& plan, std::span<const float* const> members,
                     const float* base, std::span<double> out) {
  HWY_DYNAMIC_DISPATCH(CoordinateFloat)(plan, members, base, out);
}
void coordinate_mean(const CoordinateMean& plan, std::span<const double* const> members,
                     const double* base, std::span<double> out) {
  HWY_DYNAMIC_DISPATCH(CoordinateDouble)(plan, members, base, out);
}

}  // namespace amalgam::kernels
#endif
