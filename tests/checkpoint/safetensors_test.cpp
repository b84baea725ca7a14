#include "amalgam/checkpoint/safetensors.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstddef>

#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/core/error.hpp"
#include "tests/checkpoint/safetensors_bytes.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/checkpoint/tensor_access.hpp"

namespace amalgam {
namespace {

// Expects that opening a file of these bytes fails with a message naming the file and `parts`.
template <class... Parts>
void expect_refused(std::string_view bytes, const Parts&... parts) {
  const TemporaryFolder folder;
  const auto path = folder.write("weights.safetensors", bytes);
  expect_error<InputError>([&] { open_safetensors(path); }, path.string() + ": ", parts...);
}

TEST(Safetensors, ReadsTensorsAndMetadata) {
  const TemporaryFolder folder;
  // 1.0f and -2.0f, little-endian, then the bytes of 'u'; an empty tensor and a scalar.
  const std::string data("\x00\x00\x80\x3f\x00\x00\x00\xc0zxyz", 12);
  const auto source = open_safetensors(folder.write(
      "w", safetensors_bytes(R"({"w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
                             R"("u":{"dtype":"U8","shape":[3],"data_offsets":[9,12]},)"
                             R"("empty":{"dtype":"BF16","shape":[0,7],"data_offsets":[9,9]},)"
                             R"("scalar":{"dtype":"I8","shape":[],"data_offsets":[8,9]},)"
                             R"("__metadata__":{"format":"pt","k":"v"}}   )",
                             data)));
  ASSERT_EQ(source->tensors().size(), 4U);
  EXPECT_EQ(source->tensors()[0].name, "empty");
  EXPECT_EQ(source->tensors()[0].shape, (Shape{0, 7}));
  EXPECT_EQ(source->tensors()[0].bytes, 0U);
  EXPECT_EQ(source->metadata().at("k"), "v");
  EXPECT_EQ(values_of(*source, "w"), (std::vector<double>{1, -2}));
  EXPECT_EQ(values_of(*source, "scalar"), (std::vector<double>{'z'}));
  EXPECT_EQ(values_of(*source, "empty"), std::vector<double>{});
  std::array<std::byte, 2> two{};
  source->read_bytes(index_of(*source, "u"), 1, two);
  EXPECT_EQ(two[0], std::byte{'y'});
  EXPECT_EQ(two[1], std::byte{'z'});
  source->will_need(index_of(*source, "w"), 0, 8);
}

TEST(Safetensors, RefusesReadsOutsideATensor) {
  const TemporaryFolder folder;
  const auto source = open_safetensors(folder.write("w", small_safetensors("a")));
  std::array<std::byte, 3> three{};
  EXPECT_THROW(source->read_bytes(0, 2, three), Error);
  EXPECT_THROW(source->read_bytes(0, ~std::uint64_t{0}, three), Error);
  EXPECT_NO_THROW(source->read_bytes(0, 1, three));
}

TEST(Safetensors, RefusesFilesWithoutAHeader) {
  expect_refused("", "0 bytes, too short");
  expect_refused("1234567", "7 bytes, too short");
  expect_refused(std::string(8, '\0'), "header is empty");
  expect_refused(safetensors_bytes("", "abc"), "header is empty");
}

TEST(Safetensors, RefusesHeadersThatAreTooLong) {
  // 0x05f5e101 = 100,000,001; and one that would overflow any sum.
  expect_refused(std::string("\x01\xe1\xf5\x05\0\0\0\0{}", 10), "100000001 bytes");
  expect_refused(std::string(8, '\xff') + "{}", "header would have 18446744073709551615 bytes");
  expect_refused(std::string("\x03\0\0\0\0\0\0\0{}", 10), "truncated in the header",
                 "expected at least 11 bytes, found 10");
}

TEST(Safetensors, RefusesHeadersThatAreNoJsonObject) {
  expect_refused(safetensors_bytes("[]", ""), "does not begin with '{'");
  expect_refused(safetensors_bytes(" {}", ""), "does not begin with '{'");
  expect_refused(safetensors_bytes("{\"a\":", ""), "not valid JSON");
  expect_refused(safetensors_bytes("{}x", ""), "not valid JSON");
  expect_refused(safetensors_bytes(R"({"a":3})", ""), "tensor 'a'", "JSON number");
}

TEST(Safetensors, RefusesDuplicateNames) {
  const std::string entry = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  expect_refused(safetensors_bytes("{" + entry + "," + entry + "}", "x"), "'a' appears twice");
}

TEST(Safetensors, RefusesUnknownTypes) {
  const auto with_dtype = [](const std::string& dtype) {
    return safetensors_bytes(
        R"({"h.0.w":{"dtype":)" + dtype + R"(,"shape":[1],"data_offsets":[0,1]}})", "x");
  };
  expect_refused(with_dtype(R"("F13")"), "tensor 'h.0.w'", "unknown dtype 'F13'");
  expect_refused(with_dtype(R"("u8")"), "unknown dtype 'u8'");      // the format's spelling only
  expect_refused(with_dtype(R"("Q4_0")"), "unknown dtype 'Q4_0'");  // GGUF's
  expect_refused(with_dtype(R"("F8_E8M0")"), "tensor 'h.0.w' is F8_E8M0", "as F32");
  expect_refused(with_dtype("8"), "tensor 'h.0.w' has no dtype");
  expect_refused(safetensors_bytes(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", "x"),
                 "tensor 'a' has no dtype");
}

TEST(Safetensors, RefusesShapesThatAreNone) {
  const auto with_shape = [](const std::string& shape) {
    return safetensors_bytes(R"({"a":{"dtype":"U8","data_offsets":[0,1],"shape":)" + shape + "}}",
                             "x");
  };
  expect_refused(with_shape("[-1]"), "tensor 'a' has -1 in 'shape'");
  expect_refused(with_shape("[1.0]"), "has 1.0 in 'shape'");
  expect_refused(with_shape("[18446744073709551616]"), "in 'shape', expected non-negative");
  expect_refused(with_shape(R"(["1"])"), "has string in 'shape'");
  expect_refused(with_shape("1"), "no list 'shape'");
  // 2^32 * 2^32 overflows 64 bits to 0.
  expect_refused(with_shape("[4294967296,4294967296]"), "'a'");
  expect_refused(with_shape("[9223372036854775808]"), "'a'");
  // A zero anywhere must not hide an overflow before it... or be misread as one: it is empty.
  expect_refused(with_shape("[0]"), "takes 0 bytes", "data_offsets [0, 1] hold 1");
}

TEST(Safetensors, RefusesOffsetsOutOfRange) {
  const auto with_offsets = [](const std::string& offsets) {
    return safetensors_bytes(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + offsets + "}}",
                             "abcd");
  };
  expect_refused(with_offsets("[0,5]"), "tensor 'a' has data_offsets [0, 5]", "4 bytes of data");
  expect_refused(with_offsets("[4,0]"), "run backwards");
  expect_refused(with_offsets("[0,18446744073709551615]"), "4 bytes of data");
  expect_refused(with_offsets("[0]"), "has 1 data_offsets");
  expect_refused(with_offsets("[0,2,4]"), "has 3 data_offsets");
  expect_refused(with_offsets("[-4,0]"), "has -4 in 'data_offsets'");
  expect_refused(with_offsets("[0,3]"), "[4] takes 4 bytes", "hold 3");
}

TEST(Safetensors, RefusesSizesThatDoNotMatch) {
  expect_refused(safetensors_bytes(R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,20]}})",
                                   std::string(20, 'x')),
                 "tensor 'a' of F32 [2, 3] takes 24 bytes, but its data_offsets [0, 20] hold 20");
}

