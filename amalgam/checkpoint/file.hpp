#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace amalgam {

/// An open regular file, read and written at explicit offsets (pread and pwrite), so that any
/// number of threads may use it at once. Interrupted and short transfers are continued. Every error
/// names the path and the system's reason. Movable; the descriptor is closed on destruction.
class File {
 public:
  /// Opens an existing regular file for reading. InputError if it does not exist, may not be read
  /// or is not a regular file (a pipe or device is refused without being waited for); Error if the
  /// device fails or too many files are open.
  static File open(const std::filesystem::path& path);
  /// Creates a new file for reading and writing; Error if it already exists or cannot be made.
  static File create(const std::filesystem::path& path);
  /// Opens a regular file for reading and writing, made empty if there is none; Error if it cannot
  /// be opened. A symbolic link is refused.
  static File update(const std::filesystem::path& path);

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File();

  const std::filesystem::path& path() const { return path_; }
  int descriptor() const { return descriptor_; }
  /// The size in bytes when the file was opened, or what reserve() made it since.
  std::uint64_t size() const { return size_; }
  /// The size in bytes the system reports now.
  std::uint64_t current_size() const;

  /// Fills `out` from byte `offset`. InputError "truncated: ..." if the file ends before.
  void read_exactly(std::uint64_t offset, std::span<std::byte> out) const;
  /// Writes all of `bytes` at byte `offset`. Error when the disk is full or fails.
  void write_exactly(std::uint64_t offset, std::span<const std::byte> bytes);

  /// Makes the file `bytes` long with space reserved on the device (fallocate; where the file
  /// system cannot do that, the length alone). Error naming needed and free bytes if it does not
  /// fit.
  void reserve(std::uint64_t bytes);
  /// Flushes contents and length to the device (fsync).
  void sync();

  /// Hints that a range will be read soon.
  void will_need(std::uint64_t offset, std::uint64_t bytes) const;
  /// Starts writing a range back to the device without waiting, so that sync() has less to do.
  void start_write_back(std::uint64_t offset, std::uint64_t bytes) const;

 private:
  File(std::filesystem::path path, int descriptor);

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

/// An exclusive advisory lock on a folder (flock), which the system releases if the process dies.
class FolderLock {
 public:
  /// Takes the lock without waiting; nothing if someone else holds it. Error if there is no folder
  /// `folder` (a symbolic link is none).
  static std::optional<FolderLock> try_lock(const std::filesystem::path& folder);

  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&& other) noexcept;
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock();

  /// Whether `folder` is (still) the folder that is locked: it may have been renamed or deleted.
  bool holds(const std::filesystem::path& folder) const;

 private:
  explicit FolderLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

/// Flushes a folder's entries to the device, so that files created or renamed in it stay.
void sync_folder(const std::filesystem::path& folder);

/// Bytes an unprivileged process may still write on the file system that holds `path` or, if it
/// does not exist yet, its nearest existing parent.
std::uint64_t free_bytes(const std::filesystem::path& path);

/// The whole contents of a file; InputError if it has more than `limit` bytes.
std::string read_text_file(const std::filesystem::path& path, std::uint64_t limit);

/// Copies a regular file, or what a link to one leads to, and flushes the copy; `to` must not
/// exist. A file of more than `limit` bytes is left out with a warning.
void copy_file(const std::filesystem::path& from, const std::filesystem::path& to,
               std::uint64_t limit);

/// Writes a small file whole and flushes it; an existing one is replaced. Not atomic: for files
/// inside a folder that is renamed into place as a whole.
void write_text_file(const std::filesystem::path& path, std::string_view contents);

}  // namespace amalgam
