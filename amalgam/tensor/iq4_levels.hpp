#pragma once

#include <array>
#include <cstdint>

namespace amalgam {

/// The 16 values of IQ4_NL's and IQ4_XS's levels, before the scale; denser near zero.
inline constexpr std::array<std::int8_t, 16> kIq4Levels = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

}  // namespace amalgam
