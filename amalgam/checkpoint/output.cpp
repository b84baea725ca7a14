#include "amalgam/checkpoint/output.hpp"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

std::string reason(int error) { return std::generic_category().message(error); }

bool exists_at(const fs::path& path) {  // a dangling link exists too
  std::error_code ignored;
  return fs::symlink_status(path, ignored).type() != fs::file_type::not_found;
}

// The error of renaming with `flags` (0: done), EINVAL or ENOSYS where the file system has none.
int rename_with(const fs::path& from, const fs::path& to, unsigned flags) {
  return ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) == 0 ? 0 : errno;
}

bool not_supported(int error) { return error == EINVAL || error == ENOSYS; }

void rename_or_throw(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    throw Error("{}: cannot rename {} to it: {}", to.string(), from.string(), reason(errno));
  }
}

void rename_to_free_place(const fs::path& from, const fs::path& to) {
  int error = rename_with(from, to, RENAME_NOREPLACE);
  if (not_supported(error))
    error = exists_at(to) ? EEXIST : 0;
  else if (error == 0)
    return;
  if (error == EEXIST) {
    throw InputError("{}: something has come to exist here while the output was made", to.string());
  }
  if (error != 0) {
    throw Error("{}: cannot rename {} to it: {}", to.string(), from.string(), reason(error));
  }
  rename_or_throw(from, to);
}

// What is left of an old output or an unfinished one; that it stays is no failure of the run.
void remove_or_warn(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) log::warn("{}: cannot delete: {}", path.string(), error.message());
}

void sync_tree(const fs::path& folder) {
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const fs::file_type type = entry.symlink_status().type();
    if (type == fs::file_type::directory) sync_tree(entry.path());
    if (type == fs::file_type::regular) File::open(entry.path()).sync();
  }
  sync_folder(folder);
}

// Deleting a folder is refused unless it is plainly a checkpoint (or empty): `-o ~ --overwrite`
// must not cost anyone their home.
bool may_be_replaced(const fs::path& folder) {
  bool is_empty = true;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    is_empty = false;
    const std::string extension = entry.path().extension().string();
    for (const char* known : {".safetensors", ".gguf", ".bin", ".pt", ".pth"}) {
      if (extension == known && entry.is_regular_file()) return true;
    }
  }
  return is_empty;
}

void check_final_place(const fs::path& place, bool is_file, bool overwrite) {
  if (!exists_at(place)) return;
  if (!overwrite) {
    throw InputError(
        "{}: already exists; choose another place or ask to overwrite it (--overwrite)",
        place.string());
  }
  if (is_file != !fs::is_directory(place)) {
    throw InputError("{}: is {}, but the output is {}; not overwritten", place.string(),
                     is_file ? "a folder" : "a file", is_file ? "a file" : "a folder");
  }
  if (!is_file && !may_be_replaced(place)) {
    throw InputError("{}: holds files but no checkpoint; not overwritten", place.string());
  }
}

std::uint64_t bytes_below(const fs::path& folder) {
  std::uint64_t bytes = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.symlink_status().type() == fs::file_type::regular) bytes += entry.file_size();
  }
  return bytes;
}

}  // namespace

void check_free_space(const fs::path& path, std::uint64_t bytes_needed) {
  const std::uint64_t available = free_bytes(path);
  if (available < bytes_needed) {
    throw Error("{}: not enough free space: {} needed, {} free", path.string(),
                format_bytes(bytes_needed), format_bytes(available));
  }
}

bool output_is_file(const fs::path& path) {
  return path.extension() == ".safetensors" || path.extension() == ".gguf";
}

