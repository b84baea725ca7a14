#include "amalgam/checkpoint/file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "amalgam/core/error.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

std::string read(const File& file, std::uint64_t offset, std::size_t count) {
  std::string bytes(count, '\0');
  file.read_exactly(offset, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

TEST(File, ReadsAtOffsets) {
  const TemporaryFolder folder;
  const File file = File::open(folder.write("f", "0123456789"));
  EXPECT_EQ(file.size(), 10U);
  EXPECT_EQ(read(file, 7, 3), "789");
  EXPECT_EQ(read(file, 0, 10), "0123456789");
  EXPECT_EQ(read(file, 10, 0), "");
}

TEST(File, SaysWhatIsTruncated) {
  const TemporaryFolder folder;
  const auto path = folder.write("weights", "0123456789");
  const File file = File::open(path);
  expect_error<InputError>([&] { read(file, 8, 4); }, path.string(),
                           "truncated: expected 12 bytes, found 10");
  ASSERT_EQ(::truncate(path.c_str(), 4), 0);
  expect_error<InputError>([&] { read(file, 2, 4); }, path.string(),
                           "truncated: expected 10 bytes, found 4");
}

TEST(File, RefusesWhatIsNoRegularFile) {
  const TemporaryFolder folder;
  expect_error<InputError>([&] { File::open(folder / "none"); }, "none: no such file");
  expect_error<InputError>([&] { File::open(folder.path()); }, "not a regular file but a folder");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  expect_error<InputError>([&] { File::open(folder / "pipe"); }, "pipe: not a regular file");
}

TEST(File, CreatesReservesAndWrites) {
  const TemporaryFolder folder;
  {
    File file = File::create(folder / "f");
    file.reserve(100'000);
    EXPECT_EQ(file.current_size(), 100'000U);
    struct stat status {};
    ASSERT_EQ(::fstat(file.descriptor(), &status), 0);
    EXPECT_GE(status.st_blocks * 512, 100'000);  // really reserved, not a hole
    file.write_exactly(99'997, std::as_bytes(std::span("end", 3)));
    EXPECT_EQ(read(file, 99'996, 4), std::string("\0end", 4));
    file.reserve(10);
    EXPECT_EQ(file.current_size(), 10U);
    file.sync();
  }
  expect_error<Error>([&] { File::create(folder / "f"); }, "/f: cannot create", "exists");
}

TEST(File, NamesNeededAndFreeBytesWhenTheyDoNotFit) {
  const TemporaryFolder folder;
  File file = File::create(folder / "huge");
  // A petabyte: more than is free, or more than the file system lets a file have.
  expect_error<Error>([&] { file.reserve(std::uint64_t{1} << 50); }, "huge: ");
  EXPECT_EQ(file.current_size(), 0U);
}

TEST(File, MovesItsDescriptor) {
  const TemporaryFolder folder;
  File a = File::open(folder.write("a", "aaa"));
  File b = File::open(folder.write("b", "bbb"));
  b = std::move(a);
  EXPECT_EQ(read(b, 0, 3), "aaa");
  EXPECT_EQ(b.path(), folder / "a");
  const File c(std::move(b));
  EXPECT_EQ(read(c, 0, 3), "aaa");
}

TEST(FolderLock, IsExclusiveAndKnowsItsFolder) {
  const TemporaryFolder folder;
  const auto place = folder / "place";
  std::filesystem::create_directory(place);
  {
    const auto taken = FolderLock::try_lock(place);
    const FolderLock* lock = taken ? &*taken : nullptr;
    ASSERT_NE(lock, nullptr);
    EXPECT_TRUE(lock->holds(place));
    EXPECT_FALSE(FolderLock::try_lock(place).has_value());
    std::filesystem::rename(place, folder / "elsewhere");
    EXPECT_FALSE(lock->holds(place));
    EXPECT_TRUE(lock->holds(folder / "elsewhere"));
    std::filesystem::create_directory(place);
    EXPECT_FALSE(lock->holds(place));
  }
  EXPECT_TRUE(FolderLock::try_lock(folder / "elsewhere").has_value());
  EXPECT_THROW(FolderLock::try_lock(folder / "none"), Error);
}

TEST(FreeBytes, AnswersForPathsThatDoNotExistYet) {
  const TemporaryFolder folder;
  EXPECT_GT(free_bytes(folder.path()), 0U);
  EXPECT_GT(free_bytes(folder / "not/yet/there"), 0U);
  EXPECT_GT(free_bytes("relative-and-missing"), 0U);
}

TEST(TextFile, IsReplacedWholeAndReadUpToALimit) {
  const TemporaryFolder folder;
  write_text_file(folder / "t", "hello");
  EXPECT_EQ(read_text_file(folder / "t", 5), "hello");
  expect_error<InputError>([&] { (void)read_text_file(folder / "t", 4); }, "has 5 bytes",
                           "at most 4");
  write_text_file(folder / "t", "new");
  EXPECT_EQ(contents_of(folder / "t"), "new");
}

}  // namespace
}  // namespace amalgam
