#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/gguf_metadata.hpp"
#include "amalgam/checkpoint/sink.hpp"
#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// A GGUF file, version 2 or 3, little-endian (docs/formats/gguf.md). Shapes are row-major: the
/// reverse of the order in the file. metadata() shows the values as text, arrays by their count.
class GgufSource final : public TensorSource {
 public:
  /// InputError for anything malformed, for other versions and for big-endian files, and for tensor
  /// types that are not read, by name. What is allocated is bounded by the size of the file.
  explicit GgufSource(const std::filesystem::path& path);

  std::uint32_t version() const { return version_; }
  /// The typed key/value pairs, tokenizer included, in the order of the file.
  const GgufMetadata& gguf_metadata() const { return gguf_metadata_; }

  void read_bytes(std::size_t tensor, std::uint64_t offset,
                  std::span<std::byte> out) const override;
  void will_need(std::size_t tensor, std::uint64_t offset, std::uint64_t bytes) const override;

 private:
  File file_;
  std::uint32_t version_ = 0;
  GgufMetadata gguf_metadata_;
  std::vector<std::uint64_t> places_;  // file offsets, in the order of tensors()
};

std::unique_ptr<TensorSource> open_gguf(const std::filesystem::path& path);

/// The typed metadata of `source` if it is a GGUF file, else null.
const GgufMetadata* find_gguf_metadata(const TensorSource& source);

/// A new GGUF version 3 file at `path` (which must not exist, unless `start` says so), with its
/// space reserved and its header written: alignment 32, tensors in the order given. `metadata` is
/// written as it is, except that general.file_type and general.quantization_version are set from
/// the tensors, and that general.alignment and split.* (parts of a split file) are dropped.
/// InputError for types GGUF does not have, more than 4 dimensions, repeated or empty names; Error
/// naming needed and free bytes if the disk has no room (nothing is left behind).
std::unique_ptr<FileSink> create_gguf_file(const std::filesystem::path& path,
                                           std::vector<TensorInfo> tensors, GgufMetadata metadata,
                                           SinkStart start = SinkStart::create);

}  // namespace amalgam
