#include "amalgam/tensor/dtype.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

struct Known {
  DType dtype;
  std::string name;
  std::size_t block_elements;
  std::size_t block_bytes;
  bool floating;
};

const std::vector<Known>& known_types() {
  static const std::vector<Known> kTypes = {{DType::f64, "F64", 1, 8, true},
                                            {DType::f32, "F32", 1, 4, true},
                                            {DType::f16, "F16", 1, 2, true},
                                            {DType::bf16, "BF16", 1, 2, true},
                                            {DType::f8_e4m3, "F8_E4M3", 1, 1, true},
                                            {DType::f8_e5m2, "F8_E5M2", 1, 1, true},
                                            {DType::i8, "I8", 1, 1, false},
                                            {DType::i16, "I16", 1, 2, false},
                                            {DType::i32, "I32", 1, 4, false},
                                            {DType::i64, "I64", 1, 8, false},
                                            {DType::u8, "U8", 1, 1, false},
                                            {DType::u16, "U16", 1, 2, false},
                                            {DType::u32, "U32", 1, 4, false},
                                            {DType::u64, "U64", 1, 8, false},
                                            {DType::boolean, "BOOL", 1, 1, false},
                                            {DType::q4_0, "Q4_0", 32, 18, true},
                                            {DType::q4_1, "Q4_1", 32, 20, true},
                                            {DType::q5_0, "Q5_0", 32, 22, true},
                                            {DType::q5_1, "Q5_1", 32, 24, true},
                                            {DType::q8_0, "Q8_0", 32, 34, true},
                                            {DType::iq4_nl, "IQ4_NL", 32, 18, true},
                                            {DType::mxfp4, "MXFP4", 32, 17, true},
                                            {DType::q2_k, "Q2_K", 256, 84, true},
                                            {DType::q3_k, "Q3_K", 256, 110, true},
                                            {DType::q4_k, "Q4_K", 256, 144, true},
                                            {DType::q5_k, "Q5_K", 256, 176, true},
                                            {DType::q6_k, "Q6_K", 256, 210, true},
                                            {DType::q8_k, "Q8_K", 256, 292, true},
                                            {DType::iq1_s, "IQ1_S", 256, 50, true},
                                            {DType::iq1_m, "IQ1_M", 256, 56, true},
                                            {DType::iq2_xxs, "IQ2_XXS", 256, 66, true},
                                            {DType::iq2_xs, "IQ2_XS", 256, 74, true},
                                            {DType::iq2_s, "IQ2_S", 256, 82, true},
                                            {DType::iq3_xxs, "IQ3_XXS", 256, 98, true},
                                            {DType::iq3_s, "IQ3_S", 256, 110, true},
                                            {DType::iq4_xs, "IQ4_XS", 256, 136, true},
                                            {DType::tq1_0, "TQ1_0", 256, 54, true},
                                            {DType::tq2_0, "TQ2_0", 256, 66, true}};
  return kTypes;
}

TEST(DTypes, NamesSizesAndKinds) {
  for (const Known& known : known_types()) {
    SCOPED_TRACE(known.name);
    EXPECT_EQ(dtype_name(known.dtype), known.name);
    EXPECT_EQ(parse_dtype(known.name), known.dtype);
    EXPECT_EQ(dtype_block_elements(known.dtype), known.block_elements);
    EXPECT_EQ(dtype_block_bytes(known.dtype), known.block_bytes);
    EXPECT_EQ(dtype_bytes(known.dtype, 512), 512 / known.block_elements * known.block_bytes);
    EXPECT_EQ(dtype_is_floating(known.dtype), known.floating);
    EXPECT_EQ(dtype_is_quantised(known.dtype), known.block_elements >= 32);
  }
}

TEST(DTypes, AreReadAsUsersWriteThem) {
  const std::vector<std::pair<std::string, DType>> names = {{"bfloat16", DType::bf16},
                                                            {"torch.bfloat16", DType::bf16},
                                                            {"Float16", DType::f16},
                                                            {"half", DType::f16},
                                                            {"fp16", DType::f16},
                                                            {"float32", DType::f32},
                                                            {"float", DType::f32},
                                                            {"double", DType::f64},
                                                            {"float8_e4m3fn", DType::f8_e4m3},
                                                            {"float8_e5m2", DType::f8_e5m2},
                                                            {"int64", DType::i64},
                                                            {"torch.uint8", DType::u8},
                                                            {"bool", DType::boolean},
                                                            {"q8_0", DType::q8_0},
                                                            {"q4_k", DType::q4_k}};
  for (const auto& [name, dtype] : names) EXPECT_EQ(parse_dtype(name), dtype) << name;
  for (const std::string name : {"", "float17", "bf16 ", "q4_k_m", "torch.", "F8"}) {
    EXPECT_EQ(parse_dtype(name), std::nullopt) << name;
  }
}

TEST(DTypes, PartsOfABlockHaveNoSize) {
  EXPECT_EQ(dtype_bytes(DType::q5_1, 0), 0U);
  EXPECT_THROW(dtype_bytes(DType::q5_1, 33), Error);
}

TEST(Shapes, CountTheirElements) {
  EXPECT_EQ(element_count({}, "x"), 1U);
  EXPECT_EQ(element_count({2, 3, 5}, "x"), 30U);
  EXPECT_EQ(element_count({std::uint64_t{1} << 62}, "x"), std::uint64_t{1} << 62);
  // A zero wins over an overflow, wherever it stands.
  EXPECT_EQ(element_count({~0ULL, ~0ULL, 0}, "x"), 0U);
  EXPECT_EQ(element_count({0, ~0ULL, ~0ULL}, "x"), 0U);
}

TEST(Shapes, RefuseTooManyElements) {
  for (const Shape& shape : {Shape{std::uint64_t{1} << 63}, Shape{~0ULL},
                             Shape{std::uint64_t{1} << 32, std::uint64_t{1} << 31},
                             Shape{3, std::uint64_t{1} << 62}, Shape{~0ULL, ~0ULL}}) {
    try {
      element_count(shape, "a.safetensors: tensor 'w'");
      ADD_FAILURE() << format_shape(shape);
    } catch (const InputError& error) {
      const std::string message = error.what();
      EXPECT_EQ(message.rfind("a.safetensors: tensor 'w'", 0), 0U) << message;
      EXPECT_NE(message.find(format_shape(shape)), std::string::npos) << message;
    }
  }
}

TEST(Shapes, RowsAreTheLastAxis) {
  EXPECT_EQ(row_length({}), 1U);
  EXPECT_EQ(row_count({}), 1U);
  EXPECT_EQ(row_length({7}), 7U);
  EXPECT_EQ(row_count({7}), 1U);
  EXPECT_EQ(row_length({2, 3, 5}), 5U);
  EXPECT_EQ(row_count({2, 3, 5}), 6U);
  EXPECT_EQ(row_count({4, 0}), 0U);
  EXPECT_EQ(row_count({0, 4}), 0U);
}

TEST(Shapes, ArePrintedAsLists) {
  EXPECT_EQ(format_shape({}), "[]");
  EXPECT_EQ(format_shape({2, 3}), "[2, 3]");
}

}  // namespace
}  // namespace amalgam
