#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

// Kernels of MAGPRUNE over rows, compiled for every SIMD target. Keys are those of magnitudes (see
// selection_kernels.hpp), words random numbers.
namespace amalgam::rules {

/// How many indices decide_words may write beyond those it reports.
inline constexpr std::size_t kOpenSlack = 64;

/// Makes words up to `surely` 0 (kept) and those above `perhaps` 2^32 - 1 (dropped); writes the
/// indices of the others to `open` (room for words.size() + kOpenSlack), in order, and returns how
/// many.
std::size_t decide_words(std::span<std::uint32_t> words, std::uint32_t surely,
                         std::uint32_t perhaps, std::uint32_t* open);

/// A bound that few magnitudes exceed, an eighth at most, however large some of them are: the
/// least of their largest and eight times their mean. NaN possibly, where one is.
double usual_bound(std::span<const std::uint32_t> keys);
double usual_bound(std::span<const std::uint64_t> keys);

/// bucket[i] = magnitude i times `scale`, rounded down, but at most `last`, and `last` for NaN: a
/// larger key has no lower bucket, whatever the scale.
void bucket_keys(std::span<const std::uint32_t> keys, double scale, std::uint32_t last,
                 std::uint32_t* bucket);
void bucket_keys(std::span<const std::uint64_t> keys, double scale, std::uint32_t last,
                 std::uint32_t* bucket);

/// How many of `elements` come before `element` by ascending key, equal ones by index.
std::size_t elements_before(std::span<const std::uint32_t> elements, const std::uint32_t* keys,
                            std::uint32_t element);
std::size_t elements_before(std::span<const std::uint32_t> elements, const std::uint64_t* keys,
                            std::uint32_t element);

}  // namespace amalgam::rules
