#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/data/split.hpp"

namespace amalgam {

/// What texts are made of: bytes (token = value of the byte, 256 tokens, any file), or characters
/// of UTF-8 text (token = place of the character among those of the text, by code point).
struct TextTokens {
  enum class Kind { byte, character } kind = Kind::byte;
  std::vector<std::string> characters;  ///< kind character: one each, in increasing order

  std::size_t count() const { return kind == Kind::byte ? 256 : characters.size(); }
};

/// "byte" or "character"; InputError naming the nearest otherwise.
TextTokens::Kind parse_token_kind(std::string_view text);
std::string_view token_kind_name(TextTokens::Kind kind);

/// What tokens are called in reports: the character, or "byte 0x41"; control characters escaped.
std::vector<std::string> token_names(const TextTokens& tokens);

/// A run of tokens.
struct TextData {
  std::string source;
  std::vector<std::int64_t> tokens;
};

/// The characters of a text file. InputError if it is empty, has more than 256 MB or, for
/// characters, is not UTF-8, naming the line.
TextTokens learn_tokens(const std::filesystem::path& path, TextTokens::Kind kind);

/// The tokens of a split of a text file, by tokens that may come from another file. InputError as
/// above, and for a character that is not among them, naming the place.
TextData load_text(const std::filesystem::path& path, const TextTokens& tokens, Split split);

}  // namespace amalgam
