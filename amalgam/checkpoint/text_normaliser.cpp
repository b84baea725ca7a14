// TextNormaliser: what tokenizers change before they cut.
#include <utf8proc.h>

#include <cstdlib>
#include <functional>
#include <new>
#include <nlohmann/json.hpp>

#include "amalgam/checkpoint/text_cutter.hpp"
#include "amalgam/checkpoint/text_pattern.hpp"
#include "amalgam/checkpoint/text_settings.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam {

struct TextNormaliser::Step {
  std::function<std::string(std::string)> apply;
};

namespace {

using nlohmann::json;
using Step = TextNormaliser::Step;

std::string unicode_form(const std::string& text, int options) {
  utf8proc_uint8_t* made = nullptr;
  const utf8proc_ssize_t length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &made,
                   static_cast<utf8proc_option_t>(options | UTF8PROC_STABLE));
  if (length == UTF8PROC_ERROR_NOMEM) throw std::bad_alloc();
  if (length < 0) throw InputError("text cannot be normalised: {}", utf8proc_errmsg(length));
  std::string result(reinterpret_cast<const char*>(made), static_cast<std::size_t>(length));
  std::free(made);
  return result;
}

std::string replaced(const std::string& text, const TextPattern& pattern,
                     const std::string& content) {
  std::string result;
  std::size_t from = 0;
  const std::vector<TextRange> matches = pattern.find_all(text);
  if (!content.empty()) check_text_size(text.size() + matches.size() * content.size());
  for (const TextRange& match : matches) {
    result.append(text, from, match.begin - from);
    result += content;
    from = match.end;
  }
  return result.append(text, from);
}

Step make_step(const json& settings, const std::string& type, std::string_view where) {
  const std::pair<const char*, int> forms[] = {{"NFC", UTF8PROC_COMPOSE},
                                               {"NFD", UTF8PROC_DECOMPOSE},
                                               {"NFKC", UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
                                               {"NFKD", UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT}};
  for (const auto& [name, options] : forms) {
    if (type == name) {
      return {[options = options](const std::string& text) { return unicode_form(text, options); }};
    }
  }
  if (type == "Prepend") {
    return {[prefix = text_setting(settings, "prepend", where)](const std::string& text) {
      return text.empty() ? text : prefix + text;
    }};
  }
  if (type == "Replace") {
    return {[pattern = pattern_setting(settings, where),
             content = text_setting(settings, "content", where)](const std::string& text) {
      return replaced(text, pattern, content);
    }};
  }
  throw InputError(
      "{}: the normaliser '{}' is not known; expected NFC, NFD, NFKC, NFKD, Prepend, Replace or a "
      "Sequence of them",
      where, type);
}

}  // namespace

TextNormaliser::TextNormaliser(const json& settings, std::string_view where) {
  for_each_step(settings, "normalizers", where, [&](const json& one, const std::string& type) {
    steps_.push_back(std::make_shared<const Step>(make_step(one, type, where)));
  });
}

TextNormaliser::~TextNormaliser() = default;

std::string TextNormaliser::apply(std::string text) const {
  for (const auto& step : steps_) {
    text = step->apply(std::move(text));
    check_text_size(text.size());
  }
  return text;
}

}  // namespace amalgam
