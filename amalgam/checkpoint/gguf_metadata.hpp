#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace amalgam {

class ByteCursor;

/// The types of GGUF metadata values, with the numbers the format gives them.
enum class GgufType : std::uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12,
};

/// "UINT32", "STRING", "ARRAY": the names of the format's description.
std::string_view gguf_type_name(GgufType type);

/// One metadata value, kept in the bytes of the file so that it is carried over as it is: numbers
/// little-endian; a string as its 64-bit length and bytes; an array as the 32-bit type of its
/// elements, their 64-bit count and the elements (arrays nest).
class GgufValue {
 public:
  /// A number, bool or string, or an array of them.
  template <class T>
    requires std::integral<T> || std::floating_point<T>
  static GgufValue of(T value) {
    return {type_of<T>(), std::string(reinterpret_cast<const char*>(&value), sizeof(T))};
  }
  static GgufValue of(std::string_view value);
  static GgufValue of(const char* value) { return of(std::string_view(value)); }
  static GgufValue of(std::span<const std::string> values);
  template <class T>
    requires std::integral<T> || std::floating_point<T>
  static GgufValue of(std::span<const T> values) {
    return array_of(type_of<T>(), values.size(),
                    {reinterpret_cast<const char*>(values.data()), values.size_bytes()});
  }

  /// Reads and checks a value of `type`. InputError for an unknown element type, a count that the
  /// rest of the file cannot hold, arrays nested more than 8 deep, a bool other than 0 and 1.
  static GgufValue read(ByteCursor& cursor, GgufType type);

  GgufType type() const { return type_; }
  /// The value as the file stores it, without its type.
  const std::string& encoded() const { return encoded_; }

  /// Any integer type, if not negative.
  std::optional<std::uint64_t> as_unsigned() const;
  /// Any number type.
  std::optional<double> as_number() const;
  std::optional<bool> as_bool() const;
  std::optional<std::string_view> as_string() const;
  /// An array of strings.
  std::optional<std::vector<std::string>> as_strings() const;

  /// For people: the value of a number, bool or string, "[32000 x STRING]" for an array.
  std::string describe() const;

  bool operator==(const GgufValue&) const = default;

 private:
  GgufValue(GgufType type, std::string encoded) : type_(type), encoded_(std::move(encoded)) {}
  static GgufValue array_of(GgufType element, std::uint64_t count, std::string_view elements);

  template <class T>
  static constexpr GgufType type_of() {
    if constexpr (std::same_as<T, bool>) return GgufType::boolean;
    if constexpr (std::floating_point<T>) return sizeof(T) == 4 ? GgufType::f32 : GgufType::f64;
    constexpr bool is_signed = std::is_signed_v<T>;
    if constexpr (sizeof(T) == 1) return is_signed ? GgufType::i8 : GgufType::u8;
    if constexpr (sizeof(T) == 2) return is_signed ? GgufType::i16 : GgufType::u16;
    if constexpr (sizeof(T) == 4) return is_signed ? GgufType::i32 : GgufType::u32;
    return is_signed ? GgufType::i64 : GgufType::u64;
  }

  GgufType type_;
  std::string encoded_;
};

/// The key/value pairs of a GGUF file, in its order, keys unique.
class GgufMetadata {
 public:
  using Entry = std::pair<std::string, GgufValue>;

  const std::vector<Entry>& entries() const { return entries_; }
  /// Null if there is no such key.
  const GgufValue* find(std::string_view key) const;
  /// Replaces the value in place, or appends it.
  void set(std::string key, GgufValue value);
  /// Appends; false, and nothing happens, if the key is there already.
  bool add(std::string key, GgufValue value);
  void erase(std::string_view key);

  bool operator==(const GgufMetadata& other) const { return entries_ == other.entries_; }

 private:
  std::vector<Entry> entries_;
  std::map<std::string, std::size_t, std::less<>> index_;
};

/// What a GGUF file made from another format needs at least: general.architecture, general.name (if
/// not empty). Loaders of whole models need more (the architecture's own keys, a tokenizer).
GgufMetadata minimal_gguf_metadata(const std::string& architecture, const std::string& name);

}  // namespace amalgam
