#include "amalgam/checkpoint/gguf_metadata.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "amalgam/checkpoint/byte_cursor.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam {
namespace {

constexpr int kDeepestArray = 8;

struct TypeFacts {
  std::string_view name;
  std::size_t bytes;  // 0: variable
};
constexpr std::array<TypeFacts, 13> kTypes = {{{"UINT8", 1},
                                               {"INT8", 1},
                                               {"UINT16", 2},
                                               {"INT16", 2},
                                               {"UINT32", 4},
                                               {"INT32", 4},
                                               {"FLOAT32", 4},
                                               {"BOOL", 1},
                                               {"STRING", 0},
                                               {"ARRAY", 0},
                                               {"UINT64", 8},
                                               {"INT64", 8},
                                               {"FLOAT64", 8}}};

const TypeFacts& facts(GgufType type) { return kTypes.at(static_cast<std::size_t>(type)); }

template <class T>
T load(std::string_view bytes) {
  T value{};
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

template <class T>
void append_number(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void append_bytes(std::string& out, std::span<const std::byte> bytes) {
  out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

// The least a value of `type` takes in a file, so that counts are checked before looping.
std::uint64_t least_bytes(GgufType type) {
  if (type == GgufType::string) return 8;
  if (type == GgufType::array) return 12;
  return facts(type).bytes;
}

void check_bools(const ByteCursor& cursor, std::span<const std::byte> values) {
  for (const std::byte value : values) {
    if (std::to_integer<unsigned>(value) > 1) {
      throw InputError("{}: {} has the bool {}, expected 0 or 1", cursor.file_name(),
                       cursor.place(), std::to_integer<unsigned>(value));
    }
  }
}

// Copies `bytes` bytes in pieces, so that the cursor's buffer stays small.
void copy_fixed(ByteCursor& cursor, GgufType type, std::uint64_t bytes, std::string& out) {
  constexpr std::uint64_t kPiece = std::uint64_t{64} << 10;
  while (bytes > 0) {
    const auto piece = cursor.take(std::min(bytes, kPiece));
    if (type == GgufType::boolean) check_bools(cursor, piece);
    append_bytes(out, piece);
    bytes -= piece.size();
  }
}

void copy_value(ByteCursor& cursor, GgufType type, int depth, std::string& out);

void copy_array(ByteCursor& cursor, int depth, std::string& out) {
  if (depth >= kDeepestArray) {
    throw InputError("{}: {} has arrays nested more than {} deep", cursor.file_name(),
                     cursor.place(), kDeepestArray);
  }
  const auto number = cursor.number<std::uint32_t>();
  if (number >= kTypes.size()) {
    throw InputError("{}: {} is an array of the unknown type {}", cursor.file_name(),
                     cursor.place(), number);
  }
  const auto element = static_cast<GgufType>(number);
  const auto count = cursor.number<std::uint64_t>();
  if (count > cursor.remaining() / least_bytes(element)) {
    throw InputError("{}: {} claims an array of {} values of type {}, but {} bytes are left",
                     cursor.file_name(), cursor.place(), count, gguf_type_name(element),
                     cursor.remaining());
  }
  append_number(out, number);
  append_number(out, count);
  if (facts(element).bytes != 0) {
    copy_fixed(cursor, element, count * facts(element).bytes, out);
    return;
  }
  for (std::uint64_t i = 0; i < count; ++i) copy_value(cursor, element, depth + 1, out);
}

void copy_value(ByteCursor& cursor, GgufType type, int depth, std::string& out) {
  if (type == GgufType::array) {
    copy_array(cursor, depth, out);
  } else if (type == GgufType::string) {
    const auto length = cursor.number<std::uint64_t>();
    append_number(out, length);
    append_bytes(out, cursor.take(length));
  } else {
    copy_fixed(cursor, type, facts(type).bytes, out);
  }
}

template <class F>
auto with_integer(GgufType type, std::string_view bytes, F use) {
  switch (type) {
    case GgufType::u8:
      return use(load<std::uint8_t>(bytes));
    case GgufType::i8:
      return use(load<std::int8_t>(bytes));
    case GgufType::u16:
      return use(load<std::uint16_t>(bytes));
    case GgufType::i16:
      return use(load<std::int16_t>(bytes));
    case GgufType::u32:
      return use(load<std::uint32_t>(bytes));
    case GgufType::i32:
      return use(load<std::int32_t>(bytes));
    case GgufType::u64:
      return use(load<std::uint64_t>(bytes));
    default:
      return use(load<std::int64_t>(bytes));
  }
}

bool is_integer(GgufType type) {
  return facts(type).bytes != 0 && type != GgufType::boolean && type != GgufType::f32 &&
         type != GgufType::f64;
}

}  // namespace

std::string_view gguf_type_name(GgufType type) { return facts(type).name; }

GgufValue GgufValue::of(std::string_view value) {
  std::string encoded;
  append_number(encoded, std::uint64_t{value.size()});
  encoded += value;
  return {GgufType::string, std::move(encoded)};
}

GgufValue GgufValue::of(std::span<const std::string> values) {
  std::string elements;
  for (const std::string& value : values) elements += of(value).encoded_;
  return array_of(GgufType::string, values.size(), elements);
}

GgufValue GgufValue::array_of(GgufType element, std::uint64_t count, std::string_view elements) {
  std::string encoded;
  append_number(encoded, static_cast<std::uint32_t>(element));
  append_number(encoded, count);
  encoded += elements;
  return {GgufType::array, std::move(encoded)};
}

GgufValue GgufValue::read(ByteCursor& cursor, GgufType type) {
  GgufValue value(type, {});
  copy_value(cursor, type, 0, value.encoded_);
  return value;
}

std::optional<std::uint64_t> GgufValue::as_unsigned() const {
  if (!is_integer(type_)) return std::nullopt;
  return with_integer(type_, encoded_, [](auto value) -> std::optional<std::uint64_t> {
    if (std::cmp_less(value, 0)) return std::nullopt;
    return static_cast<std::uint64_t>(value);
  });
}

std::optional<double> GgufValue::as_number() const {
  if (type_ == GgufType::f32) return load<float>(encoded_);
  if (type_ == GgufType::f64) return load<double>(encoded_);
  if (!is_integer(type_)) return std::nullopt;
  return with_integer(type_, encoded_, [](auto value) { return static_cast<double>(value); });
}

std::optional<bool> GgufValue::as_bool() const {
  if (type_ != GgufType::boolean) return std::nullopt;
  return encoded_[0] != 0;
}

std::optional<std::string_view> GgufValue::as_string() const {
  if (type_ != GgufType::string) return std::nullopt;
  return std::string_view(encoded_).substr(8);
}

std::optional<std::vector<std::string>> GgufValue::as_strings() const {
  if (type_ != GgufType::array) return std::nullopt;
  std::string_view rest = encoded_;
  if (load<std::uint32_t>(rest) != static_cast<std::uint32_t>(GgufType::string)) {
    return std::nullopt;
  }
  rest.remove_prefix(12);
  std::vector<std::string> strings;
  while (!rest.empty()) {
    const auto length = load<std::uint64_t>(rest);
    strings.emplace_back(rest.substr(8, length));
    rest.remove_prefix(8 + length);
  }
  return strings;
}

std::string GgufValue::describe() const {
  if (const auto text = as_string()) {
    return is_utf8(*text) ? std::string(*text) : fmt::format("{} bytes, not UTF-8", text->size());
  }
  if (const auto truth = as_bool()) return *truth ? "true" : "false";
  if (type_ == GgufType::array) {
    const std::string_view bytes = encoded_;
    return fmt::format("[{} x {}]", load<std::uint64_t>(bytes.substr(4)),
                       gguf_type_name(static_cast<GgufType>(load<std::uint32_t>(bytes))));
  }
  if (type_ == GgufType::f32) return fmt::format("{}", load<float>(encoded_));
  if (type_ == GgufType::f64) return fmt::format("{}", load<double>(encoded_));
  return with_integer(type_, encoded_, [](auto value) { return fmt::format("{}", +value); });
}

const GgufValue* GgufMetadata::find(std::string_view key) const {
  const auto found = index_.find(key);
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

bool GgufMetadata::add(std::string key, GgufValue value) {
  if (!index_.emplace(key, entries_.size()).second) return false;
  entries_.emplace_back(std::move(key), std::move(value));
  return true;
}

void GgufMetadata::set(std::string key, GgufValue value) {
  const auto found = index_.find(key);
  if (found == index_.end()) {
    add(std::move(key), std::move(value));
  } else {
    entries_[found->second].second = std::move(value);
  }
}

void GgufMetadata::erase(std::string_view key) {
  const auto found = index_.find(key);
  if (found == index_.end()) return;
  const std::size_t place = found->second;
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(place));
  index_.erase(found);
  for (auto& [name, index] : index_) {
    if (index > place) --index;
  }
}

GgufMetadata minimal_gguf_metadata(const std::string& architecture, const std::string& name) {
  GgufMetadata metadata;
  metadata.set("general.architecture", GgufValue::of(architecture));
  if (!name.empty()) metadata.set("general.name", GgufValue::of(name));
  return metadata;
}

}  // namespace amalgam
