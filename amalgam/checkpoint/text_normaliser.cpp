// TextNormaliser: what tokenizers change before they cut.
#include <utf8proc.h>

#include <cstdlib>
#include <functional>
#include <new>
#include <nlohmann/json.hpp>
#include <optional>

#include "amalgam/checkpoint/character_map.hpp"
#include "amalgam/checkpoint/characters.hpp"
#include "amalgam/checkpoint/text_cutter.hpp"
#include "amalgam/checkpoint/text_pattern.hpp"
#include "amalgam/checkpoint/text_settings.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam {

struct TextNormaliser::Step {
  std::function<std::string(std::string)> apply;
  bool leaves_out_characters = false;
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

// BERT's cleaning: characters without a meaning go, and all white space is a space.
std::string cleaned(const std::string& text) {
  return changed_characters(text, [](char32_t c, std::string& result) {
    const bool is_plain_space = c == '\t' || c == '\n' || c == '\r';
    if (c == 0 || c == 0xFFFD || (!is_plain_space && is_control_or_format(c))) return;
    append_character(result, is_white_space(c) ? U' ' : c);
  });
}

// Unicode's blocks of ideographs, as BERT has them; not the letters of Japanese and Korean.
bool is_ideograph(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

std::string with_spaces_around_ideographs(const std::string& text) {
  return changed_characters(text, [](char32_t c, std::string& result) {
    if (is_ideograph(c)) result += ' ';
    append_character(result, c);
    if (is_ideograph(c)) result += ' ';
  });
}

std::string without(const std::string& text, bool (*is_left_out)(char32_t)) {
  return changed_characters(text, [is_left_out](char32_t c, std::string& result) {
    if (!is_left_out(c)) append_character(result, c);
  });
}

Step bert(const json& settings) {
  const bool cleans = flag_setting(settings, "clean_text", true);
  const bool spaces_ideographs = flag_setting(settings, "handle_chinese_chars", true);
  const bool lowers = flag_setting(settings, "lowercase", true);
  const bool strips = flag_setting(settings, "strip_accents", lowers);
  const auto apply = [=](std::string text) {
    if (cleans) text = cleaned(text);
    if (spaces_ideographs) text = with_spaces_around_ideographs(text);
    if (strips) text = without(unicode_form(text, UTF8PROC_DECOMPOSE), is_nonspacing_mark);
    return lowers ? lower_case_characters(text) : text;
  };
  return {.apply = apply, .leaves_out_characters = true};
}

// The rules of neural machine translation ("nmt" of SentencePiece).
std::string nmt(const std::string& text) {
  return changed_characters(text, [](char32_t c, std::string& result) {
    if ((c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F ||
        c == 0x8F || c == 0x9F) {
      return;
    }
    const bool becomes_space = c == '\t' || c == '\n' || c == 0x0C || c == '\r' || c == 0x1680 ||
                               (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
                               c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
    append_character(result, becomes_space ? U' ' : c);
  });
}

std::string stripped(const std::string& text, bool left, bool right) {
  std::size_t begin = 0;
  while (left && begin < text.size() && is_white_space(character_at(text, begin))) {
    begin += character_length(text, begin);
  }
  std::size_t end = right ? begin : text.size();
  for (std::size_t at = begin; right && at < text.size(); at += character_length(text, at)) {
    if (!is_white_space(character_at(text, at))) end = at + character_length(text, at);
  }
  return text.substr(begin, end - begin);
}

// The normalisers that change characters by what Unicode says of them; nothing for another type.
std::optional<Step> character_step(const json& settings, const std::string& type) {
  if (type == "BertNormalizer") return bert(settings);
  if (type == "Lowercase") return Step{.apply = lower_case_characters};
  if (type == "Nmt") return Step{.apply = nmt, .leaves_out_characters = true};
  if (type == "StripAccents") {
    return Step{.apply = [](const std::string& text) { return without(text, is_mark); },
                .leaves_out_characters = true};
  }
  if (type == "Strip") {
    const bool left = flag_setting(settings, "strip_left", true);
    const bool right = flag_setting(settings, "strip_right", true);
    return Step{.apply = [=](const std::string& text) { return stripped(text, left, right); },
                .leaves_out_characters = left};
  }
  return std::nullopt;
}

Step make_step(const json& settings, const std::string& type, std::string_view where) {
  if (auto step = character_step(settings, type)) return std::move(*step);
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
  if (type == "Precompiled") {
    const auto map = std::make_shared<const CharacterMap>(
        text_setting(settings, "precompiled_charsmap", where), where);
    return {[map](const std::string& text) { return map->apply(text); }};
  }
  if (type == "ByteLevel") return {bytes_as_letters};
  throw InputError(
      "{}: the normaliser '{}' is not known; expected BertNormalizer, ByteLevel, Lowercase, NFC, "
      "NFD, NFKC, NFKD, Nmt, Precompiled, Prepend, Replace, Strip, StripAccents or a Sequence of "
      "them",
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
  bool ignored = true;
  return apply(std::move(text), ignored);
}

std::string TextNormaliser::apply(std::string text, bool& is_beginning) const {
  for (const auto& step : steps_) {
    if (step->leaves_out_characters && !text.empty() &&
        step->apply(text.substr(0, character_length(text, 0))).empty()) {
      is_beginning = false;
    }
    text = step->apply(std::move(text));
    check_text_size(text.size());
  }
  return text;
}

}  // namespace amalgam
