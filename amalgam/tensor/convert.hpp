#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "amalgam/tensor/dtype.hpp"

namespace amalgam {

/// Decodes `out.size()` elements of `dtype` from `bytes` (exactly as many bytes as they take, else
/// Error; no alignment needed; little-endian). F16, BF16 and F8 are exact in float; F64 and
/// integers are rounded to nearest even; quantised types have the values GGML gives them, which are
/// floats (tensor/quantised.hpp). NaN keeps its sign and what fits of its payload, and may become
/// quiet.
void decode(DType dtype, std::span<const std::byte> bytes, std::span<float> out);
/// The same into double: exact for every type but 64-bit integers (a quantised element is its float
/// value here too).
void decode(DType dtype, std::span<const std::byte> bytes, std::span<double> out);

/// Encodes `values`, rounding once to nearest even from double (never through float), subnormals
/// kept, infinity for what overflows, NaN quiet. F8_E4M3 has no infinity: beyond 464, the middle
/// between its largest number 448 and the next, everything is NaN, as in PyTorch's float8_e4m3fn.
/// Integers and BOOL: rounded to nearest even, clamped, NaN gives 0. Quantised types: rounded to
/// float, then GGUF's reference quantiser per block of 32; a NaN or infinity makes its block NaN.
/// Error unless `out` has exactly the bytes the elements take.
void encode(DType dtype, std::span<const double> values, std::span<std::byte> out);
void encode(DType dtype, std::span<const float> values, std::span<std::byte> out);

/// The index of the first NaN or infinity.
std::optional<std::size_t> find_non_finite(std::span<const float> values);
std::optional<std::size_t> find_non_finite(std::span<const double> values);
/// The same for elements as stored: the index of the first that does not decode to a finite number
/// (for quantised types, the first element of its block). Nothing for integers and BOOL. `bytes`
/// holds whole elements (blocks).
std::optional<std::size_t> find_non_finite(DType dtype, std::span<const std::byte> bytes);

}  // namespace amalgam
