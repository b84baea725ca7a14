#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace amalgam {

/// The 16 values of IQ4_NL's and IQ4_XS's levels, before the scale; denser near zero.
inline constexpr std::array<std::int8_t, 16> kIq4Levels = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/// Above middle k, level k + 1 is nearer than level k.
inline constexpr std::array<float, 15> kIq4Middles = [] {
  std::array<float, 15> middles{};
  for (std::size_t k = 0; k < middles.size(); ++k) {
    middles.at(k) = static_cast<float>(kIq4Levels.at(k) + kIq4Levels.at(k + 1)) / 2.0F;
  }
  return middles;
}();

}  // namespace amalgam
