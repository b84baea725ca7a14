#include "amalgam/checkpoint/gguf_tensor_type.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "amalgam/core/text.hpp"

namespace amalgam {
namespace {

struct Supported {
  DType dtype;
  std::uint32_t number;
  int file_type;  // -1: none
};
constexpr std::array kSupported = {
    Supported{DType::f32, 0, 0},       Supported{DType::f16, 1, 1},
    Supported{DType::bf16, 30, 32},    Supported{DType::f64, 28, -1},
    Supported{DType::i8, 24, -1},      Supported{DType::i16, 25, -1},
    Supported{DType::i32, 26, -1},     Supported{DType::i64, 27, -1},
    Supported{DType::q8_0, 8, 7},      Supported{DType::q4_0, 2, 2},
    Supported{DType::q4_1, 3, 3},      Supported{DType::q5_0, 6, 8},
    Supported{DType::q5_1, 7, 9},      Supported{DType::q2_k, 10, 10},
    Supported{DType::q3_k, 11, 11},    Supported{DType::q4_k, 12, 14},
    Supported{DType::q5_k, 13, 16},    Supported{DType::q6_k, 14, 18},
    Supported{DType::q8_k, 15, -1},    Supported{DType::iq4_nl, 20, 25},
    Supported{DType::iq4_xs, 23, 30},  Supported{DType::iq1_s, 19, 24},
    Supported{DType::iq1_m, 29, 31},   Supported{DType::iq2_xxs, 16, 19},
    Supported{DType::iq2_xs, 17, 20},  Supported{DType::iq2_s, 22, 28},
    Supported{DType::iq3_xxs, 18, 23}, Supported{DType::iq3_s, 21, 26},
    Supported{DType::tq1_0, 34, 36},   Supported{DType::tq2_0, 35, 37},
    Supported{DType::mxfp4, 39, 38},
};

// By number; empty where ggml has retired the type.
constexpr std::array<std::string_view, 42> kNames = {
    "F32",     "F16",   "Q4_0",   "Q4_1",  "",         "",         "Q5_0",     "Q5_1",    "Q8_0",
    "Q8_1",    "Q2_K",  "Q3_K",   "Q4_K",  "Q5_K",     "Q6_K",     "Q8_K",     "IQ2_XXS", "IQ2_XS",
    "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S", "IQ2_S",    "IQ4_XS",   "I8",       "I16",     "I32",
    "I64",     "F64",   "IQ1_M",  "BF16",  "Q4_0_4_4", "Q4_0_4_8", "Q4_0_8_8", "TQ1_0",   "TQ2_0",
    "",        "",      "",       "MXFP4", "NVFP4",    "Q1_0"};

const Supported* find(DType dtype) {
  const auto* found = std::find_if(kSupported.begin(), kSupported.end(),
                                   [&](const Supported& type) { return type.dtype == dtype; });
  return found == kSupported.end() ? nullptr : found;
}

}  // namespace

std::optional<DType> gguf_dtype(std::uint32_t number) {
  for (const Supported& type : kSupported) {
    if (type.number == number) return type.dtype;
  }
  return std::nullopt;
}

std::optional<std::uint32_t> gguf_type_number(DType dtype) {
  const Supported* type = find(dtype);
  return type != nullptr ? std::optional(type->number) : std::nullopt;
}

std::string gguf_type_number_name(std::uint32_t number) {
  if (number < kNames.size() && !kNames[number].empty()) return std::string(kNames[number]);
  return fmt::format("number {}", number);
}

std::string_view gguf_supported_types() {
  return "F32 F16 BF16 F64 I8 I16 I32 I64 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K Q4_K Q5_K Q6_K Q8_K "
         "IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S IQ4_NL IQ4_XS TQ1_0 TQ2_0 MXFP4";
}

std::string gguf_written_types() {
  std::vector<std::string> names;
  for (const Supported& type : kSupported) {
    if (dtype_is_writable(type.dtype)) names.emplace_back(dtype_name(type.dtype));
  }
  const std::string last = names.back();
  names.pop_back();
  return join(names, ", ") + " or " + last;
}

std::optional<std::uint32_t> gguf_file_type(DType dtype) {
  const Supported* type = find(dtype);
  if (type == nullptr || type->file_type < 0) return std::nullopt;
  return static_cast<std::uint32_t>(type->file_type);
}

}  // namespace amalgam
