#include "amalgam/checkpoint/json.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <vector>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

using nlohmann::json;

// The library's message without its "[json.exception.parse_error.101] ", and short even when it
// quotes a long token.
std::string plain_message(const json::exception& error) {
  constexpr std::size_t kLongest = 200;
  std::string message = error.what();
  if (const std::size_t end = message.find("] "); message.starts_with('[') && end < kLongest) {
    message.erase(0, end + 2);
  }
  if (message.size() > kLongest) message = message.substr(0, kLongest) + "...";
  // A quoted token may have been cut, or may hold bytes that are no text.
  for (char& c : message) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = '?';
  }
  return message;
}

}  // namespace

json parse_json(std::string_view text, std::string_view where, const JsonLimits& limits) {
  std::size_t values = 0;
  std::size_t open = 0;
  std::vector<std::unordered_set<std::string>> keys;  // of the objects that are open
  const auto check = [&](int, json::parse_event_t event, json& parsed) {
    switch (event) {
      case json::parse_event_t::object_start:
        keys.emplace_back();
        [[fallthrough]];
      case json::parse_event_t::array_start:
        if (++open > limits.depth) {
          throw InputError("{}: JSON is nested deeper than {} levels", where, limits.depth);
        }
        break;
      case json::parse_event_t::key:
        if (!keys.back().insert(parsed.get_ref<const std::string&>()).second) {
          throw InputError("{}: the key '{}' appears twice in one JSON object", where,
                           parsed.get_ref<const std::string&>());
        }
        break;
      case json::parse_event_t::object_end:
        keys.pop_back();
        [[fallthrough]];
      case json::parse_event_t::array_end:
        --open;
        return true;
      case json::parse_event_t::value:
        break;
    }
    if (++values > limits.values) {
      throw InputError("{}: JSON has more than {} values", where, limits.values);
    }
    return true;
  };
  try {
    return json::parse(text, check);
  } catch (const json::exception& error) {
    throw InputError("{}: not valid JSON: {}", where, plain_message(error));
  }
}

std::string json_string(std::string_view text, std::string_view where) {
  try {
    return json(text).dump();
  } catch (const json::type_error&) {
    throw InputError("{}: the text '{}' is not UTF-8", where,
                     json(text).dump(-1, ' ', true, json::error_handler_t::replace));
  }
}

std::uint64_t json_count(const json& object, std::string_view key, std::string_view where) {
  const json* found = nullptr;
  if (object.is_object()) {
    if (const auto entry = object.find(key); entry != object.end()) found = &*entry;
  }
  if (found != nullptr && found->is_number_unsigned()) return found->get<std::uint64_t>();
  throw InputError(
      "{}: '{}' is {}; expected a whole number of at least 0", where, key,
      found == nullptr ? "missing" : found->dump(-1, ' ', true, json::error_handler_t::replace));
}

bool is_count_list(const json& value) {
  return value.is_array() && std::all_of(value.begin(), value.end(),
                                         [](const json& one) { return one.is_number_unsigned(); });
}

}  // namespace amalgam
