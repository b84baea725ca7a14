#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "amalgam/checkpoint/sink.hpp"

namespace amalgam {

/// The size at which Hugging Face libraries begin a new shard by default, in bytes.
constexpr std::uint64_t kDefaultShardBytes = 5'000'000'000;

/// A new safetensors file at `path` (which must not exist, unless `start` says so), with its space
/// reserved and its header written. The bytes depend only on the arguments and are those the
/// official library writes: data in the order of element size, largest first, then names; header
/// padded with spaces to 8 bytes.
/// `{"format": "pt"}` is the metadata unless `metadata` overrides the key; other keys are added.
/// InputError for quantised tensors, which the format cannot hold, and for names that are not
/// UTF-8; Error naming needed and free bytes if the disk has no room (nothing new is left behind).
std::unique_ptr<FileSink> create_safetensors_file(
    const std::filesystem::path& path, std::vector<TensorInfo> tensors,
    const std::map<std::string, std::string>& metadata = {}, SinkStart start = SinkStart::create);

/// The same as a Hugging Face folder, made if it does not exist: `model.safetensors` if everything
/// fits `shard_bytes`, else `model-0000i-of-0000n.safetensors` and `model.safetensors.index.json`
/// (written by finish()). Tensors, in the order of names, are never split; one larger than
/// `shard_bytes` has a shard of its own.
std::unique_ptr<FileSink> create_safetensors_folder(
    const std::filesystem::path& folder, std::vector<TensorInfo> tensors,
    const std::map<std::string, std::string>& metadata = {},
    std::uint64_t shard_bytes = kDefaultShardBytes, SinkStart start = SinkStart::create);

}  // namespace amalgam
