#include "amalgam/weights/rules/scaled_keys.hpp"

#include <bit>
#include <cmath>
#include <limits>

namespace amalgam::rules {
namespace {

constexpr std::uint64_t kLargestKey = ~std::uint64_t{0} >> 1;
constexpr std::uint32_t kLargestFloatKey = ~std::uint32_t{0} >> 1;
constexpr std::uint64_t kInfinity = 0x7FF0'0000'0000'0000;
constexpr std::uint32_t kFloatInfinity = 0x7F80'0000;

// The smallest key of a float, NaN aside, whose scaled key is at least `key`; that of infinity + 1
// if none is. The quotient is right to within a few roundings.
std::optional<std::uint32_t> least_reaching(std::uint64_t key, double scale) {
  constexpr int kSteps = 4;
  const double quotient = std::bit_cast<double>(key) / scale;
  // Beyond the range of floats by a rounding, or by far.
  const auto nearest = quotient > std::numeric_limits<float>::max()
                           ? std::numeric_limits<float>::infinity()
                           : static_cast<float>(quotient);
  auto found = std::bit_cast<std::uint32_t>(nearest);
  for (int step = 0; step < kSteps; ++step) {
    if (found <= kFloatInfinity && scaled_key(found, scale) < key) {
      ++found;
    } else if (found > 0 && scaled_key(found - 1, scale) >= key) {
      --found;
    } else {
      return found;
    }
  }
  return std::nullopt;
}

}  // namespace

std::uint64_t scaled_key(std::uint32_t key, double scale) {
  return std::bit_cast<std::uint64_t>(static_cast<double>(std::bit_cast<float>(key)) * scale);
}

void scale_keys(std::span<const std::uint32_t> keys, double scale, std::uint64_t* keys64) {
  for (std::size_t i = 0; i < keys.size(); ++i) keys64[i] = scaled_key(keys[i], scale);
}

std::optional<ScaledBracket> scaled_bracket(std::uint64_t low, std::uint64_t high, double scale) {
  const bool open = high == kLargestKey;
  if (!(scale > 0) || !std::isfinite(scale)) return std::nullopt;
  if (low > kInfinity || (!open && high >= kInfinity)) return std::nullopt;
  const std::optional<std::uint32_t> first = least_reaching(low, scale);
  if (!first) return std::nullopt;
  if (open) return ScaledBracket{*first, kLargestFloatKey};
  const std::optional<std::uint32_t> beyond = least_reaching(high + 1, scale);
  if (!beyond || *beyond == 0) return std::nullopt;
  return ScaledBracket{*first, *beyond - 1};
}

}  // namespace amalgam::rules
