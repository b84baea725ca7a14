#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace amalgam {

/// A random order of 0, ..., count - 1 (Fisher-Yates over the Philox stream `what` of `seed`).
std::vector<std::size_t> shuffled_indices(std::size_t count, std::uint64_t seed,
                                          std::string_view what);

}  // namespace amalgam
