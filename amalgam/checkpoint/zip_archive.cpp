#include "amalgam/checkpoint/zip_archive.hpp"

#include <unistd.h>
#include <zip.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <span>
#include <system_error>
#include <utility>

#include "amalgam/checkpoint/zip_directory.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/system_failure.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam {
namespace {

constexpr std::uint64_t kLocalHeaderBytes = 30;

struct Discard {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
using LibzipArchive = std::unique_ptr<zip_t, Discard>;

struct CloseMember {
  void operator()(zip_file_t* member) const { zip_fclose(member); }
};

// With the system's reason, where there is one for the code.
struct ZipError {
  ZipError(int code, int reason) {
    zip_error_init(&error);
    zip_error_set(&error, code, reason);
  }
  ~ZipError() { zip_error_fini(&error); }
  ZipError(const ZipError&) = delete;
  ZipError& operator=(const ZipError&) = delete;
  zip_error_t error{};
};

// An archive that cannot be read is damaged, unless memory or the device failed.
[[noreturn]] void fail(zip_error_t& error, const std::string& what) {
  const std::string message = fmt::format("{}: {}", what, zip_error_strerror(&error));
  if (zip_error_code_zip(&error) == ZIP_ER_MEMORY) throw Error(message);
  const bool has_reason = zip_error_system_type(&error) == ZIP_ET_SYS;
  throw_system_error(has_reason ? zip_error_code_system(&error) : 0, message);
}

// Of the very file that is open, whatever its path leads to by now.
LibzipArchive open_with_libzip(const File& file) {
  const std::string label = file.path().string();
  const int descriptor = ::dup(file.descriptor());
  if (descriptor < 0) {
    throw Error("{}: cannot open: {}", label, std::generic_category().message(errno));
  }
  int code = 0;
  LibzipArchive archive(zip_fdopen(descriptor, ZIP_CHECKCONS, &code));
  if (!archive) {
    ZipError error(code, errno);
    ::close(descriptor);
    fail(error.error, label + ": not a valid zip archive");
  }
  return archive;
}

// libzip takes some failures of memory or device for damage; what is damaged is so at a second look
// too.
template <class Read>
auto at_second_look(const Read& read) {
  try {
    return read();
  } catch (const InputError&) {
    return read();
  }
}

std::string read_member(const File& file, const std::string& name, std::uint64_t bytes) {
  const std::string label = file.path().string();
  const std::string shown = printable(name);
  const LibzipArchive archive = open_with_libzip(file);
  const std::unique_ptr<zip_file_t, CloseMember> member(
      zip_fopen(archive.get(), name.c_str(), ZIP_FL_ENC_RAW));
  if (!member) {
    fail(*zip_get_error(archive.get()), fmt::format("{}: cannot read '{}'", label, shown));
  }
  std::string contents;
  std::array<char, 65536> piece{};
  while (true) {
    const zip_int64_t got = zip_fread(member.get(), piece.data(), piece.size());
    if (got < 0) {
      fail(*zip_file_get_error(member.get()), fmt::format("{}: cannot read '{}'", label, shown));
    }
    if (got == 0) break;
    contents.append(piece.data(), static_cast<std::size_t>(got));
    if (contents.size() > bytes) break;
  }
  if (contents.size() != bytes) {
    throw InputError("{}: '{}' does not have the {} bytes its directory says", label, shown, bytes);
  }
  return contents;
}

zip_stat_t stat_member(zip_t& archive, std::uint64_t index, const std::string& label) {
  zip_stat_t status;
  zip_stat_init(&status);
  constexpr zip_uint64_t kNeeded = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE |
                                   ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
  if (zip_stat_index(&archive, index, ZIP_FL_ENC_RAW, &status) != 0 ||
      (status.valid & kNeeded) != kNeeded) {
    fail(*zip_get_error(&archive), label + ": not a valid zip archive");
  }
  return status;
}

template <class T>
T number_at(std::span<const std::byte> bytes, std::size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

}  // namespace

ZipArchive::ZipArchive(const std::filesystem::path& path)
    : file_(File::open(path)), label_(path.string()) {
  const ZipDirectory directory = read_zip_directory(file_);
  directory_ = directory.start;
  const LibzipArchive archive = at_second_look([&] { return open_with_libzip(file_); });
  const zip_int64_t count = zip_get_num_entries(archive.get(), 0);
  if (std::cmp_not_equal(count, directory.members.size())) {
    throw InputError("{}: not a valid zip archive: it has two directories", label_);
  }
  for (std::size_t i = 0; i < directory.members.size(); ++i) {
    const ZipListing& member = directory.members[i];
    const zip_stat_t status = stat_member(*archive, i, label_);
    if (status.name != member.name || status.size != member.bytes) {
      throw InputError("{}: not a valid zip archive: its directory is ambiguous at '{}'", label_,
                       printable(member.name));
    }
    const bool is_stored =
        status.comp_method == ZIP_CM_STORE && status.encryption_method == ZIP_EM_NONE;
    if (is_stored && status.comp_size != status.size) {
      throw InputError("{}: not a valid zip archive: '{}' is stored in {} bytes but has {}", label_,
                       printable(member.name), status.comp_size, status.size);
    }
    if (!entries_.emplace(member.name, ZipEntry{is_stored, member.bytes, member.local_header})
             .second) {
      throw InputError("{}: '{}' is in the archive twice", label_, printable(member.name));
    }
  }
}

const ZipEntry* ZipArchive::find(std::string_view name) const {
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : &found->second;
}

std::uint64_t ZipArchive::data_offset(std::string_view name) const {
  const std::string shown = printable(name);
  const ZipEntry* entry = find(name);
  if (entry == nullptr) throw InputError("{}: '{}' is missing in the archive", label_, shown);
  if (!entry->is_stored) {
    throw InputError(
        "{}: '{}' is compressed or encrypted; only archives as torch.save writes them are read",
        label_, shown);
  }
  const std::uint64_t start = entry->local_header;
  if (start > directory_ || directory_ - start < kLocalHeaderBytes + name.size()) {
    throw InputError("{}: '{}' does not lie inside the archive", label_, shown);
  }
  std::array<std::byte, kLocalHeaderBytes> header{};
  file_.read_exactly(start, header);
  std::string local_name(name.size(), '\0');
  file_.read_exactly(start + kLocalHeaderBytes, std::as_writable_bytes(std::span(local_name)));
  const std::size_t name_bytes = number_at<std::uint16_t>(header, 26);
  const std::size_t extra_bytes = number_at<std::uint16_t>(header, 28);
  if (std::memcmp(header.data(), "PK\x03\x04", 4) != 0 || name_bytes != name.size() ||
      local_name != name || number_at<std::uint16_t>(header, 8) != ZIP_CM_STORE) {
    throw InputError("{}: the header of '{}' contradicts the archive's directory", label_, shown);
  }
  const std::uint64_t data = start + kLocalHeaderBytes + name_bytes + extra_bytes;
  if (data > directory_ || entry->bytes > directory_ - data) {
    throw InputError("{}: '{}' has {} bytes from byte {}, past the {} before the directory", label_,
                     shown, entry->bytes, data, directory_);
  }
  return data;
}

std::string ZipArchive::read_record(std::string_view name, std::uint64_t limit) const {
  const std::string shown = printable(name);
  const ZipEntry* entry = find(name);
  if (entry == nullptr) throw InputError("{}: '{}' is missing in the archive", label_, shown);
  if (entry->bytes > limit) {
    throw InputError("{}: '{}' has {} bytes, at most {} are read", label_, shown, entry->bytes,
                     limit);
  }
  return at_second_look([&] { return read_member(file_, std::string(name), entry->bytes); });
}

}  // namespace amalgam
