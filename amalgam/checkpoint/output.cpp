#include "amalgam/checkpoint/output.hpp"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <exception>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "amalgam/checkpoint/gguf_parts.hpp"
#include "amalgam/checkpoint/part_placing.hpp"
#include "amalgam/checkpoint/renaming.hpp"
#include "amalgam/checkpoint/side_files.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/core/folder_entries.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/system_failure.hpp"
#include "amalgam/core/text.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

// Others may use them by now.
void remove_if_empty(const std::vector<fs::path>& folders) {
  std::error_code ignored;
  for (const fs::path& folder : folders) fs::remove(folder, ignored);
}

void warn_of_entry(const fs::path& place, const char* reason) noexcept {
  try {
    log::warn("{}: is in place, but a power failure now might undo that: {}", place.string(),
              reason);
  } catch (const std::exception&) {
    return;
  }
}

void sync_tree(const fs::path& folder) {
  for (const fs::directory_entry& entry : folder_entries(folder)) {
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
         is_one_of(name,
                   {"README.md", "amalgam_recipe.yml", "amalgam_moe.yml", "mergekit_config.yml",
                    "vocab.txt", "merges.txt", "tokenizer.model.v3", ".gitattributes"}) ||
         is_licence_name(name);
}

// The folder of a tokenizer's chat templates, with nothing else in it.
bool is_chat_template_folder(const fs::directory_entry& entry) {
  if (!entry.is_directory() || entry.is_symlink()) return false;
  if (entry.path().filename() != kChatTemplateFolder) return false;
  const std::vector<fs::directory_entry> entries = folder_entries(entry.path());
  return std::all_of(entries.begin(), entries.end(), is_chat_template);
}

// The folder of a module of sentence-transformers (1_Pooling), which modules.json names.
bool is_module(const fs::directory_entry& entry, const std::vector<std::string>& modules) {
  if (!entry.is_directory() || entry.is_symlink()) return false;
  const std::string name = entry.path().filename().string();
  if (std::find(modules.begin(), modules.end(), name) == modules.end()) return false;
  const std::vector<fs::directory_entry> entries = folder_entries(entry.path());
  return std::all_of(entries.begin(), entries.end(), belongs_to_checkpoint);
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
  const std::vector<std::string> modules = module_folders(folder);
  for (const fs::directory_entry& entry : folder_entries(folder)) {
    is_empty = false;
    has_weights = has_weights || (entry.is_regular_file() && is_weights(entry.path()));
    if (!belongs_to_checkpoint(entry) && !is_module(entry, modules) &&
        !is_chat_template_folder(entry)) {
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

OutputPlaces output_places(const fs::path& output) {
  OutputPlaces places;
  places.final_path = output_place(output);
  if (!places.final_path.has_filename()) {
    throw InputError("'{}' is no place for an output", output.string());
  }
  const fs::path name = places.final_path.filename();
  places.partial = places.final_path.parent_path() / ("." + name.string() + ".partial");
  places.work = output_is_file(output) ? places.partial / name : places.partial;
  return places;
}

OutputTransaction::OutputTransaction(const fs::path& final_path, OutputOptions options)
    : options_(options), is_file_(output_is_file(final_path)) {
  try {
    places_ = output_places(final_path);
    check_final_place(places_.final_path, is_file_, options_.overwrite);
    make_parents();
    acquire();
  } catch (const fs::filesystem_error& error) {
    remove_if_empty(made_parents_);
    throw_system_error(error.code(), fmt::format("{}: cannot prepare the output: {}",
                                                 final_path.string(), error.what()));
  } catch (...) {
    remove_if_empty(made_parents_);
    throw;
  }
}

OutputTransaction::~OutputTransaction() {
  if (committed_) return;
  try {
    std::error_code unknown;
    const bool keep = options_.keep_partial || options_.resume;
    if (keep && !fs::is_empty(places_.partial, unknown)) {
      log::info("{}: the unfinished output is kept here", places_.partial.string());
      return;
    }
  } catch (const std::exception&) {
    return;  // what stays is what a crash would leave
  }
  remove_or_warn(places_.partial);
  remove_if_empty(made_parents_);
}

void OutputTransaction::make_parents() {
  for (fs::path parent = places_.final_path.parent_path(); !exists_at(parent);
       parent = parent.parent_path()) {
    made_parents_.push_back(parent);
  }
  fs::create_directories(places_.final_path.parent_path());
}

void OutputTransaction::acquire() {
  // An earlier owner may rename or delete the folder between our opening and locking it: again
  // then.
  while (true) {
    std::error_code error;
    const bool is_new = fs::create_directory(places_.partial, error);
    if (error && !exists_at(places_.partial)) {
      throw_system_error(error, fmt::format("{}: cannot create folder: {}",
                                            places_.partial.string(), error.message()));
    }
    if (fs::symlink_status(places_.partial).type() != fs::file_type::directory) {
      if (!exists_at(places_.partial)) continue;
      throw InputError("{}: is in the way, and not a folder; delete it", places_.partial.string());
    }
    std::optional<FolderLock> lock;
    try {
      lock = FolderLock::try_lock(places_.partial);
    } catch (const Error&) {
      if (!exists_at(places_.partial)) continue;
      if (is_new) remove_if_empty({places_.partial});
      throw;
    }
    if (!lock) {
      throw InputError("{}: another run is writing this output (it holds {})",
                       places_.final_path.string(), places_.partial.string());
    }
    if (!lock->holds(places_.partial)) continue;
    locks_.push_back(std::move(*lock));
    if (is_new) return;
    const fs::path folder = places_.final_path.parent_path();
    if (is_file_ && (options_.resume || is_half_placed(places_.partial, folder))) {
      undo_placing(places_.partial, folder);
    }
    if (!options_.resume) clear();
    return;
  }
}

// NOLINTNEXTLINE(readability-make-member-function-const): what it deletes is the transaction's
void OutputTransaction::clear() {
  const fs::path& partial = places_.partial;
  if (fs::is_empty(partial)) return;
  log::warn("{}: deleting the unfinished output of an earlier run ({})", partial.string(),
            format_bytes(bytes_below(partial)));
  for (const fs::directory_entry& entry : folder_entries(partial)) {
    fs::remove_all(entry.path());
  }
}

void OutputTransaction::commit() {
  if (committed_) throw Error("{}: the output is in place already", places_.final_path.string());
  try {
    sync_tree(places_.partial);
    if (parts_.empty()) check_final_place(places_.final_path, is_file_, options_.overwrite);
    for (const fs::path& part : parts_) check_final_place(place_of(part), true, options_.overwrite);
    std::erase_if(replaced_, [](const fs::path& part) { return !is_gguf_part(part); });
    if (is_file_) {
      place_file();  // what is to be discarded goes with the partial folder
    } else {
      for (const fs::path& file : discarded_) fs::remove(file);
      place_folder();
    }
  } catch (const fs::filesystem_error& error) {
    throw Error("{}: cannot bring the output into place: {}", places_.final_path.string(),
                error.what());
  }
  sync_entry();
}

// The output is whole and in its place: that the entry of it cannot be flushed undoes nothing.
void OutputTransaction::sync_entry() const {
  try {
    sync_folder(places_.final_path.parent_path());
  } catch (const std::exception& error) {
    warn_of_entry(places_.final_path, error.what());
  }
}

void OutputTransaction::place_parts(std::vector<fs::path> files,
                                    const std::vector<fs::path>& inputs) {
  parts_ = std::move(files);
  for (const fs::path& part : parts_) {
    check_output_is_no_input(inputs, place_of(part));
    check_final_place(place_of(part), true, options_.overwrite);
  }
  find_replaced_parts(inputs);
}

// Parts of an older output that have other names than those of the new one.
void OutputTransaction::find_replaced_parts(const std::vector<fs::path>& inputs) {
  replaced_.clear();
  if (!options_.overwrite || places_.final_path.extension() != ".gguf") return;
  std::set<fs::path> new_places;
  for (const fs::path& part : parts_) new_places.insert(place_of(part));
  for (const fs::path& old : gguf_parts_of(places_.final_path)) {
    if (new_places.contains(old)) continue;
    if (std::ranges::any_of(inputs, [&](const fs::path& in) { return name_the_same(in, old); })) {
      throw InputError(
          "{}: is a part of what the output would replace, and an input; choose another place, or "
          "leave --overwrite out",
          old.string());
    }
    replaced_.push_back(old);
  }
}

fs::path OutputTransaction::place_of(const fs::path& part) const {
  return places_.final_path.parent_path() / part.filename();
}

void OutputTransaction::place_all_parts() {
  const fs::path folder = places_.final_path.parent_path();
  try {
    place_parts_of(places_.partial, folder, parts_, options_.overwrite);
  } catch (...) {
    try {
      undo_placing(places_.partial, folder);
    } catch (const std::exception& error) {
      options_.keep_partial = true;  // what was replaced is there
      log::warn("{}: not all is back where it was: {}", folder.string(), error.what());
    }
    throw;
  }
}

void OutputTransaction::place_file() {
  if (!parts_.empty()) {
    place_all_parts();
  } else if (options_.overwrite) {
    rename_or_throw(places_.work, places_.final_path);
  } else {
    rename_to_free_place(places_.work, places_.final_path);
  }
  committed_ = true;
  if (options_.overwrite && (!parts_.empty() || !replaced_.empty())) {
    sync_entry();  // before the old one is gone
    // Beside its parts, what was there before under the output's own name would be taken for it.
    if (!parts_.empty()) remove_file_or_warn(places_.final_path);
    for (const fs::path& part : replaced_) remove_file_or_warn(part);  // the first ones first
  }
  remove_or_warn(places_.partial);
}

void OutputTransaction::place_folder() {
  if (!exists_at(places_.final_path)) {
    rename_to_free_place(places_.partial, places_.final_path);
    committed_ = true;
    return;
  }
  // The old output will be at the partial's place until it is deleted: locked, so that a run that
  // begins meanwhile does not take it for a stale one.
  std::optional<FolderLock> lock = FolderLock::try_lock(places_.final_path);
  if (!lock) throw Error("{}: another run is using this folder", places_.final_path.string());
  locks_.push_back(std::move(*lock));

  fs::path old = places_.partial;
  const int error = rename_with(places_.partial, places_.final_path, RENAME_EXCHANGE);
  if (not_supported(error)) {
    // Two steps, between which a crash would leave nothing in place (but both folders whole).
    old = places_.partial;
    old += ".old";
    rename_or_throw(places_.final_path, old);
    rename_or_throw(places_.partial, places_.final_path);
  } else if (error != 0) {
    throw Error("{}: cannot exchange {} with it: {}", places_.final_path.string(),
                places_.partial.string(), system_reason(error));
  }
  committed_ = true;
  sync_entry();  // before the old one is gone
  remove_or_warn(old);
}

}  // namespace amalgam
