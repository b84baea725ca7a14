#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>

#include "amalgam/checkpoint/byte_cursor.hpp"
#include "amalgam/checkpoint/gguf.hpp"
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

// Part of a split model: merging it alone would lose the rest without a word.
void refuse_parts(const GgufMetadata& metadata, const std::string& file) {
  const GgufValue* value = metadata.find("split.count");
  if (value == nullptr) return;
  const std::uint64_t count = value->as_unsigned().value_or(0);
  if (count > 1) {
    throw InputError(
        "{}: one of {} parts of a split model; join them first (llama-gguf-split --merge)", file,
        count);
  }
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

GgufSource::GgufSource(const std::filesystem::path& path) : file_(File::open(path)) {
  ByteCursor cursor(file_, kLongestHeader);
  const std::string& name = cursor.file_name();
  version_ = read_version(cursor);
  const Counts counts = read_counts(cursor);
  gguf_metadata_ = read_pairs(cursor, counts.pairs);
  const std::uint64_t alignment = read_alignment(gguf_metadata_, name);
  refuse_parts(gguf_metadata_, name);

  std::vector<Placed> tensors;
  for (std::uint64_t i = 0; i < counts.tensors; ++i) {
    tensors.push_back(read_tensor(cursor, i, alignment));
  }
  const std::uint64_t data_start = (cursor.position() + alignment - 1) / alignment * alignment;
  const std::uint64_t data_bytes = file_.size() > data_start ? file_.size() - data_start : 0;
  check_places(tensors, data_bytes, name);

  std::sort(tensors.begin(), tensors.end(),
            [](const Placed& a, const Placed& b) { return a.info.name < b.info.name; });
  std::vector<TensorInfo> infos;
  infos.reserve(tensors.size());
  places_.reserve(tensors.size());
  for (Placed& tensor : tensors) {
    infos.push_back(std::move(tensor.info));
    places_.push_back(data_start + tensor.offset);
  }
  set_tensors(name, std::move(infos));
  set_metadata(described(gguf_metadata_));
}

void GgufSource::read_bytes(std::size_t tensor, std::uint64_t offset,
                            std::span<std::byte> out) const {
  const TensorInfo& info = tensors().at(tensor);
  if (offset > info.bytes || out.size() > info.bytes - offset) {
    throw Error("{}: read past the end of '{}'", label(), info.name);
  }
  file_.read_exactly(places_[tensor] + offset, out);
}

void GgufSource::will_need(std::size_t tensor, std::uint64_t offset, std::uint64_t bytes) const {
  file_.will_need(places_.at(tensor) + offset, bytes);
}

std::unique_ptr<TensorSource> open_gguf(const std::filesystem::path& path) {
  return std::make_unique<GgufSource>(path);
}

const GgufMetadata* find_gguf_metadata(const TensorSource& source) {
  const auto* gguf = dynamic_cast<const GgufSource*>(&source);
  return gguf != nullptr ? &gguf->gguf_metadata() : nullptr;
}

}  // namespace amalgam
