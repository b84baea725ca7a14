#pragma once

#include <cstddef>
#include <cstdint>

#include "amalgam/checkpoint/fp8_format.hpp"
#include "amalgam/weights/units.hpp"

namespace amalgam {

/// How the leaves of an FP8 weight are taken together, so that a stretch of them shares no scale
/// with another one: merged, scales found, written.
struct Fp8Stretches {
  std::uint64_t leaves = 1;   ///< of every stretch but the last
  bool side_by_side = false;  ///< a thread per stretch; else all threads work on one at a time
  /// What was merged stays in memory until the scales are known; else it is merged twice.
  bool kept = false;
};

/// `kept_bytes`: what may be kept at a time, by all of `workers` threads.
Fp8Stretches cut_into_stretches(const BlockGrid& leaves, const Fp8Grid& scales,
                                std::uint64_t kept_bytes, std::size_t workers);

/// The bytes with which nothing is merged twice, and as many stretches at a time are worked on as
/// is good for the threads.
std::uint64_t wanted_kept_bytes(const BlockGrid& leaves, const Fp8Grid& scales,
                                std::size_t workers);

}  // namespace amalgam
