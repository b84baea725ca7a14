#include "amalgam/checkpoint/text_settings.hpp"

#include <nlohmann/json.hpp>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

using nlohmann::json;

const std::string* find_text(const json& settings, const char* key) {
  if (!settings.is_object()) return nullptr;
  const auto found = settings.find(key);
  return found != settings.end() && found->is_string() ? &found->get_ref<const std::string&>()
                                                       : nullptr;
}

}  // namespace

void check_text_size(std::size_t bytes) {
  if (bytes <= kLongestText) return;
  throw InputError("a text becomes {} bytes long as its tokenizer changes it; expected at most {}",
                   bytes, kLongestText);
}

// NOLINTNEXTLINE(misc-no-recursion): JSON is parsed with a limit of depth.
void for_each_step(const json& settings, const char* list_key, std::string_view where,
                   const std::function<void(const json&, const std::string&)>& visit) {
  if (settings.is_null()) return;
  const std::string* type = find_text(settings, "type");
  if (type == nullptr) throw InputError("{}: a step without 'type'", where);
  if (*type != "Sequence") return visit(settings, *type);
  const auto list = settings.find(list_key);
  if (list == settings.end() || !list->is_array()) {
    throw InputError("{}: a 'Sequence' without a list '{}'", where, list_key);
  }
  for (const json& one : *list) for_each_step(one, list_key, where, visit);
}

std::string text_setting(const json& settings, const char* key, std::string_view where) {
  if (const std::string* found = find_text(settings, key)) return *found;
  throw InputError("{}: a step or model without the text '{}'", where, key);
}

std::size_t count_setting(const json& settings, const char* key, std::string_view where) {
  const auto found = settings.find(key);
  if (found != settings.end() && found->is_number_unsigned()) return found->get<std::size_t>();
  throw InputError("{}: a step or model without the number '{}'", where, key);
}

bool flag_setting(const json& settings, const char* key, bool otherwise) {
  const auto found = settings.find(key);
  return found != settings.end() && found->is_boolean() ? found->get<bool>() : otherwise;
}

TextPattern pattern_setting(const json& settings, std::string_view where) {
  const auto pattern = settings.find("pattern");
  if (pattern != settings.end()) {
    if (const std::string* text = find_text(*pattern, "String")) return TextPattern::literal(*text);
    if (const std::string* text = find_text(*pattern, "Regex")) {
      return TextPattern::expression(*text, where);
    }
  }
  throw InputError("{}: a 'pattern' that is neither a String nor a Regex", where);
}

}  // namespace amalgam
