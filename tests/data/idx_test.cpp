#include "amalgam/data/idx.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <zlib.h>

#include <string>
#include <vector>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

using testing::HasSubstr;

std::vector<std::byte> bytes_of(const std::vector<int>& values) {
  std::vector<std::byte> bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

// Shape [2, 3], values 1 to 6.
std::vector<std::byte> small_file() {
  return bytes_of({0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6});
}

std::vector<std::byte> gzip(const std::vector<std::byte>& plain) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::vector<std::byte> out(deflateBound(&stream, plain.size()) + 64);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string error_of(const std::vector<std::byte>& bytes, const IdxLimits& limits = {}) {
  try {
    parse_idx(bytes, "images.idx", limits);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Idx, ReadsPlainAndCompressedFilesAlike) {
  for (const auto& bytes : {small_file(), gzip(small_file())}) {
    const IdxArray array = parse_idx(bytes, "small");
    EXPECT_EQ(array.shape, (Shape{2, 3}));
    EXPECT_EQ(array.values, (std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6}));
  }
}

TEST(Idx, RefusesAFileThatIsCutShortAnywhere) {
  const std::vector<std::byte> whole = small_file();
  const std::vector<std::byte> compressed = gzip(whole);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const std::vector<std::byte> part(whole.begin(),
                                      whole.begin() + static_cast<std::ptrdiff_t>(length));
    EXPECT_THROW(parse_idx(part, "part"), InputError) << length;
  }
  // The last 8 bytes of gzip are a checksum and a length.
  for (std::size_t length = 0; length < compressed.size(); ++length) {
    const std::vector<std::byte> part(compressed.begin(),
                                      compressed.begin() + static_cast<std::ptrdiff_t>(length));
    EXPECT_THROW(parse_idx(part, "part"), InputError) << length;
  }
}

TEST(Idx, SaysWhatIsWrong) {
  EXPECT_THAT(error_of(bytes_of({1, 0, 8, 1, 0, 0, 0, 0})), HasSubstr("images.idx: not an IDX"));
  EXPECT_THAT(error_of(bytes_of({0, 0, 13, 1, 0, 0, 0, 0})), HasSubstr("element type 0x0d"));
  EXPECT_THAT(error_of(bytes_of({0, 0, 8, 0})), HasSubstr("0 dimensions"));
  EXPECT_THAT(error_of(bytes_of({0, 0, 8, 5})), HasSubstr("5 dimensions"));
  auto longer = small_file();
  longer.push_back(std::byte{7});
  EXPECT_THAT(error_of(longer), HasSubstr("more bytes than the 6 values of shape [2, 3]"));
  auto shorter = small_file();
  shorter.pop_back();
  EXPECT_THAT(error_of(shorter), HasSubstr("5 values, but the header of shape [2, 3] promises 6"));
}

TEST(Idx, RefusesSizesThatOverflowOrExceedTheLimitWithoutAllocatingThem) {
  std::vector<int> huge{0, 0, 8, 4};
  for (int i = 0; i < 16; ++i) huge.push_back(255);
  EXPECT_THAT(error_of(bytes_of(huge)), HasSubstr("promises more than"));
  EXPECT_THAT(error_of(small_file(), {.dimensions = 4, .values = 5}), HasSubstr("more than 5"));
  // Below the limit, but not there: memory must follow the contents, not the promise.
  EXPECT_THAT(error_of(bytes_of({0, 0, 8, 1, 0x3B, 0x9A, 0, 0, 1})), HasSubstr("1 values, but"));
}

TEST(Idx, StopsAtTheLimitOfACompressedBomb) {
  const auto bomb = gzip(std::vector<std::byte>(10'000'000));
  EXPECT_LT(bomb.size(), 20'000U);
  EXPECT_THROW(parse_idx(bomb, "bomb"), InputError);
}

RC_GTEST_PROP(Idx, NeverDoesAnythingButParseOrRefuse, (std::vector<std::uint8_t> tail)) {
  std::vector<std::byte> bytes = bytes_of({0, 0, 8});
  for (const std::uint8_t one : tail) bytes.push_back(std::byte{one});
  try {
    const IdxArray array = parse_idx(bytes, "random");
    std::uint64_t expected = 1;
    for (const std::uint64_t size : array.shape) expected *= size;
    RC_ASSERT(array.values.size() == expected);
  } catch (const InputError&) {
  }
}

}  // namespace
}  // namespace amalgam
