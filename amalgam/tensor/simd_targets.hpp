#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace amalgam {

/// The name of the instruction set that kernels and conversions use on this machine ("AVX2").
std::string simd_target();

/// The names of all instruction sets that this program was compiled for and this machine has, best
/// first; the last is the baseline of the architecture.
std::vector<std::string> simd_targets();

/// Calls `body(name)` once per simd_targets(), with every kernel using just that one. For tests of
/// equal bits: it changes what other threads use at that moment too.
void for_each_simd_target(const std::function<void(const std::string& name)>& body);

}  // namespace amalgam