std::string two_tensors(const std::string& a, const std::string& b) {
  return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + a +
         R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + b + "}}";
}

TEST(Safetensors, RefusesTensorsThatOverlap) {
  expect_refused(safetensors_bytes(two_tensors("[0,4]", "[2,6]"), "abcdef"),
                 "tensor 'b' begins at byte 2, but 'a' ends at 4: they overlap");
  expect_refused(safetensors_bytes(two_tensors("[0,4]", "[0,4]"), "abcd"), "overlap");
}

TEST(Safetensors, RefusesHoles) {
  expect_refused(safetensors_bytes(two_tensors("[5,9]", "[0,4]"), "abcd?efgh"),
                 "tensor 'a' begins at byte 5, but the data before it ends at 4: a hole");
  expect_refused(safetensors_bytes(two_tensors("[1,5]", "[5,9]"), "?abcdefgh"), "a hole");
  expect_refused(safetensors_bytes(two_tensors("[0,4]", "[4,8]"), "abcdefgh?"),
                 "the tensors take 8 bytes of data, but the file has 9");
  expect_refused(safetensors_bytes("{}", "x"), "take 0 bytes of data, but the file has 1");
}

TEST(Safetensors, RefusesMetadataThatIsNotText) {
  expect_refused(safetensors_bytes(R"({"__metadata__":{"a":1}})", ""),
                 "__metadata__ 'a' is a JSON number");
  expect_refused(safetensors_bytes(R"({"__metadata__":"pt"})", ""),
                 "__metadata__ is a JSON string");
}

TEST(Safetensors, AcceptsAFileWithoutTensors) {
  const TemporaryFolder folder;
  EXPECT_TRUE(open_safetensors(folder.write("w", safetensors_bytes("{}", "")))->tensors().empty());
}

TEST(Safetensors, SaysWhenAFileShrinksAfterItWasOpened) {
  const TemporaryFolder folder;
  const std::string bytes = small_safetensors("a");
  const auto path = folder.write("w.safetensors", bytes);
  const auto source = open_safetensors(path);
  ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(bytes.size() - 1)), 0);
  expect_error<InputError>(
      [&] { values_of(*source, "a"); }, path.string(), "truncated",
      fmt::format("expected {} bytes, found {}", bytes.size(), bytes.size() - 1));
}

}  // namespace
}  // namespace amalgam
