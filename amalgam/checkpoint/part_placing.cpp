#include "amalgam/checkpoint/part_placing.hpp"

#include <cstdint>
#include <string>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/renaming.hpp"
#include "amalgam/core/folder_entries.hpp"
#include "amalgam/core/text.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

// In the partial folder: the names of the parts that are being brought into place, and a folder of
// those that had them before.
constexpr const char* kPlacing = "placing";
constexpr const char* kReplaced = "replaced";
constexpr std::uint64_t kLongestPlacing = 64'000'000;

void begin_placing(const fs::path& partial, const std::vector<fs::path>& parts) {
  std::string names;
  for (const fs::path& part : parts) names += part.filename().string() + '\n';
  write_text_file(partial / kPlacing, names);
  sync_folder(partial);
}

// The names in the list; none if there is no list.
std::vector<std::string> placing(const fs::path& partial) {
  std::vector<std::string> names;
  const fs::path list = partial / kPlacing;
  if (!exists_at(list)) return names;
  for (std::string& name : split(read_text_file(list, kLongestPlacing), '\n')) {
    if (!name.empty() && fs::path(name).filename() == name) names.push_back(std::move(name));
  }
  return names;
}

}  // namespace

void place_parts_of(const fs::path& partial, const fs::path& folder,
                    const std::vector<fs::path>& parts, bool overwrite) {
  struct Move {
    fs::path from;
    fs::path to;
  };
  std::vector<Move> moves;
  // The first one first: nobody takes some of the old and some of the new for a model.
  for (const fs::path& part : parts) {
    const fs::path old = folder / part.filename();
    if (!overwrite || !exists_at(old)) continue;
    moves.push_back({old, partial / kReplaced / part.filename()});
  }
  const bool replaces = !moves.empty();
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    moves.push_back({*part, folder / part->filename()});
  }
  begin_placing(partial, parts);
  if (replaces) fs::create_directory(partial / kReplaced);
  // No memory is asked for between the first and the last: all of them happen, or the system
  // refuses one, and there is memory to undo them.
  for (const Move& move : moves) rename_to_free_place(move.from, move.to);
}

bool is_half_placed(const fs::path& partial, const fs::path& folder) {
  const std::vector<std::string> names = placing(partial);
  return !names.empty() &&
         (exists_at(partial / names.front()) || !exists_at(folder / names.front()));
}

// All parts were in the partial folder when the list was written: what is not there now was moved.
void undo_placing(const fs::path& partial, const fs::path& folder) {
  if (!exists_at(partial / kPlacing)) return;
  for (const std::string& name : placing(partial)) {
    const fs::path part = partial / name;
    if (!exists_at(part) && exists_at(folder / name)) rename_or_throw(folder / name, part);
  }
  if (exists_at(partial / kReplaced)) {
    const std::vector<fs::directory_entry> old = folder_entries(partial / kReplaced);
    for (auto entry = old.rbegin(); entry != old.rend(); ++entry) {  // the first one at last
      rename_to_free_place(entry->path(), folder / entry->path().filename());
    }
    fs::remove(partial / kReplaced);
  }
  fs::remove(partial / kPlacing);
}

}  // namespace amalgam
