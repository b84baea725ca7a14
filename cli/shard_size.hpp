#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace amalgam::cli {

/// What --shard-size is for, where an output may be a folder or a GGUF file.
inline constexpr const char* kShardSizeHelp =
    "Folders: begin a new file at this size (default 5GB). A .gguf output that is larger is split: "
    "OUT-00001-of-00003.gguf and so on (default: never)";

/// What --shard-size says in bytes; nothing where it is not given. InputError for what is no size,
/// and 0.
std::optional<std::uint64_t> parse_shard_size(const std::string& text);

}  // namespace amalgam::cli
