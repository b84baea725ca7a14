#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/checkpoint/gguf.hpp"
#include "amalgam/checkpoint/safetensors_sink.hpp"
#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// The checkpoint that an output is made from.
struct OutputOrigin {
  const TensorSource& source;  ///< its metadata are carried over as far as the output can hold them
  std::filesystem::path path;  ///< where it lies: a folder or file that can be opened
  /// Added to the metadata, before what the source has; an empty value takes the key out.
  std::map<std::string, std::string> metadata = {};
};

/// A new checkpoint at `place`, whose format its name says: `.gguf`, `.safetensors`, else a folder
/// of safetensors in shards of `shard_bytes`. Metadata: a GGUF origin's keep their types in GGUF
/// and become text in safetensors (arrays, such as a tokenizer's, and what says how the file was
/// quantised are left out); a safetensors origin's are kept in safetensors; a GGUF output of
/// another origin has a name and an architecture only, with a warning. Errors as those of the
/// formats' own functions.
std::unique_ptr<FileSink> create_checkpoint(const std::filesystem::path& place,
                                            std::vector<TensorInfo> tensors,
                                            const OutputOrigin& origin,
                                            std::uint64_t shard_bytes = kDefaultShardBytes,
                                            SinkStart start = SinkStart::create);

/// An output to be written.
struct CreatedOutput {
  std::unique_ptr<FileSink> sink;
  std::vector<std::filesystem::path> parts;  ///< of a split GGUF output, in their order; else none
};

/// The same for an output of which no file should be larger than `shard_bytes`: nothing means
/// shards of kDefaultShardBytes in a folder, and one file in GGUF, which else is split
/// (create_gguf_parts) if it is larger. A single safetensors file is never split.
CreatedOutput create_output(const std::filesystem::path& place, std::vector<TensorInfo> tensors,
                            const OutputOrigin& origin, std::optional<std::uint64_t> shard_bytes,
                            SinkStart start = SinkStart::create);

/// The files that create_output(place, tensors, ..., shard_bytes) splits a GGUF output into; none
/// if the output is one file or a folder.
std::vector<std::filesystem::path> output_parts(const std::filesystem::path& place,
                                                const std::vector<TensorInfo>& tensors,
                                                std::optional<std::uint64_t> shard_bytes);

/// Where an output that is asked for as `output` is opened once it is in place: there, or, of a
/// split one, at the first of `parts`.
std::filesystem::path path_to_open(const std::filesystem::path& output,
                                   const std::vector<std::filesystem::path>& parts);

}  // namespace amalgam
