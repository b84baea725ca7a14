#include "amalgam/checkpoint/character_map.hpp"

#include <openssl/evp.h>

#include <algorithm>

#include "amalgam/checkpoint/characters.hpp"
#include "amalgam/checkpoint/text_settings.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam {
namespace {

// Real ones have some 250 kB.
constexpr std::size_t kLargestMap = 64'000'000;
// Of a text that is replaced as a whole.
constexpr std::size_t kLongestGrapheme = 5;

// Nothing if it is not Base64.
std::optional<std::string> decoded(std::string_view base64) {
  if (base64.size() % 4 != 0 || base64.size() > kLargestMap) return std::nullopt;
  std::string bytes(base64.size() / 4 * 3, '\0');
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                     reinterpret_cast<const unsigned char*>(base64.data()),
                                     static_cast<int>(base64.size()));
  const std::size_t padding = base64.size() - std::min(base64.find('='), base64.size());
  // Blanks around it are skipped, which makes it shorter.
  if (length != static_cast<int>(bytes.size()) || padding > 2) return std::nullopt;
  bytes.resize(bytes.size() - padding);
  return bytes;
}

std::uint32_t little_endian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  }
  return value;
}

bool has_leaf(std::uint32_t unit) { return ((unit >> 8U) & 1U) != 0; }

// The byte that leads to a unit; none for a leaf.
std::uint32_t label(std::uint32_t unit) { return unit & 0x800000FFU; }

std::uint64_t offset(std::uint32_t unit) {
  return std::uint64_t{unit >> 10U} << ((unit & (1U << 9U)) >> 6U);
}

}  // namespace

CharacterMap::CharacterMap(std::string_view base64, std::string_view where) : where_(where) {
  const std::optional<std::string> bytes = decoded(base64);
  if (!bytes) throw InputError("{}: 'precompiled_charsmap' is not Base64", where);
  const std::string_view all = *bytes;
  const std::uint32_t size = all.size() < 4 ? 0 : little_endian(all);
  if (size < 4 || size % 4 != 0 || size > all.size() - 4) {
    throw InputError(
        "{}: 'precompiled_charsmap' has {} bytes, of which {} are to be its trie; expected at "
        "least "
        "4 of them, and units of 4",
        where, all.size(), size);
  }
  for (std::size_t at = 0; at < size; at += 4) trie_.push_back(little_endian(all.substr(4 + at)));
  replacements_ = all.substr(4 + size);
  if (!is_utf8(replacements_)) {
    throw InputError("{}: replacements of 'precompiled_charsmap' are not UTF-8", where);
  }
}

void CharacterMap::fail() const {
  throw InputError("{}: 'precompiled_charsmap' points outside of itself", where_);
}

std::uint32_t CharacterMap::unit(std::uint64_t at) const {
  if (at >= trie_.size()) fail();
  return trie_[at];
}

std::optional<std::string_view> CharacterMap::replacement(std::string_view text) const {
  std::uint64_t at = offset(unit(0));
  for (const char byte : text) {
    const std::uint32_t wanted = static_cast<unsigned char>(byte);
    if (wanted == 0) return std::nullopt;
    at ^= wanted;
    const std::uint32_t found = unit(at);
    if (label(found) != wanted) return std::nullopt;
    at ^= offset(found);
    if (!has_leaf(found)) continue;
    const std::size_t begin = unit(at) & 0x7FFFFFFFU;
    const std::string_view all = replacements_;
    if (begin > all.size() ||
        (begin < all.size() && (static_cast<unsigned char>(all[begin]) & 0xC0U) == 0x80U)) {
      fail();
    }
    return all.substr(begin, std::min(all.find('\0', begin), all.size()) - begin);
  }
  return std::nullopt;
}

std::string CharacterMap::apply(const std::string& text) const {
  std::string result;
  const std::string_view all = text;
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t length = grapheme_length(all, at);
    const std::size_t end = at + length;
    if (length <= kLongestGrapheme) {
      if (const auto found = replacement(all.substr(at, length))) {
        result += *found;
        at = end;
      }
    }
    while (at < end) {
      const std::string_view character = all.substr(at, character_length(all, at));
      result += replacement(character).value_or(character);
      at += character.size();
    }
    check_text_size(result.size());
  }
  return result;
}

}  // namespace amalgam
