#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "amalgam/checkpoint/file.hpp"

namespace amalgam {

/// One member of a zip archive, as its central directory says.
struct ZipEntry {
  bool is_stored = false;          ///< neither compressed nor encrypted
  std::uint64_t bytes = 0;         ///< uncompressed
  std::uint64_t local_header = 0;  ///< file offset
};

/// A zip archive whose stored members are read in place. libzip reads and checks the directory and
/// the small records; where members begin, which it does not tell, is read here and compared with
/// what it says.
class ZipArchive {
 public:
  /// InputError if the archive is malformed, spans several disks, or has a member twice.
  explicit ZipArchive(const std::filesystem::path& path);

  const File& file() const { return file_; }
  const std::map<std::string, ZipEntry, std::less<>>& entries() const { return entries_; }
  /// Null if there is no such member.
  const ZipEntry* find(std::string_view name) const;

  /// The file offset of a stored member's first byte; its local header is checked. InputError if
  /// the member is not stored or does not lie before the directory.
  std::uint64_t data_offset(std::string_view name) const;

  /// The contents of a member, decompressed if need be, its checksum verified; InputError if there
  /// is none, or it has more than `limit` bytes.
  std::string read_record(std::string_view name, std::uint64_t limit) const;

 private:
  File file_;
  std::string label_;
  std::uint64_t directory_ = 0;  // file offset of the central directory
  std::map<std::string, ZipEntry, std::less<>> entries_;
};

}  // namespace amalgam
