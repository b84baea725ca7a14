#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace amalgam {

/// Element types: plain ones (one element per `block_bytes`) and GGUF's block-quantised ones, whose
/// blocks of 32 or 256 consecutive elements share scales.
enum class DType : std::uint8_t {
  f64,
  f32,
  f16,
  bf16,
  f8_e4m3,
  f8_e5m2,
  i8,
  i16,
  i32,
  i64,
  u8,
  u16,
  u32,
  u64,
  boolean,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  iq4_nl,
  mxfp4,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  q8_k,
  iq1_s,
  iq1_m,
  iq2_xxs,
  iq2_xs,
  iq2_s,
  iq3_xxs,
  iq3_s,
  iq4_xs,
  tq1_0,
  tq2_0,
};

/// The safetensors spelling ("BF16", "F8_E4M3", "BOOL") or GGUF's ("Q4_0").
std::string_view dtype_name(DType dtype);

/// Reads a name as safetensors, GGUF, PyTorch and NumPy users write it, in any case: "BF16",
/// "bfloat16", "float16", "half", "F8_E4M3", "float8_e4m3fn", "q8_0". Nothing if unknown.
std::optional<DType> parse_dtype(std::string_view name);

/// Elements per block: 1, or 32 or 256 for the quantised types.
std::size_t dtype_block_elements(DType dtype);
/// Bytes per block.
std::size_t dtype_block_bytes(DType dtype);
/// Bytes of `elements` elements; `elements` is a multiple of dtype_block_elements(dtype).
std::uint64_t dtype_bytes(DType dtype, std::uint64_t elements);

/// Whether elements are real numbers that can be averaged (F64 ... F8, Q*): integers and BOOL are
/// not.
bool dtype_is_floating(DType dtype);
bool dtype_is_quantised(DType dtype);
/// Whether numbers can be written as this type: not as Q8_K, IQ1_*, IQ2_*, IQ3_*, TQ* and MXFP4,
/// which are only read.
bool dtype_is_writable(DType dtype);

/// Row-major (last axis fastest); empty = a scalar of one element.
using Shape = std::vector<std::uint64_t>;

/// The number of elements; InputError naming `what` if it overflows 2^63.
std::uint64_t element_count(const Shape& shape, std::string_view what);
/// "[2, 3]".
std::string format_shape(const Shape& shape);
/// Elements of the last axis (1 for a scalar), and how many such rows there are (0 if empty).
std::uint64_t row_length(const Shape& shape);
std::uint64_t row_count(const Shape& shape);

}  // namespace amalgam
