#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "amalgam/checkpoint/byte_cursor.hpp"
#include "amalgam/checkpoint/gguf.hpp"
#include "amalgam/checkpoint/gguf_parts.hpp"
#include "amalgam/checkpoint/gguf_tensor_type.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam {
namespace {

// Real headers have some megabytes, most of it the tokenizer.
constexpr std::uint64_t kLongestHeader = std::uint64_t{256} << 20;
constexpr std::uint64_t kSmallestAlignment = 8;
constexpr std::uint64_t kLargestAlignment = std::uint64_t{1} << 20;
// The least a key/value pair and a tensor's description take.
constexpr std::uint64_t kLeastPairBytes = 8 + 4 + 1;
constexpr std::uint64_t kLeastTensorBytes = 8 + 4 + 4 + 8;

struct Counts {
  std::uint64_t tensors = 0;
  std::uint64_t pairs = 0;
};

std::uint32_t read_version(ByteCursor& cursor) {
  const std::string& file = cursor.file_name();
  cursor.set_place("the magic number");
  const auto magic = cursor.take(4);
  if (std::memcmp(magic.data(), "GGUF", 4) != 0) {
    throw InputError("{}: not a GGUF file: it begins with '{}' instead of 'GGUF'", file,
                     printable({reinterpret_cast<const char*>(magic.data()), magic.size()}));
  }
  cursor.set_place("the version");
  const auto version = cursor.number<std::uint32_t>();
  if (version == 1) {
    throw InputError(
        "{}: GGUF version 1 is not read (versions 2 and 3 are); convert the model anew with a "
        "current llama.cpp",
        file);
  }
  if ((version & 0xffff) == 0 && version != 0) {
    throw InputError(
        "{}: a big-endian GGUF file, which is not read; convert the model anew as "
        "little-endian",
        file);
  }
  if (version != 2 && version != 3) {
    throw InputError("{}: GGUF version {} is not read (versions 2 and 3 are)", file, version);
  }
  return version;
}

Counts read_counts(ByteCursor& cursor) {
  cursor.set_place("the counts");
  Counts counts;
  counts.tensors = cursor.number<std::uint64_t>();
  counts.pairs = cursor.number<std::uint64_t>();
  if (counts.pairs > cursor.remaining() / kLeastPairBytes) {
    throw InputError("{}: claims {} metadata pairs, more than its {} bytes can hold",
                     cursor.file_name(), counts.pairs, cursor.remaining());
  }
  if (counts.tensors > cursor.remaining() / kLeastTensorBytes) {
    throw InputError("{}: claims {} tensors, more than its {} bytes can hold", cursor.file_name(),
                     counts.tensors, cursor.remaining());
  }
  return counts;
}

// A key or a tensor's name.
std::string read_name(ByteCursor& cursor) {
  const auto length = cursor.number<std::uint64_t>();
  if (length == 0 || length > kGgufLongestKey) {
    throw InputError("{}: {} has a name of {} bytes, expected 1 to {}", cursor.file_name(),
                     cursor.place(), length, kGgufLongestKey);
  }
  const auto bytes = cursor.take(length);
  std::string name(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!is_utf8(name)) {
    throw InputError("{}: {} has the name '{}', which is not UTF-8", cursor.file_name(),
                     cursor.place(), printable(name));
  }
  return name;
}

GgufMetadata read_pairs(ByteCursor& cursor, std::uint64_t count) {
  GgufMetadata metadata;
  for (std::uint64_t i = 0; i < count; ++i) {
    cursor.set_place("metadata pair " + std::to_string(i));
    std::string key = read_name(cursor);
    const std::string shown = printable(key);
    cursor.set_place("metadata '" + shown + "'");
    const auto type = cursor.number<std::uint32_t>();
    if (type > static_cast<std::uint32_t>(GgufType::f64)) {
      throw InputError("{}: metadata '{}' has the unknown type {}", cursor.file_name(), shown,
                       type);
    }
    GgufValue value = GgufValue::read(cursor, static_cast<GgufType>(type));
    if (!metadata.add(std::move(key), std::move(value))) {
      throw InputError("{}: metadata '{}' appears twice", cursor.file_name(), shown);
    }
  }
  return metadata;
}

std::uint64_t read_alignment(const GgufMetadata& metadata, const std::string& file) {
  const GgufValue* value = metadata.find("general.alignment");
  if (value == nullptr) return kGgufAlignment;
  if (value->type() != GgufType::u32) {
    throw InputError("{}: general.alignment has type {}, expected UINT32", file,
                     gguf_type_name(value->type()));
  }
  const std::uint64_t alignment = value->as_unsigned().value_or(0);
  if (!std::has_single_bit(alignment) || alignment < kSmallestAlignment ||
      alignment > kLargestAlignment) {
    throw InputError("{}: general.alignment is {}, expected a power of two from {} to {}", file,
                     alignment, kSmallestAlignment, kLargestAlignment);
  }
  return alignment;
}

struct Placed {
  TensorInfo info;
  std::uint64_t offset = 0;  // from the start of the data
};

Placed read_tensor(ByteCursor& cursor, std::uint64_t index, std::uint64_t alignment) {
  const std::string& file = cursor.file_name();
  cursor.set_place("tensor " + std::to_string(index));
  std::string name = read_name(cursor);
  const std::string shown = printable(name);
  cursor.set_place("tensor '" + shown + "'");
  const auto dimensions = cursor.number<std::uint32_t>();
  if (dimensions > kGgufMostDimensions) {
    throw InputError("{}: tensor '{}' has {} dimensions, GGUF allows at most {}", file, shown,
                     dimensions, kGgufMostDimensions);
  }
  Shape shape(dimensions);
  for (std::uint64_t& size : shape) size = cursor.number<std::uint64_t>();
  std::reverse(shape.begin(), shape.end());
  const auto type = cursor.number<std::uint32_t>();
  const std::optional<DType> dtype = gguf_dtype(type);
  if (!dtype) {
    throw InputError(
        "{}: tensor '{}' has type {}, which is not read (those that are: {}); convert the file "
        "first: llama-quantize --allow-requantize {} OUT.gguf F16",
        file, shown, gguf_type_number_name(type), gguf_supported_types(), file);
  }
  const auto offset = cursor.number<std::uint64_t>();
  if (offset % alignment != 0) {
    throw InputError("{}: tensor '{}' begins at byte {} of the data, expected a multiple of {}",
                     file, shown, offset, alignment);
  }
  return {make_tensor_info(std::move(name), *dtype, std::move(shape), file), offset};
}

// Every tensor lies inside the data and none shares bytes with another.
void check_places(const std::vector<Placed>& tensors, std::uint64_t data_bytes,
                  const std::string& file) {
  std::vector<const Placed*> by_place;
  by_place.reserve(tensors.size());
  for (const Placed& tensor : tensors) {
    if (tensor.offset > data_bytes || tensor.info.bytes > data_bytes - tensor.offset) {
      throw InputError(
          "{}: tensor '{}' takes {} bytes from byte {} of the data, but there are {} (truncated?)",
          file, printable(tensor.info.name), tensor.info.bytes, tensor.offset, data_bytes);
    }
    if (tensor.info.bytes > 0) by_place.push_back(&tensor);
  }
  std::sort(by_place.begin(), by_place.end(),
            [](const Placed* a, const Placed* b) { return a->offset < b->offset; });
  for (std::size_t i = 1; i < by_place.size(); ++i) {
    const Placed& before = *by_place[i - 1];
    if (by_place[i]->offset < before.offset + before.info.bytes) {
      throw InputError(
          "{}: tensor '{}' begins at byte {} of the data, but '{}' ends at {}: they "
          "overlap",
          file, printable(by_place[i]->info.name), by_place[i]->offset, printable(before.info.name),
          before.offset + before.info.bytes);
    }
  }
}

std::map<std::string, std::string> described(const GgufMetadata& metadata) {
  std::map<std::string, std::string> text;
  for (const auto& [key, value] : metadata.entries()) text.emplace(key, value.describe());
  return text;
}

}  // namespace

