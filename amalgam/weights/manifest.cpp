#include "amalgam/weights/manifest.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/json.hpp"
#include "amalgam/checkpoint/output.hpp"
#include "amalgam/checkpoint/safetensors_sink.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/weights/merge_identity.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

constexpr const char* kFormat = "amalgam manifest 1";
constexpr const char* kFolderManifest = "amalgam_manifest.json";
constexpr std::uint64_t kLargestManifest = 1'000'000'000;

ManifestFile describe_file(const fs::path& path, std::string name, const Parallel& parallel,
                           Progress& progress) {
  ManifestFile file;
  file.path = std::move(name);
  file.bytes = File::open(path).size();
  file.blocks = digest_blocks(path, parallel, &progress);
  file.root = merkle_root(file.blocks);
  return file;
}

std::vector<std::pair<fs::path, std::string>> files_in(const fs::path& folder) {
  std::vector<std::pair<fs::path, std::string>> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(folder).string();
    if (entry.is_regular_file() && !name.starts_with("journal.")) {
      files.emplace_back(entry.path(), name);
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::pair<fs::path, std::string>> output_files(const std::vector<fs::path>& made) {
  if (made.size() == 1 && fs::is_directory(made.front())) return files_in(made.front());
  std::vector<std::pair<fs::path, std::string>> files;
  for (const fs::path& file : made) files.emplace_back(file, file.filename().string());
  return files;
}

ordered_json file_json(const ManifestFile& file) {
  ordered_json value = {
      {"path", file.path}, {"bytes", file.bytes}, {"root", digest_text(file.root)}};
  if (file.blocks.empty()) return value;
  ordered_json blocks = ordered_json::array();
  for (const Digest& block : file.blocks) blocks.push_back(digest_text(block));
  value["blocks"] = std::move(blocks);
  return value;
}

ManifestFile parse_file(const json& value, bool has_blocks, std::string_view where) {
  ManifestFile file;
  file.path = value.at("path").get<std::string>();
  file.bytes = json_count(value, "bytes", where);
  file.root = parse_digest(value.at("root").get<std::string>(), where);
  if (!has_blocks) return file;
  if (const auto blocks = value.find("blocks"); blocks != value.end()) {
    for (const json& block : *blocks) {
      file.blocks.push_back(parse_digest(block.get<std::string>(), where));
    }
  }
  const std::uint64_t expected =
      file.bytes / kMerkleBlockBytes + (file.bytes % kMerkleBlockBytes == 0 ? 0 : 1);
  if (file.blocks.size() != expected || merkle_root(file.blocks) != file.root) {
    throw InputError("{}: the blocks of '{}' do not give its root; the manifest was changed", where,
                     file.path);
  }
  const fs::path path = file.path;
  if (path.empty() || path.is_absolute() || path.lexically_normal().string().starts_with("..")) {
    throw InputError("{}: '{}' is no file of an output", where, file.path);
  }
  return file;
}

}  // namespace

fs::path manifest_place(const fs::path& output) {
  const fs::path place = output_place(output);
  if (!output_is_file(output)) return place / kFolderManifest;
  return place.string() + ".manifest.json";
}

Manifest describe_merge(const std::string& recipe, const std::vector<fs::path>& models,
                        const MergeOptions& options, const std::vector<const MergePlan*>& plans) {
  const std::uint64_t by_default = output_is_file(options.output) ? 0 : kDefaultShardBytes;
  Manifest manifest{.version = amalgam_version(),
                    .recipe = recipe,
                    .seed = options.engine.seed,
                    .propagates_nan = options.engine.non_finite == NonFinite::propagate,
                    .allows_shape_mismatch = options.allow_shape_mismatch,
                    .dtype = wanted_type_name(options),
                    .importance = options.importance.string(),
                    .shard_bytes = options.shard_bytes.value_or(by_default),
                    .inputs = {},
                    .outputs = {}};
  for (const fs::path& input : input_files(models, plans)) {
    manifest.inputs.push_back(
        {.path = input.string(), .bytes = fs::file_size(input), .blocks = {}});
  }
  return manifest;
}

Manifest make_manifest(const std::string& recipe, const std::vector<fs::path>& models,
                       const MergeOptions& options, const std::vector<const MergePlan*>& plans,
                       const std::vector<fs::path>& made) {
  Manifest manifest = describe_merge(recipe, models, options, plans);
  const auto outputs = output_files(made);
  std::uint64_t bytes = 0;
  for (const ManifestFile& input : manifest.inputs) bytes += input.bytes;
  for (const auto& output : outputs) bytes += fs::file_size(output.first);
  Progress progress("hashing", bytes, Progress::Unit::bytes, options.progress);
  for (ManifestFile& input : manifest.inputs) {
    input = describe_file(input.path, input.path, options.engine.parallel, progress);
    input.blocks.clear();
  }
  for (const auto& [path, name] : outputs) {
    manifest.outputs.push_back(describe_file(path, name, options.engine.parallel, progress));
  }
  return manifest;
}

std::string manifest_text(const Manifest& manifest) {
  ordered_json inputs = ordered_json::array();
  for (const ManifestFile& file : manifest.inputs) inputs.push_back(file_json(file));
  ordered_json outputs = ordered_json::array();
  for (const ManifestFile& file : manifest.outputs) outputs.push_back(file_json(file));
  ordered_json value = {{"format", kFormat},
                        {"version", manifest.version},
                        {"recipe", manifest.recipe},
                        {"seed", manifest.seed},
                        {"propagates_nan", manifest.propagates_nan},
                        {"allows_shape_mismatch", manifest.allows_shape_mismatch},
                        {"dtype", manifest.dtype},
                        {"importance", manifest.importance},
                        {"shard_bytes", manifest.shard_bytes.value_or(0)},
                        {"block_bytes", kMerkleBlockBytes},
                        {"inputs", std::move(inputs)},
                        {"outputs", std::move(outputs)}};
  if (!manifest.shard_bytes) value.erase("shard_bytes");
  return value.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

Manifest parse_manifest(std::string_view text, std::string_view where) {
  const json value = parse_json(text, where);
  try {
    if (value.at("format") != kFormat || value.at("block_bytes") != kMerkleBlockBytes) {
      throw InputError("{}: no manifest of a kind this version knows ('{}')", where, kFormat);
    }
    Manifest manifest{.version = value.at("version").get<std::string>(),
                      .recipe = value.at("recipe").get<std::string>(),
                      .seed = json_count(value, "seed", where),
                      .propagates_nan = value.at("propagates_nan").get<bool>(),
                      .allows_shape_mismatch = value.at("allows_shape_mismatch").get<bool>(),
                      .dtype = value.at("dtype").get<std::string>(),
                      .importance = value.value("importance", std::string()),
                      .shard_bytes = {},
                      .inputs = {},
                      .outputs = {}};
    if (value.contains("shard_bytes")) {
      manifest.shard_bytes = json_count(value, "shard_bytes", where);
    }
    for (const json& file : value.at("inputs")) {
      manifest.inputs.push_back(parse_file(file, false, where));
    }
    for (const json& file : value.at("outputs")) {
      manifest.outputs.push_back(parse_file(file, true, where));
    }
    return manifest;
  } catch (const json::exception& error) {
    throw InputError("{}: not a manifest: {}", where, error.what());
  }
}

Manifest read_manifest(const fs::path& output) {
  const fs::path place = manifest_place(output);
  return parse_manifest(read_text_file(place, kLargestManifest), place.string());
}

}  // namespace amalgam
