#include "amalgam/core/file_status.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

// That a device which fails is an Error is what tests/faults try (kind "status").
TEST(FileStatus, TellsFilesFoldersAndNothingApart) {
  const TemporaryFolder folder;
  folder.write("file", "x");
  fs::create_symlink(folder / "file", folder / "link");
  fs::create_symlink(folder / "nowhere", folder / "broken");
  for (const char* name : {"file", "link"}) {
    EXPECT_TRUE(path_exists(folder / name)) << name;
    EXPECT_TRUE(names_file(folder / name)) << name;
    EXPECT_FALSE(names_folder(folder / name)) << name;
  }
  EXPECT_TRUE(path_exists(folder.path()));
  EXPECT_FALSE(names_file(folder.path()));
  EXPECT_TRUE(names_folder(folder.path()));
  // What cannot be followed is not there: no entry, a file for a folder, too long a name.
  for (const std::string& name : {std::string("none"), std::string("broken"),
                                  std::string("file/below"), std::string(5000, 'x')}) {
    EXPECT_FALSE(path_exists(folder / name)) << name;
    EXPECT_FALSE(names_file(folder / name)) << name;
    EXPECT_FALSE(names_folder(folder / name)) << name;
  }
}

TEST(FileStatus, NamesOfOneThing) {
  const TemporaryFolder folder;
  folder.write("file", "x");
  fs::create_symlink(folder.path(), folder / "link");
  EXPECT_TRUE(name_the_same(folder / "file", folder / "link/file"));
  EXPECT_FALSE(name_the_same(folder / "file", folder.path()));
  EXPECT_FALSE(name_the_same(folder / "none", folder / "none"));
  EXPECT_EQ(resolved_path(folder / "link/./none"), resolved_path(folder / "none"));
  EXPECT_NE(resolved_path(folder / "none"), resolved_path(folder / "file"));
  const std::string long_name(5000, 'x');
  EXPECT_NE(resolved_path(folder / (long_name + "a")), resolved_path(folder / (long_name + "b")));
}

}  // namespace
}  // namespace amalgam
