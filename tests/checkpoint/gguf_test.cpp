#include "amalgam/checkpoint/gguf.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <limits>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/tensor/simd_targets.hpp"
#include "tests/checkpoint/gguf_bytes.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/checkpoint/tensor_access.hpp"

namespace amalgam {
namespace {

constexpr std::uint64_t kHuge = std::uint64_t{1} << 63;
constexpr std::uint32_t kF32 = 0;
constexpr std::uint32_t kQ8 = 8;

std::filesystem::path fixture(std::string_view name) {
  return std::filesystem::path(AMALGAM_TEST_DATA) / "gguf" / name;
}

// first, first + step, ...
std::vector<double> sequence(double first, double step, int count) {
  std::vector<double> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = first + step * static_cast<double>(i);
  return values;
}

// Expects that opening a file of these bytes fails with a message naming the file and `parts`.
template <class... Parts>
void expect_refused(const GgufBytes& made, const Parts&... parts) {
  const TemporaryFolder folder;
  const auto path = folder.write("model.gguf", made.bytes());
  expect_error<InputError>([&] { open_gguf(path); }, path.string() + ": ", parts...);
}

TEST(Gguf, ReadsEveryTensorType) {
  const auto source = open_gguf(fixture("v3.gguf"));
  ASSERT_EQ(source->tensors().size(), 15U);
  const std::vector<double> zero_to_five = {0, 1, 2, 3, 4, 5};
  const std::vector<std::pair<std::string, DType>> plain = {
      {"f32", DType::f32}, {"f16", DType::f16}, {"bf16", DType::bf16}, {"f64", DType::f64},
      {"i8", DType::i8},   {"i16", DType::i16}, {"i32", DType::i32},   {"i64", DType::i64}};
  for (const auto& [name, dtype] : plain) {
    const TensorInfo& info = source->tensors()[index_of(*source, name)];
    EXPECT_EQ(info.dtype, dtype) << name;
    EXPECT_EQ(info.shape, (Shape{2, 3})) << name;
    EXPECT_EQ(values_of(*source, name), zero_to_five) << name;
  }
  // Rows of 32 with scales 0.5 and 2: (-16 .. 15) times the scale.
  std::vector<double> q8 = sequence(-8, 0.5, 32);
  const std::vector<double> second = sequence(-32, 2, 32);
  q8.insert(q8.end(), second.begin(), second.end());
  EXPECT_EQ(values_of(*source, "q8_0"), q8);
  // q = 0 .. 15, twice.
  std::vector<double> q4 = sequence(-4, 0.5, 16);
  q4.insert(q4.end(), q4.begin(), q4.begin() + 16);
  EXPECT_EQ(values_of(*source, "q4_0"), q4);
  std::vector<double> q41 = sequence(1, 0.25, 16);
  q41.insert(q41.end(), q41.begin(), q41.begin() + 16);
  EXPECT_EQ(values_of(*source, "q4_1"), q41);
  EXPECT_EQ(values_of(*source, "q5_0"), sequence(-8, 0.5, 32));
  EXPECT_EQ(values_of(*source, "q5_1"), sequence(-1, 0.25, 32));
}

// types.gguf holds blocks of every quantised type beside the values that the Python package `gguf`
// gives them (tests/data/make_gguf_quant_fixtures.py).
TEST(Gguf, DecodesEveryQuantisedTypeToTheBitsOfAnotherReader) {
  const auto source = open_gguf(fixture("types.gguf"));
  std::size_t types = 0;
  for (std::size_t t = 0; t < source->tensors().size(); ++t) {
    const TensorInfo& info = source->tensors()[t];
    const auto expected = source->find(info.name + ".values");
    if (!expected) continue;
    ++types;
    EXPECT_EQ(parse_dtype(info.name), info.dtype);
    EXPECT_TRUE(dtype_is_quantised(info.dtype)) << info.name;
    std::vector<std::uint32_t> bits(info.elements);
    source->read_bytes(*expected, 0, std::as_writable_bytes(std::span(bits)));
    for_each_simd_target([&](const std::string& target) {
      std::vector<float> values(info.elements);
      source->read(t, 0, std::span<float>(values));
      for (std::size_t i = 0; i < values.size(); ++i) {
        ASSERT_EQ(std::bit_cast<std::uint32_t>(values[i]), bits[i])
            << info.name << " " << i << " " << target;
      }
    });
  }
  EXPECT_EQ(types, 22U);
}

TEST(Gguf, PresentsShapesInRowMajorOrder) {
  const auto source = open_gguf(fixture("v3.gguf"));
  EXPECT_EQ(source->tensors()[index_of(*source, "scalar")].shape, Shape{});
  EXPECT_EQ(values_of(*source, "scalar"), std::vector<double>{42});
  EXPECT_EQ(source->tensors()[index_of(*source, "four_axes")].shape, (Shape{1, 2, 3, 1}));
  EXPECT_EQ(source->tensors()[index_of(*source, "q8_0")].shape, (Shape{2, 32}));
}

TEST(Gguf, ReadsVersion2AndItsOwnAlignment) {
  const GgufSource source(fixture("v2_aligned_64.gguf"));
  EXPECT_EQ(source.version(), 2U);
  EXPECT_EQ(values_of(source, "f32"), (std::vector<double>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(values_of(source, "f16"), (std::vector<double>{0, 1, 2, 3, 4, 5}));
}

TEST(Gguf, GivesTypedMetadata) {
  const auto source = open_checkpoint(fixture("v3.gguf"));
  const GgufMetadata* metadata = find_gguf_metadata(*source);
  ASSERT_NE(metadata, nullptr);
  EXPECT_EQ(metadata->entries().size(), 19U);
  EXPECT_EQ(metadata->entries()[0].first, "general.architecture");
  const auto unsigned_of = [&](std::string_view key) { return metadata->find(key)->as_unsigned(); };
  EXPECT_EQ(unsigned_of("test.uint8"), 200U);
  EXPECT_EQ(unsigned_of("test.uint16"), 60000U);
  EXPECT_EQ(unsigned_of("test.uint32"), 4000000000U);
  EXPECT_EQ(unsigned_of("test.uint64"), kHuge);
  EXPECT_EQ(unsigned_of("test.int8"), std::nullopt);
  EXPECT_EQ(unsigned_of("test.float32"), std::nullopt);
  EXPECT_EQ(metadata->find("test.int8")->as_number(), -100);
  EXPECT_EQ(metadata->find("test.int16")->as_number(), -30000);
  EXPECT_EQ(metadata->find("test.int32")->as_number(), -2000000000);
  EXPECT_EQ(metadata->find("test.int64")->as_number(), -0x1p62);
  EXPECT_EQ(metadata->find("test.float32")->as_number(), 0.25);
  EXPECT_EQ(metadata->find("test.float64")->as_number(), 1e300);
  EXPECT_EQ(metadata->find("test.bool")->as_bool(), true);
  EXPECT_EQ(metadata->find("general.name")->as_string(), "fixture");
  EXPECT_EQ(metadata->find("tokenizer.ggml.tokens")->as_strings(),
            (std::vector<std::string>{"<s>", "▁a", "", "b"}));
  EXPECT_EQ(metadata->find("tokenizer.ggml.scores")->as_strings(), std::nullopt);
  EXPECT_EQ(metadata->find("absent"), nullptr);
}

TEST(Gguf, ShowsMetadataAsText) {
  const auto source = open_gguf(fixture("v3.gguf"));
  const auto& text = source->metadata();
  EXPECT_EQ(text.at("general.name"), "fixture");
  EXPECT_EQ(text.at("test.int8"), "-100");
  EXPECT_EQ(text.at("test.uint8"), "200");
  EXPECT_EQ(text.at("test.float32"), "0.25");
  EXPECT_EQ(text.at("test.bool"), "true");
  EXPECT_EQ(text.at("test.not_utf8"), "2 bytes, not UTF-8");
  EXPECT_EQ(text.at("test.nested"), "[3 x ARRAY]");
  EXPECT_EQ(text.at("tokenizer.ggml.tokens"), "[4 x STRING]");
}

TEST(Gguf, ReadsBytesFromTheMiddle) {
  const TemporaryFolder folder;
  GgufBytes made;
  made.header(2, 0).tensor("a", {2}, 0).tensor("b", {1}, 32).data(36);
  const auto source = open_gguf(folder.write("m", made.bytes()));
  std::array<std::byte, 3> three{};
  source->read_bytes(index_of(*source, "b"), 1, three);
  EXPECT_EQ(three[0], std::byte{34});
  source->will_need(0, 0, 8);
  EXPECT_THROW(source->read_bytes(index_of(*source, "b"), 2, three), Error);
}

TEST(Gguf, TruncationAfterOpeningIsAnInputError) {
  const TemporaryFolder folder;
  GgufBytes made;
  made.header(1, 0).tensor("a", {2}, 0).data(8);
  const auto path = folder.write("m", made.bytes());
  const auto source = open_gguf(path);
  ASSERT_EQ(::truncate(path.c_str(), 70), 0);
  expect_error<InputError>([&] { values_of(*source, "a"); }, path.string(), "truncated");
}

TEST(Gguf, RefusesOtherFilesAndVersions) {
  expect_refused(GgufBytes(), "truncated", "magic");
  expect_refused(GgufBytes().raw("GG"), "truncated", "magic");
  expect_refused(GgufBytes().raw("ggjt").u32(3), "not a GGUF file", "'ggjt'");
  expect_refused(GgufBytes().raw("\x1b[2J").u32(3), "not a GGUF file", "\\x1b[2J");
  expect_refused(GgufBytes().header(0, 0, 1), "version 1", "versions 2 and 3");
  expect_refused(GgufBytes().header(0, 0, 4), "version 4");
  expect_refused(GgufBytes().header(0, 0, 0), "version 0");
  expect_refused(GgufBytes().header(0, 0, 0x03000000), "big-endian");
}

TEST(Gguf, RefusesAbsurdCounts) {
  expect_refused(GgufBytes().header(kHuge, 0), "9223372036854775808 tensors", "0 bytes");
  expect_refused(GgufBytes().header(0, kHuge), "9223372036854775808 metadata pairs");
  expect_refused(GgufBytes().header(0, ~std::uint64_t{0}), "metadata pairs");
  expect_refused(GgufBytes().header(2, 0).tensor("a", {1}, 0).data(8), "tensor 1");
  expect_refused(GgufBytes().header(0, 1), "1 metadata pairs");
}

TEST(Gguf, RefusesBadMetadata) {
  const auto with_value = [](std::uint32_t type) {
    return GgufBytes().header(0, 1).string("key").u32(type);
  };
  expect_refused(with_value(13).u64(0), "metadata 'key' has the unknown type 13");
  expect_refused(with_value(8).u64(kHuge).u64(0), "truncated", "metadata 'key'");
  expect_refused(with_value(8).u64(9).u64(0), "truncated", "metadata 'key' needs 9 bytes");
  expect_refused(with_value(9).u32(4).u64(kHuge), "claims an array of 9223372036854775808 values",
                 "UINT32");
  expect_refused(with_value(9).u32(8).u64(std::uint64_t{1} << 61), "claims an array", "STRING");
  expect_refused(with_value(9).u32(9).u64(std::uint64_t{1} << 61), "claims an array", "ARRAY");
  expect_refused(with_value(9).u32(13).u64(1), "array of the unknown type 13");
  expect_refused(with_value(9).u32(4).u64(3).u64(0), "claims an array of 3 values", "8 bytes");
  expect_refused(with_value(7).raw("\x02").u64(0), "the bool 2");
  expect_refused(with_value(9).u32(7).u64(2).raw(std::string_view("\x00\x07", 2)), "the bool 7");
  expect_refused(with_value(10).u32(1), "truncated");
  expect_refused(GgufBytes().header(0, 1).u64(kHuge).u64(0), "a name of 9223372036854775808");
  expect_refused(GgufBytes().header(0, 1).u64(0).u64(0), "a name of 0 bytes");
  expect_refused(GgufBytes().header(0, 1).string("a\xff").u64(0), "'a\\xff'", "not UTF-8");
  expect_refused(GgufBytes().header(0, 2).pair_u32("key", 1).pair_u32("key", 2),
                 "metadata 'key' appears twice");
}

TEST(Gguf, RefusesArraysNestedTooDeep) {
  GgufBytes made = GgufBytes().header(0, 1).string("key").u32(9);
  for (int i = 0; i < 20; ++i) made.u32(9).u64(1);
  expect_refused(made.u32(4).u64(0), "nested more than 8 deep");
}

TEST(Gguf, RefusesBadAlignments) {
  const auto with_alignment = [](std::uint32_t alignment) {
    return GgufBytes().header(0, 1).pair_u32("general.alignment", alignment);
  };
  for (const std::uint32_t bad : {0U, 1U, 4U, 24U, 33U, 1U << 21, 1U << 31, 0xffffffffU}) {
    expect_refused(with_alignment(bad), "general.alignment is " + std::to_string(bad),
                   "power of two from 8 to 1048576");
  }
  expect_refused(GgufBytes().header(0, 1).string("general.alignment").u32(8).string("32"),
                 "general.alignment has type STRING, expected UINT32");
  expect_refused(GgufBytes().header(0, 1).string("general.alignment").u32(10).u64(32),
                 "general.alignment has type UINT64");
}

TEST(Gguf, RefusesBadShapes) {
  const auto with_shape = [](const std::vector<std::uint64_t>& sizes, std::uint32_t type) {
    return GgufBytes().header(1, 0).tensor("w", sizes, 0, type).data(64);
  };
  expect_refused(with_shape({1, 1, 1, 1, 1}, kF32), "tensor 'w' has 5 dimensions", "at most 4");
  expect_refused(GgufBytes().header(1, 0).string("w").u32(0xffffffff).u64(0).u64(0),
                 "4294967295 dimensions");
  expect_refused(with_shape({kHuge, 2}, kF32), "w");
  expect_refused(with_shape({std::uint64_t{1} << 32, std::uint64_t{1} << 32}, kF32), "w");
  expect_refused(with_shape({std::uint64_t{1} << 62}, kF32), "'w'", "too large");
  expect_refused(with_shape({31}, kQ8), "'w'", "multiples of 32");
  expect_refused(with_shape({16, 2}, kQ8), "'w'", "multiples of 32");
}

TEST(Gguf, RefusesBadPlaces) {
  expect_refused(GgufBytes().header(1, 0).tensor("w", {2}, 4).data(64), "'w' begins at byte 4",
                 "multiple of 32");
  expect_refused(GgufBytes().header(1, 0).tensor("w", {2}, 0).data(7),
                 "'w' takes 8 bytes from byte 0", "there are 7");
  expect_refused(GgufBytes().header(1, 0).tensor("w", {2}, 64).data(64), "'w' takes 8 bytes",
                 "from byte 64");
  expect_refused(GgufBytes().header(1, 0).tensor("w", {2}, ~std::uint64_t{31}).data(64), "'w'",
                 "18446744073709551584");
  expect_refused(GgufBytes().header(2, 0).tensor("a", {9}, 0).tensor("b", {2}, 32).data(64),
                 "tensor 'b' begins at byte 32", "'a' ends at 36", "overlap");
  expect_refused(GgufBytes().header(2, 0).tensor("a", {2}, 32).tensor("b", {2}, 32).data(64),
                 "overlap");
}

TEST(Gguf, RefusesBadNames) {
  expect_refused(GgufBytes().header(2, 0).tensor("w", {2}, 0).tensor("w", {2}, 32).data(64),
                 "'w' appears twice");
  expect_refused(GgufBytes().header(1, 0).tensor("", {2}, 0).data(64), "a name of 0 bytes");
  expect_refused(GgufBytes().header(1, 0).tensor("\xc0\x80", {2}, 0).data(64), "not UTF-8");
  expect_refused(GgufBytes().header(1, 0).u64(kHuge).data(64), "a name of");
}

TEST(Gguf, RefusesOtherTensorTypesByName) {
  const auto with_type = [](std::uint32_t type) {
    return GgufBytes().header(1, 0).tensor("w", {256}, 0, type).data(64);
  };
  expect_refused(with_type(9), "tensor 'w' has type Q8_1, which is not read", "F16",
                 "llama-quantize");
  expect_refused(with_type(31), "Q4_0_4_4");
  expect_refused(with_type(40), "NVFP4");
  expect_refused(with_type(41), "Q1_0");
  expect_refused(with_type(4), "number 4");
  expect_refused(with_type(1000), "number 1000");
}

TEST(Gguf, AcceptsEmptyTensorsAndAFileOfNothing) {
  const TemporaryFolder folder;
  const auto nothing = open_gguf(folder.write("n", GgufBytes().header(0, 0).bytes()));
  EXPECT_TRUE(nothing->tensors().empty());
  const auto path = folder.write(
      "e", GgufBytes().header(2, 0).tensor("e", {0, 3}, 0).tensor("w", {2}, 0).data(8).bytes());
  EXPECT_EQ(open_gguf(path)->tensors()[0].shape, (Shape{3, 0}));
}

TEST(GgufMetadata, KeepsOrderAndReplacesInPlace) {
  GgufMetadata metadata = minimal_gguf_metadata("gpt2", "tiny");
  metadata.set("a", GgufValue::of(std::uint32_t{1}));
  metadata.set("b", GgufValue::of(2.5F));
  EXPECT_FALSE(metadata.add("a", GgufValue::of(true)));
  metadata.set("a", GgufValue::of("text"));
  ASSERT_EQ(metadata.entries().size(), 4U);
  EXPECT_EQ(metadata.entries()[0].first, "general.architecture");
  EXPECT_EQ(metadata.entries()[0].second.as_string(), "gpt2");
  EXPECT_EQ(metadata.entries()[2].second.as_string(), "text");
  metadata.erase("general.name");
  metadata.erase("absent");
  EXPECT_EQ(metadata.find("b")->as_number(), 2.5);
  EXPECT_EQ(metadata.find("general.name"), nullptr);
  EXPECT_EQ(metadata.entries().size(), 3U);
  EXPECT_EQ(minimal_gguf_metadata("gpt2", "").entries().size(), 1U);
}

TEST(GgufMetadata, ValuesHaveTheTypesOfTheirNumbers) {
  EXPECT_EQ(GgufValue::of(std::uint8_t{1}).type(), GgufType::u8);
  EXPECT_EQ(GgufValue::of(std::int8_t{-1}).type(), GgufType::i8);
  EXPECT_EQ(GgufValue::of(std::uint16_t{1}).type(), GgufType::u16);
  EXPECT_EQ(GgufValue::of(std::int16_t{1}).type(), GgufType::i16);
  EXPECT_EQ(GgufValue::of(std::int32_t{1}).type(), GgufType::i32);
  EXPECT_EQ(GgufValue::of(std::uint64_t{1}).type(), GgufType::u64);
  EXPECT_EQ(GgufValue::of(std::int64_t{1}).type(), GgufType::i64);
  EXPECT_EQ(GgufValue::of(1.0).type(), GgufType::f64);
  EXPECT_EQ(GgufValue::of(1.0F).type(), GgufType::f32);
  EXPECT_EQ(GgufValue::of(true).type(), GgufType::boolean);
  EXPECT_EQ(GgufValue::of(std::span<const std::int32_t>(std::array{1, 2})).describe(),
            "[2 x INT32]");
}

}  // namespace
}  // namespace amalgam
