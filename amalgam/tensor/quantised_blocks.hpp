#pragma once

#include <cstddef>

#include "amalgam/tensor/dtype.hpp"

// The families of GGUF's quantised types behind tensor/quantised.hpp. Internal to amalgam/tensor.
//
// Each function decodes or encodes `blocks` blocks that follow each other, or returns false if the
// type is of another family. `importance` has a weight >= 0 per value, or is null where all count
// the same. Encoders expect finite values.

namespace amalgam {

/// Q2_K to Q6_K and Q8_K.
bool dequantise_k_quants(DType dtype, const std::byte* bytes, float* out, std::size_t blocks);
/// IQ1_*, IQ2_*, IQ3_*: groups of elements are code words of tensor/iq_grids.hpp.
bool dequantise_code_words(DType dtype, const std::byte* bytes, float* out, std::size_t blocks);
/// IQ4_NL, IQ4_XS, MXFP4, TQ1_0, TQ2_0: elements are levels of a small table.
bool dequantise_tables(DType dtype, const std::byte* bytes, float* out, std::size_t blocks);

/// Q2_K to Q6_K and IQ4_XS, by the search of tensor/quantiser_search-inl.hpp.
bool quantise_k_quants(DType dtype, const float* values, const float* importance, std::byte* out,
                       std::size_t blocks);
/// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 and IQ4_NL, by the same search.
bool quantise_small_blocks(DType dtype, const float* values, const float* importance,
                           std::byte* out, std::size_t blocks);

}  // namespace amalgam
