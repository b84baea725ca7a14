#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace amalgam::rules {

/// Keys are the bits of non-negative floating-point numbers (32 of a float, 64 of a double), which
/// order as the numbers do; NaN comes after infinity.

/// keys[i] = the bits of |x[i] - base[i]|, the difference in the type of the inputs.
void magnitude_keys(std::span<const float> x, const float* base, std::uint32_t* keys);
void magnitude_keys(std::span<const double> x, const double* base, std::uint64_t* keys);

/// keys[i] = the bits of |x[i]|.
void absolute_keys(std::span<const double> x, std::uint64_t* keys);

/// The largest tile tally_keys takes.
inline constexpr std::size_t kKeyTile = 1024;
/// How many keys tally_keys may write beyond those it reports.
inline constexpr std::size_t kKeySlack = 64;

struct KeyTally {
  std::size_t above = 0;   ///< keys > high
  std::size_t inside = 0;  ///< low <= key <= high
};
/// Counts keys (at most kKeyTile) against the bracket [low, high]; if `kept` is not null, writes
/// the keys inside to it in order (room for keys.size() + kKeySlack).
KeyTally tally_keys(std::span<const std::uint32_t> keys, std::uint32_t low, std::uint32_t high,
                    std::uint32_t* kept);
KeyTally tally_keys(std::span<const std::uint64_t> keys, std::uint64_t low, std::uint64_t high,
                    std::uint64_t* kept);

}  // namespace amalgam::rules
