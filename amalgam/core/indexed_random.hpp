#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/random.hpp"

namespace amalgam {

/// Random numbers in any order: the number at an index is a pure function of (seed, what, index),
/// with the same bits on every processor. For tensors that are made while they are written.
class IndexedRandom {
 public:
  IndexedRandom(std::uint64_t seed, std::string_view what) : key_(stream_key(what, seed)) {}

  /// Uniform on [0, 1) with 53 bits: words 2 (index mod 2) and the next one of the Philox block at
  /// counter (low32(index / 2), high32(index / 2), 0, 0), the first one high.
  double uniform(std::uint64_t index) const {
    const Words words = block(index / 2, 0, 0);
    return index % 2 == 0 ? unit(words[0], words[1]) : unit(words[2], words[3]);
  }

  /// Standard normal (Marsaglia's polar method): both coordinates of the first point in the unit
  /// disk among those that blocks (low32(index / 2), high32(index / 2), attempt, 1) give.
  double normal(std::uint64_t index) const {
    for (std::uint32_t attempt = 0;; ++attempt) {
      const Words words = block(index / 2, attempt, 1);
      const double u = 2 * unit(words[0], words[1]) - 1;
      const double v = 2 * unit(words[2], words[3]) - 1;
      const double square = u * u + v * v;
      if (square >= 1 || square <= 0) continue;
      const double factor = std::sqrt(-2 * portable_log(square) / square);
      return (index % 2 == 0 ? u : v) * factor;
    }
  }

 private:
  using Words = std::array<std::uint32_t, 4>;

  Words block(std::uint64_t number, std::uint32_t attempt, std::uint32_t kind) const {
    return philox4x32(key_, {static_cast<std::uint32_t>(number),
                             static_cast<std::uint32_t>(number >> 32), attempt, kind});
  }
  static double unit(std::uint32_t high, std::uint32_t low) {
    return static_cast<double>(((std::uint64_t{high} << 32) | low) >> 11) * 0x1p-53;
  }

  std::array<std::uint32_t, 2> key_;
};

}  // namespace amalgam
