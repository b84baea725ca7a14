#include "amalgam/data/input_file.hpp"

#include <gmock/gmock.h>

#include <array>
#include <string>

#include "amalgam/core/error.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(InputFile, WhatIsNotThereOrNoFileIsBadInput) {
  const TemporaryFolder folder;
  EXPECT_THAT([&] { open_for_reading(folder / "nowhere", "a text file"); },
              ThrowsMessage<InputError>(
                  HasSubstr("nowhere: cannot be opened for reading: No such file or directory; "
                            "expected a text file")));
  EXPECT_THAT([&] { open_for_reading(folder.path(), "a text file"); },
              ThrowsMessage<InputError>(HasSubstr("it is a folder; expected a text file")));
}

TEST(InputFile, IsReadPieceByPieceToItsEnd) {
  const TemporaryFolder folder;
  const auto path = folder.write("five", "12345");
  std::ifstream file = open_for_reading(path, "a text file");
  std::array<char, 3> bytes{};
  EXPECT_EQ(read_some(file, bytes, path), 3U);
  EXPECT_EQ(std::string(bytes.data(), 3), "123");
  EXPECT_EQ(read_some(file, bytes, path), 2U);
  EXPECT_EQ(read_some(file, bytes, path), 0U);
}

// What the system calls memory of this process cannot be read at its beginning.
TEST(InputFile, ADeviceThatFailsIsNoBadInput) {
  std::ifstream file = open_for_reading("/proc/self/mem", "memory");
  std::array<char, 3> bytes{};
  try {
    read_some(file, bytes, "/proc/self/mem");
    FAIL() << "read what cannot be read";
  } catch (const InputError&) {
    FAIL() << "bad input";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("/proc/self/mem: cannot be read to its end"));
  }
}

}  // namespace
}  // namespace amalgam
