#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "amalgam/checkpoint/file.hpp"

namespace amalgam {

/// A member as the central directory lists it.
struct ZipListing {
  std::string name;
  std::uint64_t bytes = 0;         ///< uncompressed
  std::uint64_t local_header = 0;  ///< file offset
};

struct ZipDirectory {
  std::uint64_t start = 0;  ///< file offset of the central directory
  std::vector<ZipListing> members;
};

/// Reads the central directory (APPNOTE.TXT 6.3, sections 4.3.12 to 4.3.16, zip64 included) at the
/// end of `file`. InputError for anything malformed.
ZipDirectory read_zip_directory(const File& file);

}  // namespace amalgam
