#pragma once

#include <filesystem>
#include <string>

// How outputs come into place. Internal to it.

namespace amalgam {

/// What the system calls an error number.
std::string system_reason(int error);

/// Whether anything is at `path` itself: a link that leads nowhere too.
bool exists_at(const std::filesystem::path& path);

/// The error number of renameat2 with `flags`; 0: done.
int rename_with(const std::filesystem::path& from, const std::filesystem::path& to, unsigned flags);
/// Whether that number says that the file system has no such flags.
bool not_supported(int error);

/// Error if the system refuses. What is at `to` is replaced.
void rename_or_throw(const std::filesystem::path& from, const std::filesystem::path& to);
/// The same where nothing is at `to`: InputError if something is.
void rename_to_free_place(const std::filesystem::path& from, const std::filesystem::path& to);

/// For what is left of an old output or an unfinished one; that it stays is no failure of the run,
/// not even where memory lacks to delete it or to say so.
void remove_or_warn(const std::filesystem::path& path) noexcept;
/// The same for a file or link.
void remove_file_or_warn(const std::filesystem::path& path) noexcept;

}  // namespace amalgam
