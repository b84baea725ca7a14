#include "amalgam/weights/finished_merge.hpp"

#include <algorithm>

#include "amalgam/checkpoint/gguf_parts.hpp"
#include "amalgam/checkpoint/output.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/weights/manifest.hpp"
#include "amalgam/weights/verify.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

// What the manifest of this merge would have besides hashes.
std::string recorded_difference(const Manifest& found, const Manifest& asked) {
  if (found.version != asked.version) {
    return fmt::format("it was made by version {}", found.version);
  }
  if (found.recipe != asked.recipe) return "its recipe is another one";
  const auto options = [](const Manifest& manifest) {
    return std::tuple(manifest.seed, manifest.propagates_nan, manifest.allows_shape_mismatch,
                      manifest.dtype, manifest.importance);
  };
  if (options(found) != options(asked)) return "its options are others";
  if (!found.shard_bytes) return "its manifest does not say how it is cut into files";
  if (found.shard_bytes != asked.shard_bytes) return "its --shard-size is another one";
  const bool same_inputs =
      std::ranges::equal(found.inputs, asked.inputs, {}, &ManifestFile::path, &ManifestFile::path);
  return same_inputs ? std::string() : "its input files are others";
}

std::string difference(const Manifest& asked, const MergeOptions& options) {
  std::string recorded = recorded_difference(read_manifest(options.output), asked);
  if (!recorded.empty()) return recorded;
  const VerifyReport report = verify_merge(options.output, {.hash_inputs = true,
                                                            .moved_inputs = {},
                                                            .engine = options.engine,
                                                            .progress = options.progress});
  return report.differences.empty() ? std::string() : report.differences.front();
}

}  // namespace

bool may_be_finished(const MergeOptions& options) {
  if (!options.resume || options.overwrite) return false;
  const OutputPlaces places = output_places(options.output);
  const bool is_there = fs::exists(places.final_path) || find_first_gguf_part(places.final_path);
  return is_there && !fs::exists(places.partial) && fs::exists(manifest_place(options.output));
}

void check_is_finished(const std::string& recipe, const std::vector<fs::path>& models,
                       const MergeOptions& options, const std::vector<const MergePlan*>& plans) {
  const std::string found = difference(describe_merge(recipe, models, options, plans), options);
  if (found.empty()) return;
  throw InputError(
      "{}: already exists, and is not what this merge makes: {}; choose another place or ask to "
      "overwrite it (--overwrite)",
      options.output.string(), found);
}

}  // namespace amalgam