GgufMetadata read_gguf_metadata(const std::filesystem::path& path) {
  const File file = File::open(path);
  ByteCursor cursor(file, kLongestHeader);
  read_version(cursor);
  return read_pairs(cursor, read_counts(cursor).pairs);
}

struct GgufSource::Part {
  File file;
  std::uint32_t version = 0;
  GgufMetadata metadata;
  std::vector<TensorInfo> tensors;
  std::vector<std::uint64_t> places;  // file offsets, in the order of `tensors`
};

GgufSource::Part GgufSource::read_part(const std::filesystem::path& path) {
  Part part{.file = File::open(path)};
  ByteCursor cursor(part.file, kLongestHeader);
  const std::string& name = cursor.file_name();
  part.version = read_version(cursor);
  const Counts counts = read_counts(cursor);
  part.metadata = read_pairs(cursor, counts.pairs);
  const std::uint64_t alignment = read_alignment(part.metadata, name);
  std::vector<Placed> tensors;
  for (std::uint64_t i = 0; i < counts.tensors; ++i) {
    tensors.push_back(read_tensor(cursor, i, alignment));
  }
  const std::uint64_t data_start = (cursor.position() + alignment - 1) / alignment * alignment;
  const std::uint64_t file_size = part.file.size();
  check_places(tensors, file_size > data_start ? file_size - data_start : 0, name);
  for (Placed& tensor : tensors) {
    part.tensors.push_back(std::move(tensor.info));
    part.places.push_back(data_start + tensor.offset);
  }
  return part;
}

