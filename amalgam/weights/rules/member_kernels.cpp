#include "amalgam/weights/rules/member_kernels.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/weights/rules/member_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace amalgam::kernels::HWY_NAMESPACE {
namespace {

constexpr std::size_t kLanes = 16;
// Elements of every member that are widened at once: a tile of a few members stays in the
// first-level cache while all its pairs are summed.
constexpr std::size_t kTile = 256;

// Sixteen doubles, which the compiler maps to the vectors of each target; every operation is by
// element, so that the bits cannot depend on the target.
using Lanes = double __attribute__((vector_size(kLanes * sizeof(double))));

template <class T>
HWY_INLINE void load(const T* x, Lanes& out) {
  using Raw = T __attribute__((vector_size(kLanes * sizeof(T))));
  Raw raw;
  std::memcpy(&raw, x, sizeof raw);
  out = __builtin_convertvector(raw, Lanes);
}

template <class T>
HWY_INLINE void load_difference(const T* x, const T* base, Lanes& out) {
  using Raw = T __attribute__((vector_size(kLanes * sizeof(T))));
  Raw raw;
  Raw raw_base;
  std::memcpy(&raw, x, sizeof raw);
  std::memcpy(&raw_base, base, sizeof raw_base);
  raw = raw - raw_base;
  out = __builtin_convertvector(raw, Lanes);
}

template <class T>
HWY_INLINE void load_contribution(const T* x, const T* base, std::size_t at, Lanes& out) {
  if (base == nullptr) {
    load(x + at, out);
  } else {
    load_difference(x + at, base + at, out);
  }
}

// The last elements, fewer than a vector: zeros follow, which add nothing to a sum.
template <class T>
HWY_INLINE void load_tail(const T* x, const T* base, std::size_t at, std::size_t count,
                          Lanes& out) {
  T values[kLanes] = {};
  T bases[kLanes] = {};
  std::memcpy(values, x + at, count * sizeof(T));
  if (base != nullptr) std::memcpy(bases, base + at, count * sizeof(T));
  load_difference(values, bases, out);
}

// The tree of tensor/kernels.hpp.
HWY_INLINE double reduce(const Lanes& lanes) {
  double l[kLanes];
  std::memcpy(l, &lanes, sizeof l);
  for (std::size_t width = kLanes / 2; width > 1; width /= 2) {
    for (std::size_t j = 0; j < width; ++j) l[j] += l[j + width];
  }
  return l[0] + l[1];
}

template <bool kDistance>
HWY_INLINE void add_pair(const Lanes& a, const Lanes& b, Lanes& sum) {
  if constexpr (kDistance) {
    const Lanes d = a - b;
    sum += d * d;
  } else {
    sum += a * b;
  }
}

// Two members: everything stays in registers.
template <bool kDistance, class T>
void add_two(const T* a, const T* b, const T* base, std::size_t count, double* sums) {
  Lanes aa = {};
  Lanes ab = {};
  Lanes bb = {};
  Lanes va;
  Lanes vb;
  std::size_t k = 0;
  for (; k + kLanes <= count; k += kLanes) {
    load_contribution(a, base, k, va);
    load_contribution(b, base, k, vb);
    add_pair<kDistance>(va, vb, ab);
    if constexpr (!kDistance) {
      add_pair<kDistance>(va, va, aa);
      add_pair<kDistance>(vb, vb, bb);
    }
  }
  if (k < count) {
    load_tail(a, base, k, count - k, va);
    load_tail(b, base, k, count - k, vb);
    add_pair<kDistance>(va, vb, ab);
    if constexpr (!kDistance) {
      add_pair<kDistance>(va, va, aa);
      add_pair<kDistance>(vb, vb, bb);
    }
  }
  sums[1] += reduce(ab);
  if constexpr (!kDistance) {
    sums[0] += reduce(aa);
    sums[2] += reduce(bb);
  }
}

// Sums of one row of pairs, (i, j) and (i, j + 1), over one tile.
template <bool kDistance, std::size_t kColumns>
HWY_INLINE void add_tile(const double* a, const double* b, std::size_t vectors, double* lanes) {
  Lanes sums[kColumns];
  std::memcpy(sums, lanes, sizeof sums);
  Lanes va;
  Lanes vb;
  for (std::size_t v = 0; v < vectors; ++v) {
    load(a + v * kLanes, va);
    for (std::size_t c = 0; c < kColumns; ++c) {
      load(b + c * kTile + v * kLanes, vb);
      add_pair<kDistance>(va, vb, sums[c]);
    }
  }
  std::memcpy(lanes, sums, sizeof sums);
}

template <bool kDistance, class T>
void add_pairs(std::span<const T* const> members, const T* base, std::size_t count,
               PairScratch& scratch, double* sums) {
  const std::size_t n = members.size();
  if (n == 2) {
    add_two<kDistance>(members[0], members[1], base, count, sums);
    return;
  }
  const std::size_t pairs = pair_count(n);
  // Aligned, so that no vector straddles two cache lines.
  constexpr std::size_t kLine = 64;
  scratch.resize(std::max(scratch.size(), n * kTile + pairs * kLanes + kLine / sizeof(double)));
  void* memory = scratch.data();
  std::size_t space = scratch.size() * sizeof(double);
  auto* const tile = static_cast<double*>(std::align(kLine, kLine, memory, space));
  double* const lanes = tile + n * kTile;
  std::fill(lanes, lanes + pairs * kLanes, 0.0);
  for (std::size_t first = 0; first < count; first += kTile) {
    const std::size_t length = std::min(kTile, count - first);
    const std::size_t vectors = (length + kLanes - 1) / kLanes;
    for (std::size_t i = 0; i < n; ++i) {
      Lanes values;
      for (std::size_t v = 0; v < vectors; ++v) {
        const std::size_t at = first + v * kLanes;
        if (at + kLanes <= count) {
          load_contribution(members[i], base, at, values);
        } else {
          load_tail(members[i], base, at, count - at, values);
        }
        std::memcpy(tile + i * kTile + v * kLanes, &values, sizeof values);
      }
    }
    for (std::size_t i = 0; i < n; ++i) {
      std::size_t j = kDistance ? i + 1 : i;
      const double* const row = tile + i * kTile;
      for (; j + 2 <= n; j += 2) {
        add_tile<kDistance, 2>(row, tile + j * kTile, vectors,
                               lanes + pair_index(i, j, n) * kLanes);
      }
      if (j < n) {
        add_tile<kDistance, 1>(row, tile + j * kTile, vectors,
                               lanes + pair_index(i, j, n) * kLanes);
      }
    }
  }
  for (std::size_t pair = 0; pair < pairs; ++pair) {
    Lanes sum;
    load(lanes + pair * kLanes, sum);
    sums[pair] += reduce(sum);
  }
}

template <class T>
void sum_weighted(std::span<const T* const> members, const T* base, std::span<const double> weights,
                  std::span<double> out) {
  const std::size_t count = out.size();
  std::size_t k = 0;
  Lanes sum;
  Lanes value;
  for (; k + kLanes <= count; k += kLanes) {
    load_contribution(members[0], base, k, value);
    sum = weights[0] * value;
    for (std::size_t i = 1; i < members.size(); ++i) {
      load_contribution(members[i], base, k, value);
      sum += weights[i] * value;
    }
    if (base != nullptr) {
      load(base + k, value);
      sum = value + sum;
    }
    std::memcpy(out.data() + k, &sum, sizeof sum);
  }
  for (; k < count; ++k) {
    const auto at = [&](std::size_t i) {
      return static_cast<double>(base == nullptr ? members[i][k] : members[i][k] - base[k]);
    };
    double total = weights[0] * at(0);
    for (std::size_t i = 1; i < members.size(); ++i) total += weights[i] * at(i);
    out[k] = base == nullptr ? total : static_cast<double>(base[k]) + total;
  }
}

template <class T>
double squares_about(std::span<const T> x, double centre) {
  Lanes sum = {};
  Lanes value;
  std::size_t k = 0;
  for (; k + kLanes <= x.size(); k += kLanes) {
    load(x.data() + k, value);
    value = value - centre;
    sum += value * value;
  }
  if (k < x.size()) {
    double tail[kLanes] = {};
    for (std::size_t j = 0; k + j < x.size(); ++j) tail[j] = x[k + j] - centre;
    load(tail, value);
    sum += value * value;
  }
  return reduce(sum);
}

// HWY_EXPORT takes no templates.
void ProductsFloat(std::span<const float* const> m, const float* base, std::size_t count,
                   PairScratch& scratch, double* sums) {
  add_pairs<false>(m, base, count, scratch, sums);
}
void ProductsDouble(std::span<const double* const> m, const double* base, std::size_t count,
                    PairScratch& scratch, double* sums) {
  add_pairs<false>(m, base, count, scratch, sums);
}
void DistancesFloat(std::span<const float* const> m, std::size_t count, PairScratch& scratch,
                    double* sums) {
  add_pairs<true, float>(m, nullptr, count, scratch, sums);
}
void DistancesDouble(std::span<const double* const> m, std::size_t count, PairScratch& scratch,
                     double* sums) {
  add_pairs<true, double>(m, nullptr, count, scratch, sums);
}
void WeightedFloat(std::span<const float* const> m, const float* base,
                   std::span<const double> weights, std::span<double> out) {
  sum_weighted(m, base, weights, out);
}
void WeightedDouble(std::span<const double* const> m, const double* base,
                    std::span<const double> weights, std::span<double> out) {
  sum_weighted(m, base, weights, out);
}
double SquaresFloat(std::span<const float> x, double centre) { return squares_about(x, centre); }
double SquaresDouble(std::span<const double> x, double centre) { return squares_about(x, centre); }

}  // namespace
}  // namespace amalgam::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amalgam::kernels {
namespace {

HWY_EXPORT(ProductsFloat);
HWY_EXPORT(ProductsDouble);
HWY_EXPORT(DistancesFloat);
HWY_EXPORT(DistancesDouble);
HWY_EXPORT(WeightedFloat);
HWY_EXPORT(WeightedDouble);
HWY_EXPORT(SquaresFloat);
HWY_EXPORT(SquaresDouble);

}  // namespace

