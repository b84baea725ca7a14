#include "amalgam/checkpoint/gguf_parts.hpp"

#include <fmt/format.h>

#include <system_error>

#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/core/folder_entries.hpp"
#include "amalgam/core/log.hpp"

namespace amalgam {
namespace {

constexpr const char* kNumber = "split.no";
constexpr const char* kCount = "split.count";
constexpr const char* kTensors = "split.tensors.count";

std::uint64_t unsigned_of(const GgufMetadata& metadata, const char* key, std::uint64_t otherwise) {
  const GgufValue* value = metadata.find(key);
  return value == nullptr ? otherwise : value->as_unsigned().value_or(otherwise);
}

/// "-00001-of-00003.gguf".
std::string part_suffix(std::uint64_t number, std::uint64_t count) {
  return fmt::format("-{:05}-of-{:05}.gguf", number + 1, count);
}

}  // namespace

std::string gguf_part_name(std::string_view stem, std::uint64_t number, std::uint64_t count) {
  return std::string(stem) + part_suffix(number, count);
}

std::optional<GgufPartName> parse_gguf_part_name(const std::filesystem::path& path) {
  constexpr std::string_view kOf = "-of-";
  constexpr std::size_t kDigits = 5;
  const std::string name = path.filename().string();
  const std::size_t length = part_suffix(0, 1).size();
  if (path.extension() != ".gguf" || name.size() <= length) return std::nullopt;
  const std::string_view suffix = std::string_view(name).substr(name.size() - length);
  const std::string_view number = suffix.substr(1, kDigits);
  const std::string_view count = suffix.substr(1 + kDigits + kOf.size(), kDigits);
  const auto is_number = [](std::string_view text) {
    return text.find_first_not_of("0123456789") == std::string_view::npos;
  };
  if (suffix.front() != '-' || suffix.substr(1 + kDigits, kOf.size()) != kOf ||
      !is_number(number) || !is_number(count)) {
    return std::nullopt;
  }
  const GgufPartName part{.stem = name.substr(0, name.size() - length),
                          .number = std::stoull(std::string(number)) - 1,
                          .count = std::stoull(std::string(count))};
  return part.number < part.count ? std::optional(part) : std::nullopt;
}

std::optional<std::filesystem::path> gguf_name_before_split(const std::filesystem::path& first) {
  const std::optional<GgufPartName> part = parse_gguf_part_name(first);
  if (!part || part->number != 0) return std::nullopt;
  return first.parent_path() / (part->stem + ".gguf");
}

bool is_gguf_part(const std::filesystem::path& path) {
  const std::optional<GgufPartName> part = parse_gguf_part_name(path);
  if (!part || !names_file(path)) return false;
  try {
    const GgufMetadata metadata = read_gguf_metadata(path);
    return unsigned_of(metadata, kCount, 0) == part->count &&
           unsigned_of(metadata, kNumber, part->count) == part->number;
  } catch (const InputError&) {
    return false;
  }
}

std::vector<std::filesystem::path> gguf_parts_of(const std::filesystem::path& whole) {
  const std::filesystem::path folder = whole.has_parent_path() ? whole.parent_path() : ".";
  std::vector<std::filesystem::path> parts;
  for (const std::filesystem::directory_entry& entry : folder_entries(folder)) {
    const std::optional<GgufPartName> part = parse_gguf_part_name(entry.path());
    if (!part || part->stem != whole.stem()) continue;
    if (is_gguf_part(entry.path())) {
      parts.push_back(entry.path());
    } else {
      log::warn("{}: has the name of a part of {}, but is none; it stays as it is",
                entry.path().string(), whole.filename().string());
    }
  }
  return parts;
}

std::optional<std::filesystem::path> find_first_gguf_part(const std::filesystem::path& whole) {
  const std::filesystem::path folder = whole.has_parent_path() ? whole.parent_path() : ".";
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
    const auto its_whole = gguf_name_before_split(entry.path().filename());
    if (its_whole && *its_whole == whole.filename()) return entry.path();
  }
  return std::nullopt;
}

