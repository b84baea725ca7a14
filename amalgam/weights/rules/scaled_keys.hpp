#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace amalgam::rules {

/// The key of a float's value times `scale`, as a double (selection_kernels.hpp says what keys
/// are).
std::uint64_t scaled_key(std::uint32_t key, double scale);

/// keys64[i] = scaled_key(keys[i], scale).
void scale_keys(std::span<const std::uint32_t> keys, double scale, std::uint64_t* keys64);

/// Keys of floats from `low` to `high`; none if `low` is greater.
struct ScaledBracket {
  std::uint32_t low = 0;
  std::uint32_t high = 0;
};

/// The keys of floats whose scaled_key lies in [low, high], so that floats can be compared instead
/// of their products: these are rounded, but keep their order. NaN lies above everything that is
/// none. Nothing if there is no such bracket, or none that is found soon: a scale that is not a
/// positive number, bounds that are NaN, products too small for all digits. `high` may be the
/// largest key, which means that nothing lies above.
std::optional<ScaledBracket> scaled_bracket(std::uint64_t low, std::uint64_t high, double scale);

}  // namespace amalgam::rules
