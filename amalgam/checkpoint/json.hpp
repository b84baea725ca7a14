#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace amalgam {

/// What a JSON text from outside may hold at most.
struct JsonLimits {
  std::size_t depth = 64;          ///< objects and arrays inside each other
  std::size_t values = 4'000'000;  ///< objects, arrays, keys and plain values together
};

/// Parses RFC 8259 JSON (strictly: UTF-8, no comments, nothing after the value) that may be
/// hostile. InputError naming `where` if it is malformed, exceeds a limit, or an object has a key
/// twice.
nlohmann::json parse_json(std::string_view text, std::string_view where,
                          const JsonLimits& limits = {});

/// `text` as a JSON string, quoted and escaped; InputError naming `where` if it is not UTF-8.
std::string json_string(std::string_view text, std::string_view where);

/// The whole number of at least 0 that `object` has under `key`, which may be of a hostile text (a
/// conversion by the library of 1e30 or -1 has no defined value). InputError naming `where` if
/// there is no such number.
std::uint64_t json_count(const nlohmann::json& object, std::string_view key,
                         std::string_view where);

/// Whether `value` is an array of whole numbers of at least 0, so a shape.
bool is_count_list(const nlohmann::json& value);

}  // namespace amalgam
