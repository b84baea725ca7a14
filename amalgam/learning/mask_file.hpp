#pragma once

#include <filesystem>

#include "amalgam/learning/pruning.hpp"

namespace amalgam::learning {

/// Writes a pruning mask as a safetensors file: for every part a U8 tensor of its name with
/// pack_bits, and in the metadata under `amalgam.mask` the names and shapes in order and the hash.
/// InputError if the place is taken and `overwrite` is not set.
void save_mask(const std::filesystem::path& path, const PruningMask& mask, bool overwrite);

/// Reads it back. InputError if the file is not such a mask, or its hash does not fit.
PruningMask load_mask(const std::filesystem::path& path);

}  // namespace amalgam::learning
