#include "cli/shard_size.hpp"

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"

namespace amalgam::cli {

std::optional<std::uint64_t> parse_shard_size(const std::string& text) {
  if (text.empty()) return std::nullopt;
  const std::uint64_t bytes = parse_bytes(text, "--shard-size");
  if (bytes == 0) throw InputError("--shard-size is 0; expected at least one byte");
  return bytes;
}

}  // namespace amalgam::cli
