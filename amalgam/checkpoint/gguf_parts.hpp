#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/checkpoint/gguf_metadata.hpp"
#include "amalgam/checkpoint/source.hpp"

// The names and keys by which the parts of a split GGUF file belong together. Internal to the GGUF
// reader and writer.

namespace amalgam {

constexpr std::uint64_t kGgufMostParts = 65535;

/// "STEM-00002-of-00003.gguf" for number 1 (the first is 0) of 3.
std::string gguf_part_name(std::string_view stem, std::uint64_t number, std::uint64_t count);

/// What the name of a part says.
struct GgufPartName {
  std::string stem;
  std::uint64_t number = 0;  ///< from 0
  std::uint64_t count = 0;
};
/// Of "STEM-00002-of-00003.gguf" (with or without folders before it); nothing for other names.
std::optional<GgufPartName> parse_gguf_part_name(const std::filesystem::path& path);

/// Whether the file at `path` is the part of a split model that its name says: a GGUF file with
/// those numbers in its metadata. Error if the device fails.
bool is_gguf_part(const std::filesystem::path& path);

/// All parts beside `whole` ("STEM.gguf") that it was split into, into however many, in the order
/// of their names. Files that have such a name and are no such part are left out, with a warning.
std::vector<std::filesystem::path> gguf_parts_of(const std::filesystem::path& whole);

/// The metadata of a GGUF file, whatever its tensors are. InputError for anything malformed.
GgufMetadata read_gguf_metadata(const std::filesystem::path& path);

/// The first part of the model that `whole` ("STEM.gguf") was split into, if one is there.
std::optional<std::filesystem::path> find_first_gguf_part(const std::filesystem::path& whole);

/// "STEM.gguf" for the path of a first part, "STEM-00001-of-00003.gguf"; nothing for other names.
std::optional<std::filesystem::path> gguf_name_before_split(const std::filesystem::path& first);

/// The place of part `number` beside the first one.
std::filesystem::path gguf_part_beside(const std::filesystem::path& first, std::uint64_t number);

/// The number of parts that a file says it is the first of; 1 if it is not split. InputError if it
/// is another one than the first, or if its name is not that of a first part.
std::uint64_t check_first_part(const std::filesystem::path& path, const GgufMetadata& metadata);

/// InputError if the file is not part `number` of `count`.
void check_other_part(const std::filesystem::path& path, const GgufMetadata& metadata,
                      std::uint64_t number, std::uint64_t count);

/// InputError if the first part says that there is another number of tensors than `found`.
void check_part_tensors(const std::filesystem::path& path, const GgufMetadata& metadata,
                        std::size_t found);

/// How many tensors go into each part, in their order.
std::vector<std::size_t> gguf_part_sizes(const std::vector<TensorInfo>& tensors,
                                         std::uint64_t part_bytes);

/// The files beside `path` ("STEM.gguf") that create_gguf_parts makes, in their order. InputError
/// if there would be more than kGgufMostParts.
std::vector<std::filesystem::path> gguf_part_files(const std::filesystem::path& path,
                                                   const std::vector<TensorInfo>& tensors,
                                                   std::uint64_t part_bytes);

/// Sets the keys of part `number` of `count`; `tensors`: of all parts.
void set_part_keys(GgufMetadata& metadata, std::uint64_t number, std::uint64_t count,
                   std::size_t tensors);

}  // namespace amalgam
