#include "amalgam/tensor/dtype.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

constexpr std::uint16_t kQuantisedBlock = 32;
constexpr std::uint16_t kLargeBlock = 256;

struct Format {
  std::string_view name;
  std::uint16_t block_elements;
  std::uint16_t block_bytes;
  bool is_writable = true;
};

// In the order of the enumeration.
constexpr std::array kFormats = {
    Format{"F64", 1, 8},
    Format{"F32", 1, 4},
    Format{"F16", 1, 2},
    Format{"BF16", 1, 2},
    Format{"F8_E4M3", 1, 1},
    Format{"F8_E5M2", 1, 1},
    Format{"I8", 1, 1},
    Format{"I16", 1, 2},
    Format{"I32", 1, 4},
    Format{"I64", 1, 8},
    Format{"U8", 1, 1},
    Format{"U16", 1, 2},
    Format{"U32", 1, 4},
    Format{"U64", 1, 8},
    Format{"BOOL", 1, 1},
    Format{"Q4_0", kQuantisedBlock, 18},
    Format{"Q4_1", kQuantisedBlock, 20},
    Format{"Q5_0", kQuantisedBlock, 22},
    Format{"Q5_1", kQuantisedBlock, 24},
    Format{"Q8_0", kQuantisedBlock, 34},
    Format{"IQ4_NL", kQuantisedBlock, 18},
    Format{"MXFP4", kQuantisedBlock, 17, false},
    Format{"Q2_K", kLargeBlock, 84},
    Format{"Q3_K", kLargeBlock, 110},
    Format{"Q4_K", kLargeBlock, 144},
    Format{"Q5_K", kLargeBlock, 176},
    Format{"Q6_K", kLargeBlock, 210},
    Format{"Q8_K", kLargeBlock, 292, false},
    Format{"IQ1_S", kLargeBlock, 50, false},
    Format{"IQ1_M", kLargeBlock, 56, false},
    Format{"IQ2_XXS", kLargeBlock, 66, false},
    Format{"IQ2_XS", kLargeBlock, 74, false},
    Format{"IQ2_S", kLargeBlock, 82, false},
    Format{"IQ3_XXS", kLargeBlock, 98, false},
    Format{"IQ3_S", kLargeBlock, 110, false},
    Format{"IQ4_XS", kLargeBlock, 136},
    Format{"TQ1_0", kLargeBlock, 54, false},
    Format{"TQ2_0", kLargeBlock, 66, false},
};
static_assert(kFormats.size() == static_cast<std::size_t>(DType::tq2_0) + 1);

constexpr std::array kOtherNames = {
    std::pair<std::string_view, DType>{"float64", DType::f64},
    std::pair<std::string_view, DType>{"double", DType::f64},
    std::pair<std::string_view, DType>{"float32", DType::f32},
    std::pair<std::string_view, DType>{"float", DType::f32},
    std::pair<std::string_view, DType>{"fp32", DType::f32},
    std::pair<std::string_view, DType>{"float16", DType::f16},
    std::pair<std::string_view, DType>{"half", DType::f16},
    std::pair<std::string_view, DType>{"fp16", DType::f16},
    std::pair<std::string_view, DType>{"bfloat16", DType::bf16},
    std::pair<std::string_view, DType>{"float8_e4m3fn", DType::f8_e4m3},
    std::pair<std::string_view, DType>{"f8_e4m3fn", DType::f8_e4m3},
    std::pair<std::string_view, DType>{"float8_e5m2", DType::f8_e5m2},
    std::pair<std::string_view, DType>{"int8", DType::i8},
    std::pair<std::string_view, DType>{"int16", DType::i16},
    std::pair<std::string_view, DType>{"short", DType::i16},
    std::pair<std::string_view, DType>{"int32", DType::i32},
    std::pair<std::string_view, DType>{"int", DType::i32},
    std::pair<std::string_view, DType>{"int64", DType::i64},
    std::pair<std::string_view, DType>{"long", DType::i64},
    std::pair<std::string_view, DType>{"uint8", DType::u8},
    std::pair<std::string_view, DType>{"uint16", DType::u16},
    std::pair<std::string_view, DType>{"uint32", DType::u32},
    std::pair<std::string_view, DType>{"uint64", DType::u64},
    std::pair<std::string_view, DType>{"boolean", DType::boolean},
};

const Format& format_of(DType dtype) { return kFormats.at(static_cast<std::size_t>(dtype)); }

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

std::string_view dtype_name(DType dtype) { return format_of(dtype).name; }

std::optional<DType> parse_dtype(std::string_view name) {
  constexpr std::string_view kTorchPrefix = "torch.";
  if (name.starts_with(kTorchPrefix)) name.remove_prefix(kTorchPrefix.size());
  for (std::size_t i = 0; i < kFormats.size(); ++i) {
    if (equal_ignoring_case(name, kFormats.at(i).name)) return static_cast<DType>(i);
  }
  for (const auto& [other, dtype] : kOtherNames) {
    if (equal_ignoring_case(name, other)) return dtype;
  }
  return std::nullopt;
}

std::size_t dtype_block_elements(DType dtype) { return format_of(dtype).block_elements; }

std::size_t dtype_block_bytes(DType dtype) { return format_of(dtype).block_bytes; }

std::uint64_t dtype_bytes(DType dtype, std::uint64_t elements) {
  const Format& format = format_of(dtype);
  if (elements % format.block_elements != 0) {
    throw Error("dtype_bytes: {} elements are not whole blocks of {} ({} elements each)", elements,
                format.name, format.block_elements);
  }
  return elements / format.block_elements * format.block_bytes;
}

bool dtype_is_floating(DType dtype) { return dtype <= DType::f8_e5m2 || dtype_is_quantised(dtype); }

bool dtype_is_quantised(DType dtype) { return dtype >= DType::q4_0; }

bool dtype_is_writable(DType dtype) { return format_of(dtype).is_writable; }

std::uint64_t element_count(const Shape& shape, std::string_view what) {
  // A zero anywhere makes the product 0 whatever the other extents are, in any order.
  if (std::find(shape.begin(), shape.end(), 0U) != shape.end()) return 0;
  constexpr std::uint64_t kLimit = std::uint64_t{1} << 63;
  std::uint64_t count = 1;
  for (const std::uint64_t extent : shape) {
    if (extent >= kLimit || count > (kLimit - 1) / extent) {
      throw InputError("{}: shape {} has more than 2^63 elements", what, format_shape(shape));
    }
    count *= extent;
  }
  return count;
}

std::string format_shape(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::uint64_t row_length(const Shape& shape) { return shape.empty() ? 1 : shape.back(); }

std::uint64_t row_count(const Shape& shape) {
  if (shape.empty()) return 1;
  if (shape.back() == 0) return 0;
  std::uint64_t rows = 1;
  for (std::size_t axis = 0; axis + 1 < shape.size(); ++axis) rows *= shape[axis];
  return rows;
}

}  // namespace amalgam
