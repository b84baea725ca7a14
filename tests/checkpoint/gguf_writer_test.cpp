#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <thread>

#include "amalgam/checkpoint/gguf.hpp"
#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/core/error.hpp"
#include "tests/checkpoint/gguf_bytes.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

TensorInfo info_of(const std::string& name, DType dtype, const Shape& shape) {
  return make_tensor_info(name, dtype, shape, "test");
}

std::vector<std::byte> bytes_of(const TensorSource& source, std::size_t tensor) {
  std::vector<std::byte> bytes(source.tensors()[tensor].bytes);
  source.read_bytes(tensor, 0, bytes);
  return bytes;
}

// Writes all tensors of `source` in its order.
void write_all(const TensorSource& source, const std::filesystem::path& path,
               const GgufMetadata& metadata) {
  const auto sink = create_gguf_file(path, source.tensors(), metadata);
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    sink->write(i, 0, bytes_of(source, i));
  }
  sink->finish();
}

void expect_same_tensors(const TensorSource& a, const TensorSource& b) {
  ASSERT_EQ(a.tensors().size(), b.tensors().size());
  for (std::size_t i = 0; i < a.tensors().size(); ++i) {
    EXPECT_EQ(a.tensors()[i].name, b.tensors()[i].name);
    EXPECT_EQ(a.tensors()[i].dtype, b.tensors()[i].dtype);
    EXPECT_EQ(a.tensors()[i].shape, b.tensors()[i].shape);
    EXPECT_EQ(bytes_of(a, i), bytes_of(b, i)) << a.tensors()[i].name;
  }
}

TEST(GgufWriter, CarriesTensorsAndMetadataOver) {
  const TemporaryFolder folder;
  const GgufSource in(std::filesystem::path(AMALGAM_TEST_DATA) / "gguf/v3.gguf");
  write_all(in, folder / "out.gguf", in.gguf_metadata());
  const GgufSource out(folder / "out.gguf");
  EXPECT_EQ(out.version(), 3U);
  expect_same_tensors(in, out);
  // Everything as it was, but for the two keys the writer sets. Most elements of the matrices are
  // in Q8_0, which is file type 7.
  GgufMetadata expected = in.gguf_metadata();
  expected.set("general.file_type", GgufValue::of(std::uint32_t{7}));
  expected.set("general.quantization_version", GgufValue::of(std::uint32_t{2}));
  EXPECT_EQ(out.gguf_metadata(), expected);
}

// The whole file by hand: what is written is the format's description, not just what we read.
TEST(GgufWriter, WritesTheFormatByteForByte) {
  const TemporaryFolder folder;
  {
    const auto sink = create_gguf_file(
        folder / "out.gguf", {info_of("b", DType::i8, {2, 3}), info_of("a", DType::i16, {1})},
        minimal_gguf_metadata("gpt2", ""));
    const std::vector<std::byte> six(6, std::byte{7});
    const std::vector<std::byte> two(2, std::byte{9});
    sink->write(1, 0, two);
    sink->write(0, 0, std::span(six).first(4));
    sink->write(0, 4, std::span(six).subspan(4));
    sink->finish();
  }
  GgufBytes expected;
  expected.header(2, 2).string("general.architecture").u32(8).string("gpt2");
  expected.pair_u32("general.quantization_version", 2);
  expected.tensor("b", {3, 2}, 0, 24).tensor("a", {1}, 32, 25).data(0);
  expected.raw(std::string(6, '\7') + std::string(26, '\0') + std::string(2, '\11') +
               std::string(30, '\0'));
  EXPECT_EQ(contents_of(folder / "out.gguf"), expected.bytes());
}

TEST(GgufWriter, EveryTypeSurvivesARoundTrip) {
  const TemporaryFolder folder;
  std::vector<double> values(64);
  std::iota(values.begin(), values.end(), -20);
  std::vector<MemoryTensor> tensors;
  for (const DType dtype :
       {DType::f32, DType::f16, DType::bf16, DType::f64, DType::i8, DType::i16, DType::i32,
        DType::i64, DType::q8_0, DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1}) {
    tensors.push_back(make_tensor(std::string(dtype_name(dtype)), {2, 32}, values, dtype));
  }
  tensors.push_back(make_tensor("scalar", {}, {3}));
  tensors.push_back(make_tensor("empty", {0, 4}, {}));
  const MemorySource in("memory", std::move(tensors));
  write_all(in, folder / "out.gguf", {});
  expect_same_tensors(in, *open_gguf(folder / "out.gguf"));
}

TEST(GgufWriter, ThreadsMayWriteAtOnce) {
  const TemporaryFolder folder;
  constexpr std::size_t kRows = 1000;
  const auto sink =
      create_gguf_file(folder / "out.gguf", {info_of("w", DType::i8, {kRows, 64})}, {});
  const auto write_rows = [&](std::size_t first) {
    for (std::size_t row = first; row < kRows; row += 4) {
      const std::vector<std::byte> bytes(64, static_cast<std::byte>(row % 100));
      sink->write(0, row * 64, bytes);
    }
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 4; ++i) threads.emplace_back(write_rows, i);
  for (std::thread& thread : threads) thread.join();
  sink->finish();
  const auto values = values_of(*open_gguf(folder / "out.gguf"), "w");
  for (std::size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(values[i], static_cast<double>(i / 64 % 100)) << i;
  }
}

