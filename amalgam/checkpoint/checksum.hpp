#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace amalgam {

/// The XXH3 hash (64 bits, seed 0) of bytes that come in pieces: it finds damage, as fast as memory
/// is read, and is no protection against forgery.
class Checksum {
 public:
  Checksum();
  void add(std::span<const std::byte> bytes);
  std::uint64_t value() const;

 private:
  // The state of xxHash, which stays out of this header.
  static constexpr std::size_t kStateBytes = 576;
  static constexpr std::size_t kStateAlignment = 64;
  alignas(kStateAlignment) std::byte state_[kStateBytes];
};

/// The same of bytes that are all there.
std::uint64_t checksum_of(std::span<const std::byte> bytes);

}  // namespace amalgam
