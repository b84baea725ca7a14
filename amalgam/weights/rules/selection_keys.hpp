#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "amalgam/weights/rules/selection.hpp"

// What the parts of exact selection share.
namespace amalgam::rules {

inline std::uint64_t widened(std::uint32_t key) { return widen_key(key); }
inline std::uint64_t widened(std::uint64_t key) { return key; }

// How far to shift an offset into [low, high] so that it falls into one of `bins`.
inline int bin_shift(std::uint64_t low, std::uint64_t high, std::size_t bins) {
  int shift = 0;
  while (((high - low) >> shift) >= bins) ++shift;
  return shift;
}

template <class Key>
struct Ranked {
  Key key = 0;
  std::uint64_t greater = 0;  // how many are greater than `key`
  std::uint64_t equal = 0;
};

// The rank-th largest of `keys` (1-based): counts by the leading bits of their range, then settles
// among those that share them. Reads `keys` twice and changes nothing.
template <class Key>
Ranked<Key> kth_largest(std::span<const Key> keys, std::uint64_t rank) {
  constexpr std::size_t kBins = 4096;
  const auto [low, high] = std::ranges::minmax(keys);
  const int shift = bin_shift(low, high, kBins);
  std::vector<std::uint64_t> counts(kBins);
  for (const Key key : keys) ++counts[static_cast<std::size_t>((key - low) >> shift)];
  Ranked<Key> result;
  std::size_t bin = kBins - 1;
  while (rank > result.greater + counts[bin]) result.greater += counts[bin--];
  std::vector<Key> rest;
  rest.reserve(counts[bin]);
  for (const Key key : keys) {
    if (static_cast<std::size_t>((key - low) >> shift) == bin) rest.push_back(key);
  }
  const auto nth = rest.begin() + static_cast<std::ptrdiff_t>(rank - result.greater - 1);
  std::ranges::nth_element(rest, nth, std::greater<>());
  result.key = *nth;
  for (const Key key : rest) {
    result.greater += key > result.key ? 1 : 0;
    result.equal += key == result.key ? 1 : 0;
  }
  return result;
}

}  // namespace amalgam::rules
