#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace amalgam::rules {

/// The random numbers of one member over one output tensor: element e (row-major index) has word
/// e mod 4 of Philox4x32-10 at counter (low32(e / 4), high32(e / 4), member, 0) under the key
/// fnv1a64(output tensor name) XOR seed, low word first. Nothing else enters, so that anyone can
/// recompute a mask (formats/recipes.md section 3).
struct MaskStream {
  std::array<std::uint32_t, 2> key{};
  std::uint32_t member = 0;  ///< position of the member, the base not counted
};
MaskStream mask_stream(std::string_view tensor, std::uint64_t seed, std::size_t member);

/// Writes the words of elements first, first + 1, ...
void random_words(const MaskStream& stream, std::uint64_t first, std::span<std::uint32_t> out);

/// The largest word for which word * 2^-32 < p holds in double; p in (0, 1]. Words up to it are
/// kept.
std::uint32_t last_kept_word(double p);

}  // namespace amalgam::rules
