#pragma once

#include <filesystem>
#include <vector>

// How the parts of a split GGUF output come into place. Internal to OutputTransaction.

namespace amalgam {

/// Renames `parts` (files in `partial`, in their order) into `folder`, the first one at last, so
/// that what begins with it is whole. Older ones of the same names are in `partial` then; with
/// `overwrite` not set there may be none. A list in `partial` says what was begun. Error if the
/// system refuses, InputError if something has come to exist at a place: undo_placing is to follow.
void place_parts_of(const std::filesystem::path& partial, const std::filesystem::path& folder,
                    const std::vector<std::filesystem::path>& parts, bool overwrite);

/// Whether a run ended while it brought parts from `partial` into `folder`, before the first.
bool is_half_placed(const std::filesystem::path& partial, const std::filesystem::path& folder);

/// Everything is as it was before place_parts_of: the new parts in `partial`, the older ones in
/// `folder`. Nothing where no placing was begun. Error if the system refuses.
void undo_placing(const std::filesystem::path& partial, const std::filesystem::path& folder);

}  // namespace amalgam
