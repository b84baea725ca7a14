#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "amalgam/tensor/dtype.hpp"

namespace amalgam {

/// GGUF's own limits, which loaders rely on.
constexpr std::size_t kGgufMostDimensions = 4;
constexpr std::size_t kGgufLongestKey = 65535;
constexpr std::uint64_t kGgufAlignment = 32;  ///< unless general.alignment says otherwise

/// The type with ggml's number `number`, if it is one that is read and written here.
std::optional<DType> gguf_dtype(std::uint32_t number);
/// ggml's number of `dtype`; nothing if GGUF has no such type (F8, unsigned integers, BOOL).
std::optional<std::uint32_t> gguf_type_number(DType dtype);
/// ggml's name of a type number ("Q4_K"), or "number 77".
std::string gguf_type_number_name(std::uint32_t number);
/// "F32 F16 ...": the types that are read (and copied as they are).
std::string_view gguf_supported_types();
/// "F32, F16, ... or IQ4_XS": those that numbers of other types can be written as, and integers.
std::string gguf_written_types();

/// The value of general.file_type for a file whose weights are mostly `dtype`; nothing for types
/// that have none.
std::optional<std::uint32_t> gguf_file_type(DType dtype);

}  // namespace amalgam
