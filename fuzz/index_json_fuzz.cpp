// Any text as an index of shards: either a clear InputError, or a map whose files lie in the
// folder.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "amalgam/checkpoint/folder.hpp"
#include "amalgam/core/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const auto& [tensor, file] : amalgam::parse_weight_map(text, "fuzz")) {
      const std::filesystem::path inside =
          (std::filesystem::path("/folder") / file).lexically_normal();
      if (!inside.string().starts_with("/folder/") || inside.filename().empty()) std::abort();
      if (file.find('\0') != std::string::npos) std::abort();
    }
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
