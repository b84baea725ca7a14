#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "amalgam/checkpoint/fp8_format.hpp"
#include "amalgam/checkpoint/quantised_types.hpp"
#include "amalgam/tensor/dtype.hpp"

namespace amalgam {

/// What the floating-point tensors of an output become: all one plain type; in GGUF quantised
/// matrices, of which QuantisedTypes knows more; in safetensors FP8 with scales for the matrices of
/// layers.
using OutputType = std::variant<DType, Quantisation, Fp8Scaling>;

/// Reads what `--dtype` takes, in any case: "bf16", "q4_k", "q4_k_m", "fp8_block". Nothing for
/// other names, integers, and types that are only read.
std::optional<OutputType> parse_output_type(std::string_view name);

/// The name of a type, which parse_output_type reads.
std::string output_type_name(const OutputType& type);

/// "F64, F32, ... or for GGUF ...": all names, for errors.
std::string output_type_names();

/// InputError if an output of this name, by which its format is known, does not hold the type.
void check_output_holds(const OutputType& type, const std::filesystem::path& output);

}  // namespace amalgam
