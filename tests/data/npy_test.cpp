#include "amalgam/data/npy.hpp"

#include <gmock/gmock.h>

#include <array>
#include <cmath>
#include <string>

#include "tests/error_of.hpp"

namespace amalgam {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string file_of(const std::string& header, const std::string& bytes, char version = 1) {
  std::string file("\x93NUMPY", 6);
  file += version;
  file += '\0';
  file += static_cast<char>(header.size() % 256);
  file += static_cast<char>(header.size() / 256);
  if (version > 1) file.append(2, '\0');
  return file + header + bytes;
}

// Gives at most `piece` bytes at a time.
NpyReader reader_of(std::string file, std::size_t piece = 1000) {
  return {[file, piece, at = std::size_t{0}](std::span<char> out) mutable {
            const std::size_t count = std::min({out.size(), piece, file.size() - at});
            file.copy(out.data(), count, at);
            at += count;
            return count;
          },
          "a.npy"};
}

std::vector<double> all_of(NpyReader reader, std::size_t piece = 7) {
  std::vector<double> values;
  std::vector<double> some(piece);
  while (const std::size_t count = reader.read(some)) {
    values.insert(values.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(count));
  }
  return values;
}

std::string header_of(const std::string& descr, const std::string& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }          \n";
}

TEST(NpyReader, ReadsEveryKindOfNumber) {
  using std::string;
  EXPECT_THAT(all_of(reader_of(file_of(header_of("|b1", "(2,)"), string("\x00\x01", 2)))),
              ElementsAre(0, 1));
  EXPECT_THAT(all_of(reader_of(file_of(header_of("|i1", "(2,)"), "\xff\x7f"))),
              ElementsAre(-1, 127));
  EXPECT_THAT(all_of(reader_of(file_of(header_of("|u1", "(2,)"), "\xff\x7f"))),
              ElementsAre(255, 127));
  EXPECT_THAT(all_of(reader_of(file_of(header_of("<i2", "(1,)"), "\xfe\xff"))), ElementsAre(-2));
  EXPECT_THAT(all_of(reader_of(file_of(header_of(">i2", "(1,)"), "\xff\xfe"))), ElementsAre(-2));
  EXPECT_THAT(all_of(reader_of(file_of(header_of(">u4", "(1,)"), string("\x00\x00\x01\x02", 4)))),
              ElementsAre(258));
  EXPECT_THAT(all_of(reader_of(file_of(header_of("<f4", "(1,)"), string("\x00\x00\xc0\x3f", 4)))),
              ElementsAre(1.5));
  EXPECT_THAT(all_of(reader_of(file_of(header_of("<i8", "(1,)"), string(8, '\xff')))),
              ElementsAre(-1));
  EXPECT_THAT(all_of(reader_of(file_of(header_of("<u8", "(1,)"), string(8, '\xff')))),
              ElementsAre(18446744073709551616.0));
}

TEST(NpyReader, DoesNotDependOnHowBytesArrive) {
  std::string bytes;
  for (int i = 0; i < 100; ++i) bytes += static_cast<char>(i);
  for (const std::size_t piece : {1U, 3U, 64U}) {
    const auto values =
        all_of(reader_of(file_of(header_of("|i1", "(10, 10)"), bytes), piece), piece);
    ASSERT_EQ(values.size(), 100U);
    EXPECT_EQ(values[99], 99);
  }
}

TEST(NpyReader, ReadsTheOtherVersionsAndArraysWithoutElements) {
  const NpyReader second = reader_of(file_of(header_of("|i1", "(0, 3)"), "", 2));
  EXPECT_THAT(second.header().shape, ElementsAre(0, 3));
  EXPECT_THAT(all_of(reader_of(file_of(header_of("|i1", "()"), "\x05", 3))), ElementsAre(5));
}

std::string refusal(const std::string& file) {
  return error_of([&] { all_of(reader_of(file)); });
}

TEST(NpyReader, RefusesDamage) {
  EXPECT_THAT(refusal("PK\x03\x04 and so on"), HasSubstr("a.npy: not a .npy file"));
  EXPECT_THAT(refusal(""), HasSubstr("not a .npy file"));
  EXPECT_THAT(refusal(file_of(header_of("|i1", "(1,)"), "x", 9)), HasSubstr(".npy version 9"));
  EXPECT_THAT(refusal(file_of(header_of("|i1", "(2,)"), "x")),
              HasSubstr("cut short: its header promises 2 elements"));
  EXPECT_THAT(refusal(file_of(header_of("|i1", "(1,)"), "xy")),
              HasSubstr("goes on after its array of 1 elements"));
  EXPECT_THAT(refusal(file_of(header_of("<U7", "(1,)"), "x")), HasSubstr("element type '<U7'"));
  EXPECT_THAT(refusal(file_of(header_of("<f2", "(1,)"), "xx")), HasSubstr("element type '<f2'"));
  EXPECT_THAT(refusal(file_of(header_of("<i8", "(4294967296, 4294967296)"), "")),
              HasSubstr("more bytes than any file has"));
  EXPECT_THAT(refusal(file_of("{'descr': '<i8'", "")), HasSubstr("header is damaged"));
  EXPECT_THAT(refusal(file_of("{'descr': [('a', '<i8')], }", "")), HasSubstr("array of records"));
  EXPECT_THAT(refusal(file_of("{'shape': (1,), 'shape': (1,)}", "")), HasSubstr("there twice"));
  EXPECT_THAT(refusal(file_of("{'shape': (-1,)}", "")), HasSubstr("tuple of whole numbers"));
  EXPECT_THAT(refusal(file_of("{'shape': (1,)}", "")), HasSubstr("'descr'"));
  const std::string whole = file_of(header_of("|i1", "(1,)"), "x");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_NE(refusal(whole.substr(0, length)), "no error") << length;
  }
}

TEST(NpyReader, NamesAFileThatIsNotThere) {
  EXPECT_THAT(error_of([] { NpyReader::open("/nonexistent/a.npy"); }),
              HasSubstr("/nonexistent/a.npy: cannot be opened"));
}

}  // namespace
}  // namespace amalgam