TEST(GgufWriter, FileTypeIsThatOfMostMatrixElements) {
  const TemporaryFolder folder;
  const auto file_type = [&](const std::vector<TensorInfo>& tensors) {
    const auto path = folder / "t.gguf";
    std::filesystem::remove(path);
    GgufMetadata metadata;
    metadata.set("general.file_type", GgufValue::of(std::uint32_t{15}));
    create_gguf_file(path, tensors, metadata)->finish();
    const GgufSource source(path);
    const GgufValue* value = source.gguf_metadata().find("general.file_type");
    return value != nullptr ? value->as_unsigned() : std::nullopt;
  };
  EXPECT_EQ(file_type({info_of("a", DType::f32, {4, 4})}), 0U);
  EXPECT_EQ(file_type({info_of("a", DType::f16, {4, 4}), info_of("n", DType::f32, {64})}), 1U);
  EXPECT_EQ(file_type({info_of("a", DType::bf16, {4, 4}), info_of("b", DType::f32, {3, 4})}), 32U);
  EXPECT_EQ(file_type({info_of("a", DType::q4_0, {1, 32})}), 2U);
  EXPECT_EQ(file_type({info_of("a", DType::q4_1, {1, 32})}), 3U);
  EXPECT_EQ(file_type({info_of("a", DType::q5_0, {1, 32})}), 8U);
  EXPECT_EQ(file_type({info_of("a", DType::q5_1, {1, 32})}), 9U);
  EXPECT_EQ(file_type({info_of("a", DType::i8, {1, 32})}), std::nullopt);
}

TEST(GgufWriter, DropsWhatIsNoLongerTrue) {
  const TemporaryFolder folder;
  GgufMetadata metadata;
  metadata.set("general.alignment", GgufValue::of(std::uint32_t{64}));
  metadata.set("split.count", GgufValue::of(std::uint16_t{1}));
  metadata.set("split.no", GgufValue::of(std::uint16_t{0}));
  create_gguf_file(folder / "o.gguf", {}, metadata)->finish();
  const GgufSource source(folder / "o.gguf");
  EXPECT_EQ(source.gguf_metadata().entries().size(), 1U);  // the quantisation version
}

TEST(GgufWriter, RefusesWhatTheFormatCannotHold) {
  const TemporaryFolder folder;
  const auto path = folder / "out.gguf";
  const auto create = [&](const std::vector<TensorInfo>& tensors) {
    return [&, tensors] { create_gguf_file(path, tensors, {}); };
  };
  expect_error<InputError>(create({info_of("w", DType::boolean, {2})}), path.string(),
                           "'w' is BOOL", "F16");
  expect_error<InputError>(create({info_of("w", DType::f8_e4m3, {2})}), "F8_E4M3");
  expect_error<InputError>(create({info_of("w", DType::f32, {1, 1, 1, 1, 1})}),
                           "shape [1, 1, 1, 1, 1]", "4 dimensions");
  expect_error<InputError>(create({info_of("", DType::f32, {1})}), "cannot be named ''");
  expect_error<InputError>(create({info_of("\xff", DType::f32, {1})}), "cannot be named '\\xff'");
  expect_error<InputError>(create({info_of("w", DType::f32, {1}), info_of("w", DType::f32, {2})}),
                           "'w' would be written twice");
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(GgufWriter, DoesNotTouchAFileThatExists) {
  const TemporaryFolder folder;
  const auto path = folder.write("out.gguf", "precious");
  expect_error<Error>([&] { create_gguf_file(path, {}, {}); }, path.string());
  EXPECT_EQ(contents_of(path), "precious");
}

TEST(GgufWriter, LeavesNothingWhenTheDiskIsTooSmall) {
  const TemporaryFolder folder;
  const auto path = folder / "out.gguf";
  expect_error<Error>(
      [&] { create_gguf_file(path, {info_of("w", DType::f32, {std::uint64_t{1} << 58})}, {}); },
      path.string());
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(GgufWriter, RefusesWritesOutsideATensorAndAfterTheEnd) {
  const TemporaryFolder folder;
  const auto sink = create_gguf_file(folder / "o.gguf", {info_of("w", DType::i8, {4})}, {});
  const std::vector<std::byte> bytes(4);
  EXPECT_THROW(sink->write(0, 1, bytes), Error);
  EXPECT_THROW(sink->write(0, ~std::uint64_t{0}, bytes), Error);
  sink->write(0, 0, bytes);
  sink->finish();
  EXPECT_THROW(sink->write(0, 0, bytes), Error);
}

}  // namespace
}  // namespace amalgam
