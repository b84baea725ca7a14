#include "amalgam/checkpoint/create.hpp"

#include <map>
#include <string>
#include <utility>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/gguf.hpp"
#include "amalgam/checkpoint/gguf_parts.hpp"
#include "amalgam/checkpoint/side_files.hpp"
#include "amalgam/core/log.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

std::map<std::string, std::string> inherited_metadata(const OutputOrigin& origin) {
  std::map<std::string, std::string> metadata;
  if (const GgufMetadata* typed = find_gguf_metadata(origin.source)) {
    for (const auto& [key, value] : typed->entries()) {
      if (value.type() != GgufType::array) metadata[key] = value.describe();
    }
    metadata.erase("general.file_type");  // says how the GGUF file was quantised
    metadata.erase("general.quantization_version");
    return metadata;
  }
  const CheckpointFormat format = detect_format(origin.path);
  const bool has_own = format == CheckpointFormat::safetensors_file ||
                       format == CheckpointFormat::safetensors_folder;
  return has_own ? origin.source.metadata() : metadata;
}

std::map<std::string, std::string> safetensors_metadata(const OutputOrigin& origin) {
  std::map<std::string, std::string> metadata = inherited_metadata(origin);
  for (const auto& [key, value] : origin.metadata) {
    if (value.empty()) {
      metadata.erase(key);
    } else {
      metadata[key] = value;
    }
  }
  return metadata;
}

GgufMetadata inherited_gguf_metadata(const OutputOrigin& origin, const fs::path& place) {
  if (const GgufMetadata* typed = find_gguf_metadata(origin.source)) return *typed;
  log::warn(
      "{}: the GGUF output carries weights and a name only; programs that run models need "
      "more metadata and a tokenizer",
      place.filename().string());
  const fs::path path = fs::absolute(origin.path).lexically_normal();
  if (!fs::is_directory(path)) return minimal_gguf_metadata("unknown", path.stem().string());
  const fs::path folder = path.has_filename() ? path : path.parent_path();
  return minimal_gguf_metadata(config_model_type(folder).value_or("unknown"),
                               folder.filename().string());
}

GgufMetadata gguf_metadata(const OutputOrigin& origin, const fs::path& place) {
  GgufMetadata metadata = inherited_gguf_metadata(origin, place);
  for (const auto& [key, value] : origin.metadata) {
    if (value.empty()) {
      metadata.erase(key);
    } else {
      metadata.set(key, GgufValue::of(std::string_view(value)));
    }
  }
  return metadata;
}

bool is_split(const fs::path& place, const std::vector<TensorInfo>& tensors,
              std::optional<std::uint64_t> shard_bytes) {
  std::uint64_t bytes = 0;
  for (const TensorInfo& info : tensors) bytes += info.bytes;
  return place.extension() == ".gguf" && shard_bytes && bytes > *shard_bytes;
}

}  // namespace

std::unique_ptr<FileSink> create_checkpoint(const fs::path& place, std::vector<TensorInfo> tensors,
                                            const OutputOrigin& origin, std::uint64_t shard_bytes,
                                            SinkStart start) {
  if (place.extension() == ".gguf") {
    return create_gguf_file(place, std::move(tensors), gguf_metadata(origin, place), start);
  }
  if (place.extension() == ".safetensors") {
    return create_safetensors_file(place, std::move(tensors), safetensors_metadata(origin), start);
  }
  return create_safetensors_folder(place, std::move(tensors), safetensors_metadata(origin),
                                   shard_bytes, start);
}

fs::path path_to_open(const fs::path& output, const std::vector<fs::path>& parts) {
  return parts.empty() ? output : output.parent_path() / parts.front().filename();
}

std::vector<fs::path> output_parts(const fs::path& place, const std::vector<TensorInfo>& tensors,
                                   std::optional<std::uint64_t> shard_bytes) {
  if (!is_split(place, tensors, shard_bytes)) return {};
  return gguf_part_files(place, tensors, *shard_bytes);
}

CreatedOutput create_output(const fs::path& place, std::vector<TensorInfo> tensors,
                            const OutputOrigin& origin, std::optional<std::uint64_t> shard_bytes,
                            SinkStart start) {
  if (is_split(place, tensors, shard_bytes)) {
    GgufParts split = create_gguf_parts(place, std::move(tensors), gguf_metadata(origin, place),
                                        *shard_bytes, start);
    return {.sink = std::move(split.sink), .parts = std::move(split.files)};
  }
  return {.sink = create_checkpoint(place, std::move(tensors), origin,
                                    shard_bytes.value_or(kDefaultShardBytes), start),
          .parts = {}};
}

}  // namespace amalgam
