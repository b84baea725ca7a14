#include "amalgam/checkpoint/output.hpp"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <cerrno>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
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

bool is_within(const fs::path& inner, const fs::path& outer) {
  return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

bool is_one_of(const std::string& text, std::initializer_list<std::string_view> known) {
  return std::find(known.begin(), known.end(), text) != known.end();
}

// What lies in checkpoint folders: weights, and what models come with.
bool belongs_to_checkpoint(const fs::directory_entry& entry) {
  if (!entry.is_regular_file()) return false;
  const std::string name = entry.path().filename().string();
  return is_one_of(entry.path().extension().string(),
                   {".safetensors", ".gguf", ".bin", ".pt", ".pth", ".json", ".model", ".jinja",
                    ".tiktoken", ".py"}) ||
         is_one_of(name, {"README.md", "amalgam_recipe.yml", "mergekit_config.yml", "vocab.txt",
                          "merges.txt", "tokenizer.model.v3", ".gitattributes"}) ||
         name.starts_with("LICENSE");
}

bool is_weights(const fs::path& path) {
  return is_one_of(path.extension().string(), {".safetensors", ".gguf", ".bin", ".pt", ".pth"});
}

// Deleting a folder is refused unless it is plainly a checkpoint and nothing else (or empty): `-o ~
// --overwrite` must not cost anyone their home.
void check_may_be_replaced(const fs::path& folder) {
  if (is_within(fs::weakly_canonical(fs::current_path()), folder)) {
    throw InputError("{}: holds the working directory; not overwritten", folder.string());
  }
  bool is_empty = true;
  bool has_weights = false;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    is_empty = false;
    has_weights = has_weights || (entry.is_regular_file() && is_weights(entry.path()));
    if (!belongs_to_checkpoint(entry)) {
      throw InputError(
          "{}: holds '{}', which is no part of a checkpoint and would be lost; not overwritten",
          folder.string(), entry.path().filename().string());
    }
  }
  if (!is_empty && !has_weights) {
    throw InputError("{}: holds files but no checkpoint; not overwritten", folder.string());
  }
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
  if (!is_file) check_may_be_replaced(place);
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
  const std::string extension = path.extension().string();
  if (is_one_of(extension, {".safetensors", ".gguf"})) return true;
  if (is_one_of(extension, {".pt", ".pth", ".bin", ".ckpt", ".SAFETENSORS", ".GGUF"})) {
    throw InputError(
        "{}: no output can be a {} file; expected a name that ends in .safetensors or .gguf, or a "
        "folder",
        path.string(), extension);
  }
  return false;
}

fs::path output_place(const fs::path& output) {
  const fs::path absolute = fs::weakly_canonical(fs::absolute(output));
  return absolute.has_filename() ? absolute : absolute.parent_path();
}

void check_output_is_no_input(const std::vector<fs::path>& inputs, const fs::path& output) {
  const fs::path place = output_place(output);
  for (const fs::path& input : inputs) {
    if (!fs::exists(input)) continue;
    const fs::path resolved = output_place(input);
    const fs::path named = fs::absolute(input).lexically_normal();
    if (is_within(resolved, place) || is_within(place, resolved) || is_within(named, place)) {
      throw InputError("{}: the output is also an input ('{}'); choose another place",
                       output.string(), input.string());
    }
  }
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
    make_parents();
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
    std::error_code ignored;  // others may use them by now
    for (const fs::path& parent : made_parents_) fs::remove(parent, ignored);
  }
}

void OutputTransaction::make_parents() {
  for (fs::path parent = final_.parent_path(); !exists_at(parent); parent = parent.parent_path()) {
    made_parents_.push_back(parent);
  }
  fs::create_directories(final_.parent_path());
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
