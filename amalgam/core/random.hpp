#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace amalgam {

/// One block of Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC
/// 2011): four 32-bit words that depend only on the key and the counter.
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 2> key,
                                        std::array<std::uint32_t, 4> counter);

/// FNV-1a, 64 bits, of the bytes of `text`.
constexpr std::uint64_t fnv1a64(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3ULL;
  }
  return hash;
}

/// The 64-bit Philox key of stream `what` under `seed`: fnv1a64(what) XOR seed, low word first.
constexpr std::array<std::uint32_t, 2> stream_key(std::string_view what, std::uint64_t seed) {
  const std::uint64_t key = fnv1a64(what) ^ seed;
  return {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)};
}

/// A sequence of random numbers that is a pure function of (seed, what, index of the draw).
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, std::string_view what) : key_(stream_key(what, seed)) {}

  /// The next 32 uniform bits.
  std::uint32_t next();
  /// Uniform on [0, 1) with 53 bits.
  double uniform();
  /// Uniform on {0, ..., bound - 1} without bias; bound >= 1.
  std::uint64_t below(std::uint64_t bound);
  /// Standard normal (Box-Muller).
  double normal();

 private:
  std::array<std::uint32_t, 2> key_;
  std::uint64_t block_ = 0;
  std::array<std::uint32_t, 4> words_{};
  unsigned used_ = 4;
};

}  // namespace amalgam
