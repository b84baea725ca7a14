#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/gguf_metadata.hpp"
#include "amalgam/checkpoint/sink.hpp"
#include "amalgam/checkpoint/source.hpp"
#include "amalgam/checkpoint/stored_tensors.hpp"

namespace amalgam {

/// A GGUF file, version 2 or 3, little-endian (docs/formats/gguf.md), or all parts of a split one
/// (NAME-00001-of-00003.gguf), of which the first is named. Shapes are row-major: the reverse of
/// the order in the file. metadata() shows the values as text, arrays by their count.
class GgufSource final : public TensorSource, public StoredTensors {
 public:
  /// InputError for anything malformed, for other versions and for big-endian files, for tensor
  /// types that are not read, by name, and for parts that are missing or do not belong together.
  /// What is allocated is bounded by the size of the files.
  explicit GgufSource(const std::filesystem::path& path);

  std::uint32_t version() const { return version_; }
  /// The typed key/value pairs, tokenizer included, in the order of the (first) file.
  const GgufMetadata& gguf_metadata() const { return gguf_metadata_; }

  void read_bytes(std::size_t tensor, std::uint64_t offset,
                  std::span<std::byte> out) const override;
  void will_need(std::size_t tensor, std::uint64_t offset, std::uint64_t bytes) const override;
  bool is_stored(std::size_t /*tensor*/) const override { return true; }

 private:
  struct Part;
  static Part read_part(const std::filesystem::path& path);

  struct Place {
    std::size_t file = 0;
    std::uint64_t offset = 0;
  };
  std::vector<File> files_;
  std::uint32_t version_ = 0;
  GgufMetadata gguf_metadata_;
  std::vector<Place> places_;  // in the order of tensors()
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

/// Tensors that go into several files.
struct GgufParts {
  std::vector<std::filesystem::path> files;  ///< in their order
  std::unique_ptr<FileSink> sink;            ///< its tensors are those given, in their order
};

/// The same tensors in as many files as they need, beside `path` and named after it (NAME.gguf
/// becomes NAME-00001-of-00003.gguf): a file is full when another tensor would make its data larger
/// than `part_bytes`. All metadata is in the first; the others have split.* only. Errors as those
/// of create_gguf_file, whose `start` is that of every file; InputError if there would be more than
/// 65535 files.
GgufParts create_gguf_parts(const std::filesystem::path& path, std::vector<TensorInfo> tensors,
                            const GgufMetadata& metadata, std::uint64_t part_bytes,
                            SinkStart start = SinkStart::create);

}  // namespace amalgam
