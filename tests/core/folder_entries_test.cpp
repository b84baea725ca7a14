#include "amalgam/core/folder_entries.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "amalgam/core/error.hpp"
#include "amalgam/core/system_failure.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

TEST(FolderEntries, ComeInTheOrderOfTheirNames) {
  const TemporaryFolder folder;
  for (const char* name : {"c", "a", "b"}) std::ofstream(folder / name) << name;
  fs::create_directory(folder / "aa");
  std::string names;
  for (const fs::directory_entry& entry : folder_entries(folder / ".")) {
    names += entry.path().filename().string() + " ";
  }
  EXPECT_EQ(names, "a aa b c ");
}

TEST(FolderEntries, ThereAreNoneOfAFileOrNothing) {
  const TemporaryFolder folder;
  std::ofstream(folder / "file") << "x";
  EXPECT_THROW(folder_entries(folder / "file"), InputError);
  EXPECT_THROW(folder_entries(folder / "nowhere"), InputError);
}

TEST(SystemFailure, IsNotWhatTheUserAskedFor) {
  for (const int error : {EIO, ENOMEM, ENOSPC, EMFILE}) {
    EXPECT_TRUE(is_system_failure(error)) << error;
    try {
      throw_system_error(error, "x");
    } catch (const InputError&) {
      ADD_FAILURE() << error;
    } catch (const Error& thrown) {
      EXPECT_STREQ(thrown.what(), "x");
    }
  }
  for (const int error : {ENOENT, EACCES, ENOTDIR, EISDIR, EROFS}) {
    EXPECT_FALSE(is_system_failure(error)) << error;
    EXPECT_THROW(throw_system_error(error, "x"), InputError);
  }
}

}  // namespace
}  // namespace amalgam
