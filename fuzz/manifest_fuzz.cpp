// Any text as the manifest of a merge: either a clear InputError, or one whose outputs lie in the
// folder, whose blocks give the roots, and which is read again from what is written of it.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "amalgam/checkpoint/merkle.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/weights/manifest.hpp"

namespace {

bool same(const amalgam::ManifestFile& a, const amalgam::ManifestFile& b) {
  return a.bytes == b.bytes && a.root == b.root && a.blocks == b.blocks;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const amalgam::Manifest manifest = amalgam::parse_manifest(text, "fuzz");
    for (const amalgam::ManifestFile& file : manifest.outputs) {
      const std::filesystem::path inside =
          (std::filesystem::path("/folder") / file.path).lexically_normal();
      if (!inside.string().starts_with("/folder")) std::abort();
      if (amalgam::merkle_root(file.blocks) != file.root) std::abort();
    }
    const amalgam::Manifest back =
        amalgam::parse_manifest(amalgam::manifest_text(manifest), "written");
    if (back.outputs.size() != manifest.outputs.size() || back.seed != manifest.seed) std::abort();
    for (std::size_t i = 0; i < back.outputs.size(); ++i) {
      if (!same(back.outputs[i], manifest.outputs[i])) std::abort();
    }
  } catch (const amalgam::InputError&) {
  }
  return 0;
}
