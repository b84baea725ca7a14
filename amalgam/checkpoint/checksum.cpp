#include "amalgam/checkpoint/checksum.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <new>

namespace amalgam {
namespace {

XXH3_state_t* state_in(std::byte* place) {
  return std::launder(reinterpret_cast<XXH3_state_t*>(place));
}

const XXH3_state_t* state_in(const std::byte* place) {
  return std::launder(reinterpret_cast<const XXH3_state_t*>(place));
}

}  // namespace

Checksum::Checksum() {
  static_assert(sizeof(XXH3_state_t) <= kStateBytes && alignof(XXH3_state_t) <= kStateAlignment);
  XXH3_64bits_reset(new (static_cast<void*>(state_)) XXH3_state_t());
}

void Checksum::add(std::span<const std::byte> bytes) {
  XXH3_64bits_update(state_in(state_), bytes.data(), bytes.size());
}

std::uint64_t Checksum::value() const { return XXH3_64bits_digest(state_in(state_)); }

std::uint64_t checksum_of(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace amalgam