void add_products(std::span<const float* const> members, const float* base, std::size_t count,
                  PairScratch& scratch, std::span<double> sums) {
  HWY_DYNAMIC_DISPATCH(ProductsFloat)(members, base, count, scratch, sums.data());
}
void add_products(std::span<const double* const> members, const double* base, std::size_t count,
                  PairScratch& scratch, std::span<double> sums) {
  HWY_DYNAMIC_DISPATCH(ProductsDouble)(members, base, count, scratch, sums.data());
}
void add_squared_distances(std::span<const float* const> members, std::size_t count,
                           PairScratch& scratch, std::span<double> sums) {
  HWY_DYNAMIC_DISPATCH(DistancesFloat)(members, count, scratch, sums.data());
}
void add_squared_distances(std::span<const double* const> members, std::size_t count,
                           PairScratch& scratch, std::span<double> sums) {
  HWY_DYNAMIC_DISPATCH(DistancesDouble)(members, count, scratch, sums.data());
}
void weighted_sum(std::span<const float* const> members, std::span<const double> weights,
                  std::span<double> out) {
  HWY_DYNAMIC_DISPATCH(WeightedFloat)(members, nullptr, weights, out);
}
void weighted_sum(std::span<const double* const> members, std::span<const double> weights,
                  std::span<double> out) {
  HWY_DYNAMIC_DISPATCH(WeightedDouble)(members, nullptr, weights, out);
}
void weighted_difference_sum(std::span<const float* const> members, const float* base,
                             std::span<const double> weights, std::span<double> out) {
  HWY_DYNAMIC_DISPATCH(WeightedFloat)(members, base, weights, out);
}
void weighted_difference_sum(std::span<const double* const> members, const double* base,
                             std::span<const double> weights, std::span<double> out) {
  HWY_DYNAMIC_DISPATCH(WeightedDouble)(members, base, weights, out);
}
double sum_squares_about(std::span<const float> x, double centre) {
  return HWY_DYNAMIC_DISPATCH(SquaresFloat)(x, centre);
}
double sum_squares_about(std::span<const double> x, double centre) {
  return HWY_DYNAMIC_DISPATCH(SquaresDouble)(x, centre);
}

}  // namespace amalgam::kernels
#endif
