#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace amalgam {

/// What SentencePiece replaces before it cuts: `precompiled_charsmap` of its models and of the
/// normaliser "Precompiled" of a tokenizer.json. Bytes: the size of a trie in bytes (32 bits,
/// little-endian), the trie, and the replacements, each ended by a zero byte. The trie is a double
/// array as Darts-clone writes it: each unit is 32 bits, of which bits 0 to 7 are the byte that
/// leads to it, bit 8 says that a text ends here, bits 10 to 30 are the offset of its children
/// (times 256 if bit 9 is set), and those of a leaf (bit 31) the place of the replacement.
class CharacterMap {
 public:
  /// From Base64. InputError naming `where` if it is not that, if the sizes contradict each other,
  /// or if the replacements are not UTF-8.
  CharacterMap(std::string_view base64, std::string_view where);

  /// `text`, valid UTF-8, with its replacements, as Hugging Face `tokenizers` makes them: what a
  /// reader takes for one character is replaced as a whole, by what the shortest text stands for
  /// that it begins with, if it has less than six bytes and there is one; else every character of
  /// it by itself. InputError if the trie points outside of itself.
  std::string apply(const std::string& text) const;

 private:
  std::optional<std::string_view> replacement(std::string_view text) const;
  std::uint32_t unit(std::uint64_t at) const;
  [[noreturn]] void fail() const;

  std::string where_;
  std::vector<std::uint32_t> trie_;
  std::string replacements_;
};

}  // namespace amalgam
