#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

/// Pickles by hand: each function returns the opcodes that push one value.
namespace amalgam::made {

template <class T>
std::string little_endian(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

/// A whole pickle whose value is what `body` pushes.
inline std::string pickle(std::string_view body, char protocol = 2) {
  return std::string{'\x80', protocol} + std::string(body) + ".";
}

inline std::string text(std::string_view value) {
  return "X" + little_endian(static_cast<std::uint32_t>(value.size())) + std::string(value);
}

inline std::string integer(std::int64_t value) { return "\x8a\x08" + little_endian(value); }

inline std::string global(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}

inline std::string joined(const std::vector<std::string>& values) {
  std::string all;
  for (const std::string& value : values) all += value;
  return all;
}

inline std::string tuple(const std::vector<std::string>& values) {
  return "(" + joined(values) + "t";
}

inline std::string list(const std::vector<std::string>& values) {
  return "](" + joined(values) + "e";
}

/// key, value, key, value, ...
inline std::string dict(const std::vector<std::string>& keys_and_values) {
  return "}(" + joined(keys_and_values) + "u";
}

inline std::string call(const std::string& function, const std::vector<std::string>& arguments) {
  return function + tuple(arguments) + "R";
}

inline std::string integers(const std::vector<std::int64_t>& values) {
  std::vector<std::string> items;
  items.reserve(values.size());
  for (const std::int64_t value : values) items.push_back(integer(value));
  return tuple(items);
}

inline std::string storage(std::string_view type, std::string_view key, std::int64_t elements) {
  return tuple(
             {text("storage"), global("torch", type), text(key), text("cpu"), integer(elements)}) +
         "Q";
}

inline std::string tensor(const std::string& of, std::int64_t offset,
                          const std::vector<std::int64_t>& size,
                          const std::vector<std::int64_t>& stride) {
  return call(global("torch._utils", "_rebuild_tensor_v2"),
              {of, integer(offset), integers(size), integers(stride), "\x89",
               call(global("collections", "OrderedDict"), {})});
}

}  // namespace amalgam::made
