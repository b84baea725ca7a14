#include "amalgam/checkpoint/file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/system_failure.hpp"
#include "amalgam/core/text.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

// Linux transfers at most this much per call; smaller pieces also keep a signal's latency low.
constexpr std::size_t kLargestTransfer = std::size_t{1} << 30;

std::string reason(int error) { return std::generic_category().message(error); }

[[noreturn]] void throw_write_error(const fs::path& path, int error) {
  if (error == ENOSPC || error == EDQUOT) {
    throw Error("{}: the disk is full ({}; {} free)", path.string(), reason(error),
                format_bytes(free_bytes(path)));
  }
  throw Error("{}: cannot write: {}", path.string(), reason(error));
}

}  // namespace

File::File(fs::path path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}

File::File(File&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_) {}

File& File::operator=(File&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  return *this;
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

File File::open(const fs::path& path) {
  // O_NONBLOCK: opening a pipe must not wait for a writer; it has no effect on regular files.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    const int error = errno;
    if (error == ENOENT) throw InputError("{}: no such file", path.string());
    throw_system_error(
        error, fmt::format("{}: cannot open for reading: {}", path.string(), reason(error)));
  }
  File file(path, descriptor);
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) {
    throw Error("{}: cannot stat: {}", path.string(), reason(errno));
  }
  if (!S_ISREG(status.st_mode)) {
    throw InputError("{}: not a regular file{}", path.string(),
                     S_ISDIR(status.st_mode) ? " but a folder" : "");
  }
  file.size_ = static_cast<std::uint64_t>(status.st_size);
  return file;
}

File File::create(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor < 0) throw Error("{}: cannot create: {}", path.string(), reason(errno));
  return File(path, descriptor);
}

File File::update(const fs::path& path) {
  const int descriptor =
      ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0666);
  if (descriptor < 0) throw Error("{}: cannot open for writing: {}", path.string(), reason(errno));
  File file(path, descriptor);
  file.size_ = file.current_size();
  return file;
}

std::uint64_t File::current_size() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) {
    throw Error("{}: cannot stat: {}", path_.string(), reason(errno));
  }
  return static_cast<std::uint64_t>(status.st_size);
}

