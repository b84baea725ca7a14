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

/// Quantises whole blocks. Without importance, the five simple types are rounded as GGML's
/// reference quantisers do (quantize_row_q*_ref): q is computed with the float scale, of which an
/// F16 rounding is stored. Q2_K to Q6_K, IQ4_NL and IQ4_XS are searched for the scales with the
/// least sum of squared errors. With `importance`, a finite weight >= 0 per value, every type is
/// searched for the least sum of weight times squared error; only ratios of weights within a block
/// matter.
///
/// A block that holds a NaN, an infinity or what is far beyond the type gets a NaN scale, so that
/// it decodes to NaN as a whole; so does a block whose scale does not fit F16. The bytes do not
/// depend on the machine. Error for types that are only read, and for an importance of another
/// size.
void quantise(DType dtype, std::span<const float> values, std::span<std::byte> out);
void quantise(DType dtype, std::span<const float> values, std::span<const float> importance,
              std::span<std::byte> out);

}  // namespace amalgam