GgufSource::GgufSource(const std::filesystem::path& path) {
  Part first = read_part(path);
  version_ = first.version;
  gguf_metadata_ = first.metadata;
  std::vector<TensorInfo> infos;
  std::map<std::string, Place> places;
  const auto add = [&](Part part) {
    for (std::size_t i = 0; i < part.tensors.size(); ++i) {
      places.emplace(part.tensors[i].name, Place{files_.size(), part.places[i]});
      infos.push_back(std::move(part.tensors[i]));
    }
    files_.push_back(std::move(part.file));
  };
  const std::uint64_t count = check_first_part(path, gguf_metadata_);
  add(std::move(first));
  for (std::uint64_t number = 1; number < count; ++number) {
    const std::filesystem::path other = gguf_part_beside(path, number);
    Part part = read_part(other);
    check_other_part(other, part.metadata, number, count);
    add(std::move(part));
  }
  if (count > 1) check_part_tensors(path, gguf_metadata_, infos.size());
  set_tensors(path.string(), std::move(infos));
  for (const TensorInfo& info : tensors()) places_.push_back(places.at(info.name));
  set_metadata(described(gguf_metadata_));
}

void GgufSource::read_bytes(std::size_t tensor, std::uint64_t offset,
                            std::span<std::byte> out) const {
  const TensorInfo& info = tensors().at(tensor);
  if (offset > info.bytes || out.size() > info.bytes - offset) {
    throw Error("{}: read past the end of '{}'", label(), info.name);
  }
  const Place& place = places_[tensor];
  files_[place.file].read_exactly(place.offset + offset, out);
}

void GgufSource::will_need(std::size_t tensor, std::uint64_t offset, std::uint64_t bytes) const {
  const Place& place = places_.at(tensor);
  files_[place.file].will_need(place.offset + offset, bytes);
}

std::unique_ptr<TensorSource> open_gguf(const std::filesystem::path& path) {
  return std::make_unique<GgufSource>(path);
}

const GgufMetadata* find_gguf_metadata(const TensorSource& source) {
  const auto* gguf = dynamic_cast<const GgufSource*>(&source);
  return gguf != nullptr ? &gguf->gguf_metadata() : nullptr;
}

}  // namespace amalgam