void File::read_exactly(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t got = ::pread(descriptor_, out.data(), std::min(out.size(), kLargestTransfer),
                                static_cast<off_t>(offset));
    if (got < 0) {
      if (errno == EINTR) continue;
      throw Error("{}: cannot read at byte {}: {}", path_.string(), offset, reason(errno));
    }
    if (got == 0) {
      throw InputError("{}: truncated: expected {} bytes, found {}", path_.string(),
                       std::max(size_, offset + out.size()), current_size());
    }
    offset += static_cast<std::uint64_t>(got);
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

void File::write_exactly(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(descriptor_, bytes.data(), std::min(bytes.size(), kLargestTransfer),
                 static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      throw_write_error(path_, errno);
    }
    offset += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void File::reserve(std::uint64_t bytes) {
  if (bytes > 0) {
    // Not posix_fallocate, which emulates a missing fallocate by writing into every block.
    int error = 0;
    do {
      error = ::fallocate(descriptor_, 0, 0, static_cast<off_t>(bytes)) == 0 ? 0 : errno;
    } while (error == EINTR);
    if (error == ENOSPC || error == EDQUOT) {
      // What the failed call took is given back, so that the message shows what is really free.
      (void)!::ftruncate(descriptor_, static_cast<off_t>(size_));
      throw Error("{}: not enough free space: {} needed, {} free", path_.string(),
                  format_bytes(bytes), format_bytes(free_bytes(path_)));
    }
    if (error == EFBIG) {
      throw Error("{}: {} is more than the file system (or the limit on file sizes) allows",
                  path_.string(), format_bytes(bytes));
    }
    if (error != 0 && error != EOPNOTSUPP && error != ENOSYS) {
      throw Error("{}: cannot reserve {}: {}", path_.string(), format_bytes(bytes), reason(error));
    }
  }
  if (::ftruncate(descriptor_, static_cast<off_t>(bytes)) != 0) throw_write_error(path_, errno);
  size_ = bytes;
}

void File::sync() {
  while (::fsync(descriptor_) != 0) {
    if (errno != EINTR) throw_write_error(path_, errno);
  }
}

void File::will_need(std::uint64_t offset, std::uint64_t bytes) const {
  (void)::posix_fadvise(descriptor_, static_cast<off_t>(offset), static_cast<off_t>(bytes),
                        POSIX_FADV_WILLNEED);
}

void File::start_write_back(std::uint64_t offset, std::uint64_t bytes) const {
  (void)::sync_file_range(descriptor_, static_cast<off64_t>(offset), static_cast<off64_t>(bytes),
                          SYNC_FILE_RANGE_WRITE);
}

std::optional<FolderLock> FolderLock::try_lock(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (descriptor < 0) throw Error("{}: cannot open folder: {}", folder.string(), reason(errno));
  FolderLock lock(descriptor);
  while (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return std::nullopt;
    if (errno != EINTR) throw Error("{}: cannot lock: {}", folder.string(), reason(errno));
  }
  return lock;
}

FolderLock::FolderLock(FolderLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

FolderLock& FolderLock::operator=(FolderLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool FolderLock::holds(const fs::path& folder) const {
  struct stat locked {};
  struct stat named {};
  return ::fstat(descriptor_, &locked) == 0 && ::lstat(folder.c_str(), &named) == 0 &&
         locked.st_dev == named.st_dev && locked.st_ino == named.st_ino;
}

void sync_folder(const fs::path& folder) {
  const fs::path path = folder.empty() ? fs::path(".") : folder;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw Error("{}: cannot open folder: {}", path.string(), reason(errno));
  int error = 0;
  do {
    error = ::fsync(descriptor) == 0 ? 0 : errno;
  } while (error == EINTR);
  ::close(descriptor);
  // Some network file systems have no fsync for folders and keep their entries safe themselves.
  if (error != 0 && error != EINVAL) {
    throw Error("{}: cannot flush folder: {}", path.string(), reason(error));
  }
}

std::uint64_t free_bytes(const fs::path& path) {
  fs::path place = fs::absolute(path);
  struct statvfs status {};
  while (::statvfs(place.c_str(), &status) != 0) {
    const int error = errno;
    if (error == EINTR) continue;
    if (error != ENOENT || place == place.parent_path()) {
      throw Error("{}: cannot find the free space: {}", place.string(), reason(error));
    }
    place = place.parent_path();
  }
  return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

std::string read_text_file(const fs::path& path, std::uint64_t limit) {
  const File file = File::open(path);
  if (file.size() > limit) {
    throw InputError("{}: has {} bytes, but at most {} are expected", path.string(), file.size(),
                     limit);
  }
  std::string contents(file.size(), '\0');
  file.read_exactly(0, std::as_writable_bytes(std::span(contents)));
  return contents;
}

void copy_file(const fs::path& from, const fs::path& to, std::uint64_t limit) {
  constexpr std::uint64_t kPart = 1 << 20;
  const File source = File::open(from);
  if (source.size() > limit) {
    log::warn("{}: not copied: {} is too large for such a file", from.string(),
              format_bytes(source.size()));
    return;
  }
  File target = File::create(to);
  std::vector<std::byte> buffer(std::min(kPart, source.size()));
  for (std::uint64_t at = 0; at < source.size(); at += buffer.size()) {
    const auto part =
        std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), source.size() - at));
    source.read_exactly(at, part);
    target.write_exactly(at, part);
  }
  target.sync();
}

void write_text_file(const fs::path& path, std::string_view contents) {
  std::error_code ignored;  // creating says why a file cannot be replaced
  fs::remove(path, ignored);
  File file = File::create(path);
  file.reserve(contents.size());
  file.write_exactly(0, std::as_bytes(std::span(contents)));
  file.sync();
}

}  // namespace amalgam