std::filesystem::path gguf_part_beside(const std::filesystem::path& first, std::uint64_t number) {
  // The name has been checked: it ends as those of all parts do, in as many letters.
  const std::string name = first.filename().string();
  const std::string count = name.substr(name.size() - 10, 5);
  const std::string stem = name.substr(0, name.size() - part_suffix(0, 1).size());
  return first.parent_path() / gguf_part_name(stem, number, std::stoull(count));
}

std::uint64_t check_first_part(const std::filesystem::path& path, const GgufMetadata& metadata) {
  const std::uint64_t count = unsigned_of(metadata, kCount, 1);
  if (count <= 1) return 1;
  const std::uint64_t number = unsigned_of(metadata, kNumber, 0);
  if (number != 0) {
    throw InputError(
        "{}: part {} of the {} of a split model; name the first one (its name ends in {})",
        path.string(), number + 1, count, part_suffix(0, count));
  }
  const std::string suffix = part_suffix(0, count);
  if (count > kGgufMostParts || !path.filename().string().ends_with(suffix)) {
    throw InputError(
        "{}: the first of {} parts of a split model, but its name does not end in {}, so the "
        "others "
        "cannot be found; rename it, or join the parts first (llama-gguf-split --merge)",
        path.string(), count, suffix);
  }
  return count;
}

void check_other_part(const std::filesystem::path& path, const GgufMetadata& metadata,
                      std::uint64_t number, std::uint64_t count) {
  const std::uint64_t its_count = unsigned_of(metadata, kCount, 1);
  const std::uint64_t its_number = unsigned_of(metadata, kNumber, 0);
  if (its_count == count && its_number == number) return;
  throw InputError("{}: says that it is part {} of {}, expected part {} of {}", path.string(),
                   its_number + 1, its_count, number + 1, count);
}

void check_part_tensors(const std::filesystem::path& path, const GgufMetadata& metadata,
                        std::size_t found) {
  const std::uint64_t expected = unsigned_of(metadata, kTensors, found);
  if (expected == found) return;
  throw InputError("{}: says that all parts have {} tensors, but they have {}", path.string(),
                   expected, found);
}

std::vector<std::size_t> gguf_part_sizes(const std::vector<TensorInfo>& tensors,
                                         std::uint64_t part_bytes) {
  std::vector<std::size_t> sizes(1);
  std::uint64_t filled = 0;
  for (const TensorInfo& info : tensors) {
    if (sizes.back() > 0 && (info.bytes > part_bytes || filled > part_bytes - info.bytes)) {
      sizes.push_back(0);
      filled = 0;
    }
    ++sizes.back();
    filled += info.bytes;
  }
  return sizes;
}

std::vector<std::filesystem::path> gguf_part_files(const std::filesystem::path& path,
                                                   const std::vector<TensorInfo>& tensors,
                                                   std::uint64_t part_bytes) {
  const std::size_t count = gguf_part_sizes(tensors, part_bytes).size();
  if (count > kGgufMostParts) {
    throw InputError("{}: {} parts, but at most {} are possible; choose a larger --shard-size",
                     path.string(), count, kGgufMostParts);
  }
  std::vector<std::filesystem::path> files;
  for (std::size_t number = 0; number < count; ++number) {
    files.push_back(path.parent_path() / gguf_part_name(path.stem().string(), number, count));
  }
  return files;
}

void set_part_keys(GgufMetadata& metadata, std::uint64_t number, std::uint64_t count,
                   std::size_t tensors) {
  metadata.set(kNumber, GgufValue::of(static_cast<std::uint16_t>(number)));
  metadata.set(kCount, GgufValue::of(static_cast<std::uint16_t>(count)));
  metadata.set(kTensors, GgufValue::of(static_cast<std::int32_t>(tensors)));
}

}  // namespace amalgam
