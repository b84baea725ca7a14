#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "amalgam/tensor/dtype.hpp"

namespace amalgam {

/// Decodes `out.size()` elements of `dtype` from `bytes` (exactly as many bytes as they take; no
/// alignment needed). Every value of F16, BF16, F8 and the quantised types is exact in float; F64
/// is rounded to nearest even, integers likewise. NaN payloads survive as far as they fit.
void decode(DType dtype, std::span<const std::byte> bytes, std::span<float> out);
/// The same into double: exact for every type but 64-bit integers.
void decode(DType dtype, std::span<const std::byte> bytes, std::span<double> out);

/// Encodes values, rounding once to nearest even from double (never through float), subnormals
/// kept, infinity for what overflows (F8_E4M3, which has none: NaN as PyTorch's float8_e4m3fn cast
/// gives; see tensor/convert.cpp), NaN quiet. Integers: rounded to nearest even, clamped, NaN gives
/// 0. Quantised types: float(value), then GGUF's reference rounding per block of 32.
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
