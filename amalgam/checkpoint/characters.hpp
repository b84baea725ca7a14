#pragma once

#include <cstddef>
#include <string>
#include <string_view>

/// Unicode's characters (code points) in text that is valid UTF-8, and what tokenizers ask of
/// them. Categories are those of the Unicode version of the installed utf8proc.
namespace amalgam {

/// Bytes of the character that begins at byte `at`, which is within `text`.
std::size_t character_length(std::string_view text, std::size_t at);
std::size_t character_count(std::string_view text);

/// The character that begins at byte `at`, and appending one.
char32_t character_at(std::string_view text, std::size_t at);
void append_character(std::string& text, char32_t character);

/// Bytes of what a reader takes for one character (an extended grapheme cluster) at byte `at`: a
/// letter with its accents, a flag, a family.
std::size_t grapheme_length(std::string_view text, std::size_t at);

/// The property White_Space.
bool is_white_space(char32_t character);
/// Category Cc, Cf, Cs or Co: control and format characters, and private ones.
bool is_control_or_format(char32_t character);
/// Category Mn: accents, which take no space of their own.
bool is_nonspacing_mark(char32_t character);
/// Category Mn, Mc or Me.
bool is_mark(char32_t character);

/// `text` with every character in lower case; that of U+0130 is two characters.
std::string lower_case_characters(std::string_view text);

/// What visit(character, result) appends to `result` for every character of a text.
template <typename Visit>
std::string changed_characters(std::string_view text, Visit visit) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); at += character_length(text, at)) {
    visit(character_at(text, at), result);
  }
  return result;
}

}  // namespace amalgam
