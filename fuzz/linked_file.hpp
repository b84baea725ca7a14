#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "fuzz/memory_file.hpp"

/// A file in memory that has names of its own in a folder, for readers that look at extensions.
class LinkedFile {
 public:
  LinkedFile() {
    std::string pattern = (std::filesystem::temp_directory_path() / "fuzz-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    folder_ = pattern;
  }
  ~LinkedFile() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  LinkedFile(const LinkedFile&) = delete;
  LinkedFile& operator=(const LinkedFile&) = delete;

  const std::filesystem::path& folder() const { return folder_; }
  void set(const void* data, std::size_t size) const { file_.set(data, size); }
  /// The file by another name in the folder.
  std::filesystem::path named(const std::string& name) const {
    const std::filesystem::path path = folder_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    std::filesystem::create_symlink(file_.path(), path);
    return path;
  }
  /// A further file with contents that stay.
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
  }

 private:
  MemoryFile file_;
  std::filesystem::path folder_;
};
