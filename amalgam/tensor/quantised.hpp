#pragma once

#include <cstddef>
#include <span>

#include "amalgam/tensor/dtype.hpp"

namespace amalgam {

/// The most elements that a block of a quantised type has; every type's number divides it.
inline constexpr std::size_t kLargestQuantisedBlock = 256;

/// The values of each block of a quantised type, with the roundings of GGML (docs/formats/gguf.md):
/// Q4_0, Q5_0, Q8_0: q * d, exact in float; Q4_1, Q5_1: q * d + m rounded to float; the other types
/// round the scale of a sub-block to float first. `out` has as many values as the blocks of
/// `bytes`.
void dequantise(DType dtype, std::span<const std::byte> bytes, std::span<float> out);

/// Quantises blocks of 32 values with the rounding of GGML's reference quantisers
/// (quantize_row_q*_ref): q is computed with the float scale, of which an F16 rounding is stored. A
/// block that holds a NaN or infinity gets a NaN scale, so that it decodes to NaN as a whole.
void quantise(DType dtype, std::span<const float> values, std::span<std::byte> out);

}  // namespace amalgam
