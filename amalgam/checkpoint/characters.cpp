#include "amalgam/checkpoint/characters.hpp"

#include <utf8proc.h>

#include <array>

namespace amalgam {
namespace {

utf8proc_category_t category(char32_t character) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(character));
}

}  // namespace

std::size_t character_length(std::string_view text, std::size_t at) {
  std::size_t length = 1;
  while (at + length < text.size() &&
         (static_cast<unsigned char>(text[at + length]) & 0xC0U) == 0x80U) {
    ++length;
  }
  return length;
}

std::size_t character_count(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); at += character_length(text, at)) ++count;
  return count;
}

char32_t character_at(std::string_view text, std::size_t at) {
  utf8proc_int32_t character = 0;
  utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                   static_cast<utf8proc_ssize_t>(character_length(text, at)), &character);
  return static_cast<char32_t>(character);
}

void append_character(std::string& text, char32_t character) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const utf8proc_ssize_t length =
      utf8proc_encode_char(static_cast<utf8proc_int32_t>(character), bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(length));
}

std::size_t grapheme_length(std::string_view text, std::size_t at) {
  utf8proc_int32_t state = 0;
  char32_t last = character_at(text, at);
  std::size_t end = at + character_length(text, at);
  while (end < text.size()) {
    const char32_t next = character_at(text, end);
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(last),
                                         static_cast<utf8proc_int32_t>(next), &state) != 0) {
      break;
    }
    end += character_length(text, end);
    last = next;
  }
  return end - at;
}

bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_control_or_format(char32_t character) {
  const utf8proc_category_t found = category(character);
  return found == UTF8PROC_CATEGORY_CC || found == UTF8PROC_CATEGORY_CF ||
         found == UTF8PROC_CATEGORY_CS || found == UTF8PROC_CATEGORY_CO;
}

bool is_nonspacing_mark(char32_t character) { return category(character) == UTF8PROC_CATEGORY_MN; }

bool is_mark(char32_t character) {
  const utf8proc_category_t found = category(character);
  return found == UTF8PROC_CATEGORY_MN || found == UTF8PROC_CATEGORY_MC ||
         found == UTF8PROC_CATEGORY_ME;
}

std::string lower_case_characters(std::string_view text) {
  return changed_characters(text, [](char32_t character, std::string& result) {
    if (character == 0x130) {  // the one lower case of two characters (SpecialCasing.txt)
      result += "i\xCC\x87";
      return;
    }
    append_character(
        result, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(character))));
  });
}

}  // namespace amalgam
