#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

// DELLA's MAGPRUNE (Deep et al. 2024, arXiv 2406.11617, section 3.1): within a row, the keep
// probability grows with the rank of the magnitude.
namespace amalgam::rules {

/// Memory that ranking works in; kept between calls.
struct RankScratch {
  std::vector<std::uint32_t> open;
  std::vector<std::uint32_t> bucket_of;
  std::vector<std::uint32_t> starts;
  std::vector<std::uint32_t> next;
  std::vector<std::uint32_t> order;
  std::vector<char> bucket_seen;
};

/// For rows of `row` elements: the element of ascending rank r (1-based, ties by index) is kept if
/// its random number u = word * 2^-32 is below (density - epsilon) + 2 epsilon (r - 1) / (row - 1);
/// in rows of one element, below density. `keys` are the keys of |d| (see selection_kernels.hpp)
/// and `words` the elements' random words, whole rows of both. On return words[i] is 0 where
/// element i is kept and 2^32 - 1 where it is dropped. Requires 0 < density - epsilon, density +
/// epsilon < 1.
void magprune(std::span<const std::uint32_t> keys, std::size_t row, double density, double epsilon,
              std::span<std::uint32_t> words, RankScratch& scratch);
void magprune(std::span<const std::uint64_t> keys, std::size_t row, double density, double epsilon,
              std::span<std::uint32_t> words, RankScratch& scratch);

}  // namespace amalgam::rules
