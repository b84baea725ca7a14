#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/checkpoint/merkle.hpp"
#include "amalgam/weights/engine.hpp"
#include "amalgam/weights/merge.hpp"
#include "amalgam/weights/plan.hpp"

namespace amalgam {

/// A file as a manifest knows it.
struct ManifestFile {
  std::string path;  ///< of an input as the recipe leads to it; of an output below its folder
  std::uint64_t bytes = 0;
  Digest root{};               ///< merkle_root of `blocks`
  std::vector<Digest> blocks;  ///< of outputs only
};

/// What a merge was made from and what came out, for others to check (docs/reliability.md).
struct Manifest {
  std::string version;  ///< of Amalgam
  std::string recipe;   ///< YAML, all documents
  std::uint64_t seed = 0;
  bool propagates_nan = false;
  bool allows_shape_mismatch = false;
  std::string dtype;       ///< of the command line; empty: none
  std::string importance;  ///< the file of an importance matrix; empty: none
  /// Largest size of an output file; 0: one file. Not in manifests of older versions.
  std::optional<std::uint64_t> shard_bytes;
  std::vector<ManifestFile> inputs;
  std::vector<ManifestFile> outputs;
};

/// Where the manifest of an output lies: `amalgam_manifest.json` in a folder, `NAME.manifest.json`
/// beside a file.
std::filesystem::path manifest_place(const std::filesystem::path& output);

/// What the manifest of a merge says before anything is hashed: all but files of the output, and of
/// inputs their paths and sizes. Arguments as for make_manifest.
Manifest describe_merge(const std::string& recipe, const std::vector<std::filesystem::path>& models,
                        const MergeOptions& options, const std::vector<const MergePlan*>& plans);

/// The manifest of a merge whose output (all of it) lies at `made`: a folder, or the file or files
/// that it is, under their final names; `recipe` is its text and `models` what that names. Reads
/// every byte of inputs and output once.
Manifest make_manifest(const std::string& recipe, const std::vector<std::filesystem::path>& models,
                       const MergeOptions& options, const std::vector<const MergePlan*>& plans,
                       const std::vector<std::filesystem::path>& made);

/// The manifest as JSON.
std::string manifest_text(const Manifest& manifest);

/// Reads what manifest_text wrote. InputError naming `where` for anything else, and for a file
/// whose blocks do not give its root.
Manifest parse_manifest(std::string_view text, std::string_view where);

/// Reads the manifest of an output. InputError if there is none, and as parse_manifest.
Manifest read_manifest(const std::filesystem::path& output);

}  // namespace amalgam