OutputTransaction::OutputTransaction(const fs::path& final_path, OutputOptions options)
    : options_(options), is_file_(output_is_file(final_path)) {
  try {
    final_ = fs::weakly_canonical(fs::absolute(final_path));
    if (!final_.has_filename()) final_ = final_.parent_path();  // "out/"
    if (!final_.has_filename()) {
      throw InputError("'{}' is no place for an output", final_path.string());
    }
    check_final_place(final_, is_file_, options_.overwrite);
    fs::create_directories(final_.parent_path());
    partial_ = final_.parent_path() / ("." + final_.filename().string() + ".partial");
    work_ = is_file_ ? partial_ / final_.filename() : partial_;
    acquire();
  } catch (const fs::filesystem_error& error) {
    throw InputError("{}: cannot prepare the output: {}", final_path.string(), error.what());
  }
}

OutputTransaction::~OutputTransaction() {
  if (committed_) return;
  if (options_.keep_partial) {
    log::info("{}: the unfinished output is kept here", partial_.string());
  } else {
    remove_or_warn(partial_);
  }
}

void OutputTransaction::acquire() {
  // An earlier owner may rename or delete the folder between our opening and locking it: again
  // then.
  while (true) {
    std::error_code error;
    const bool is_new = fs::create_directory(partial_, error);
    if (error && !exists_at(partial_)) {
      throw InputError("{}: cannot create folder: {}", partial_.string(), error.message());
    }
    if (fs::symlink_status(partial_).type() != fs::file_type::directory) {
      if (!exists_at(partial_)) continue;
      throw InputError("{}: is in the way, and not a folder; delete it", partial_.string());
    }
    std::optional<FolderLock> lock;
    try {
      lock = FolderLock::try_lock(partial_);
    } catch (const Error&) {
      if (!exists_at(partial_)) continue;
      throw;
    }
    if (!lock) {
      throw InputError("{}: another run is writing this output (it holds {})", final_.string(),
                       partial_.string());
    }
    if (!lock->holds(partial_)) continue;
    locks_.push_back(std::move(*lock));
    if (!is_new && !fs::is_empty(partial_)) {
      log::warn("{}: deleting the unfinished output of an earlier run ({})", partial_.string(),
                format_bytes(bytes_below(partial_)));
      for (const fs::directory_entry& entry : fs::directory_iterator(partial_)) {
        fs::remove_all(entry.path());
      }
    }
    return;
  }
}

void OutputTransaction::commit() {
  if (committed_) throw Error("{}: the output is in place already", final_.string());
  try {
    sync_tree(partial_);
    check_final_place(final_, is_file_, options_.overwrite);
    if (is_file_) {
      place_file();
    } else {
      place_folder();
    }
  } catch (const fs::filesystem_error& error) {
    throw Error("{}: cannot bring the output into place: {}", final_.string(), error.what());
  }
  sync_folder(final_.parent_path());
}

void OutputTransaction::place_file() {
  if (options_.overwrite) {
    rename_or_throw(work_, final_);
  } else {
    rename_to_free_place(work_, final_);
  }
  committed_ = true;
  remove_or_warn(partial_);
}

void OutputTransaction::place_folder() {
  if (!exists_at(final_)) {
    rename_to_free_place(partial_, final_);
    committed_ = true;
    return;
  }
  // The old output will be at the partial's place until it is deleted: locked, so that a run that
  // begins meanwhile does not take it for a stale one.
  std::optional<FolderLock> lock = FolderLock::try_lock(final_);
  if (!lock) throw Error("{}: another run is using this folder", final_.string());
  locks_.push_back(std::move(*lock));

  fs::path old = partial_;
  const int error = rename_with(partial_, final_, RENAME_EXCHANGE);
  if (not_supported(error)) {
    // Two steps, between which a crash would leave nothing in place (but both folders whole).
    old = partial_;
    old += ".old";
    rename_or_throw(final_, old);
    rename_or_throw(partial_, final_);
  } else if (error != 0) {
    throw Error("{}: cannot exchange {} with it: {}", final_.string(), partial_.string(),
                reason(error));
  }
  committed_ = true;
  sync_folder(final_.parent_path());  // before the old one is gone
  remove_or_warn(old);
}

}  // namespace amalgam
