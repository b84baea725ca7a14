#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "amalgam/checkpoint/file.hpp"

namespace amalgam {

/// Error naming needed and free bytes if the file system that holds `path` (or will) has less than
/// `bytes_needed` free.
void check_free_space(const std::filesystem::path& path, std::uint64_t bytes_needed);

/// Whether an output of this name is one file (it ends in `.safetensors` or `.gguf`) or a folder.
/// InputError for a name that ends like a file of a format that is not written (`.pt`, `.bin`).
bool output_is_file(const std::filesystem::path& path);

/// `output` as an absolute path with links resolved and without a slash at its end.
std::filesystem::path output_place(const std::filesystem::path& output);

/// InputError if `output` is one of `inputs`, lies within one, or one within it, as named or as
/// links lead: writing over what is being read would lose it. Inputs that do not exist do not
/// count.
void check_output_is_no_input(const std::vector<std::filesystem::path>& inputs,
                              const std::filesystem::path& output);

/// How an output comes to its place.
struct OutputOptions {
  bool overwrite = false;     ///< replace what is in the final place
  bool keep_partial = false;  ///< leave unfinished work behind if there is no commit
  bool resume = false;        ///< keep what an unfinished run left, and unfinished work as above
};

/// Where an output is made and where it goes.
struct OutputPlaces {
  std::filesystem::path final_path;  ///< absolute, links resolved
  std::filesystem::path partial;     ///< the `.NAME.partial` folder beside it
  /// The folder that will be the output, or, if it is a file, the path of the file to create.
  std::filesystem::path work;
};
/// InputError if `output` can be no place.
OutputPlaces output_places(const std::filesystem::path& output);

/// The one way outputs come to be: work is done in a hidden folder `.NAME.partial` beside the final
/// place NAME, hence on the same file system, and comes into place whole, by renaming, in commit().
/// Whatever happens before, a crash included, the final place is as it was.
///
/// The partial folder is locked (flock) while its owner lives, so two runs for one place cannot
/// mix. One that no one holds is what a crashed run or `keep_partial` left: with `resume` it stays
/// as it is for its owner to judge, else it is reported by a warning and deleted.
class OutputTransaction {
 public:
  /// Makes and locks the partial folder (and missing parents of `final_path`). InputError if
  /// something is in the final place and `overwrite` is not set or must not delete it (a file where
  /// a folder is to be, or a folder that holds anything but a checkpoint, or the working
  /// directory), or if another run holds the partial folder.
  OutputTransaction(const std::filesystem::path& final_path, OutputOptions options);
  /// Without commit(): deletes the partial folder, or says where it is with `keep_partial`.
  ~OutputTransaction();
  OutputTransaction(const OutputTransaction&) = delete;
  OutputTransaction& operator=(const OutputTransaction&) = delete;

  /// Where to write: the folder that will be the output (it exists), or, if the output is a file,
  /// the path of the file to create.
  const std::filesystem::path& work_path() const { return places_.work; }
  /// The `.NAME.partial` folder.
  const std::filesystem::path& partial_path() const { return places_.partial; }

  /// Deletes everything in the partial folder, with a warning if there is anything.
  void clear();
  /// A file in the partial folder that is no part of the output: commit() deletes it when all else
  /// is safely on the device.
  void discard_at_commit(std::filesystem::path file) { discarded_.push_back(std::move(file)); }

  /// For an output that is a file: instead of work_path(), `files` in the partial folder become the
  /// output, under their names beside the final place (the parts of a split one). They come into
  /// place one by one, the first at last, so that what begins with it is whole. InputError if one
  /// exists there and is not to be overwritten, or is one of `inputs`. None: the output is one
  /// file. Where a run ends between the first and the last, the next one takes back what is in
  /// place, and puts back what was.
  ///
  /// With `overwrite`, what is replaced are also the parts of a split GGUF file of the same name,
  /// however many: commit() deletes them when the new output is in place. InputError if one of them
  /// is one of `inputs`. To be called for every output that may be GGUF, before anything is
  /// written.
  void place_parts(std::vector<std::filesystem::path> files,
                   const std::vector<std::filesystem::path>& inputs = {});

  /// Flushes everything below the partial folder to the device, brings the work to its final place
  /// and flushes that. With `overwrite`, what was there is exchanged with the work in one step
  /// (renameat2, where the file system can) and then deleted. Error if the system refuses;
  /// a warning if only flushing the place fails once the output is there.
  void commit();

 private:
  void make_parents();
  void acquire();
  void place_folder();
  void place_file();
  void place_all_parts();
  void find_replaced_parts(const std::vector<std::filesystem::path>& inputs);
  std::filesystem::path place_of(const std::filesystem::path& part) const;
  void sync_entry() const;

  std::vector<std::filesystem::path> made_parents_;  // innermost first
  OutputPlaces places_;
  std::vector<std::filesystem::path> discarded_;
  std::vector<std::filesystem::path> parts_;     // of a file that is split
  std::vector<std::filesystem::path> replaced_;  // parts of an older one, of other names
  OutputOptions options_;
  bool is_file_ = false;
  bool committed_ = false;
  std::vector<FolderLock> locks_;
};

}  // namespace amalgam
