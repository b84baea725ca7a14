#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/checkpoint/sink.hpp"
#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// The longest header the format allows, in bytes.
constexpr std::uint64_t kSafetensorsLongestHeader = 100'000'000;
/// The header's length, a little-endian 64-bit number, comes before it.
constexpr std::size_t kSafetensorsLengthBytes = 8;

/// What a safetensors header says.
struct SafetensorsHeader {
  struct Entry {
    TensorInfo info;
    std::uint64_t begin = 0;  ///< first byte of the tensor, counted from the end of the header
  };
  std::vector<Entry> tensors;  ///< sorted by name
  std::map<std::string, std::string> metadata;
};

/// The header's length from the first bytes of a file of `file_bytes`. InputError naming `where` if
/// there are fewer than 8 bytes, or the length is 0, over the limit, or past the end of the file.
std::uint64_t safetensors_header_length(std::span<const std::byte> start, std::uint64_t file_bytes,
                                        std::string_view where);

/// Reads and validates a header (docs/formats/safetensors.md) for `data_bytes` of tensor data,
/// every byte of which must belong to exactly one tensor. InputError naming `where` and the tensor.
SafetensorsHeader parse_safetensors_header(std::string_view text, std::uint64_t data_bytes,
                                           std::string_view where);

/// Opens a safetensors file. InputError as above.
std::unique_ptr<TensorSource> open_safetensors(const std::filesystem::path& path);

}  // namespace amalgam
