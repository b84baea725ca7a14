#include "amalgam/data/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <span>
#include <unordered_map>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/input_file.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostBytes = 256'000'000;
constexpr std::size_t kMostCharacters = 65'536;

std::string read_bytes(const fs::path& path) {
  std::ifstream file = open_for_reading(path, "a text file");
  file.seekg(0, std::ios::end);
  const auto size = static_cast<std::streamoff>(file.tellg());
  if (size <= 0 || static_cast<std::size_t>(size) > kMostBytes) {
    throw InputError("{}: {} bytes; expected a text of 1 to {}", path.string(), size, kMostBytes);
  }
  std::string bytes(static_cast<std::size_t>(size), '\0');
  file.seekg(0);
  bytes.resize(read_some(file, bytes, path));
  return bytes;
}

// "file.txt:12:8": line and byte within it.
std::string place_of(const fs::path& path, std::string_view bytes, std::size_t offset) {
  const std::string_view before = bytes.substr(0, offset);
  const std::size_t last = before.rfind('\n');
  return fmt::format("{}:{}:{}", path.string(), 1 + std::count(before.begin(), before.end(), '\n'),
                     last == std::string_view::npos ? offset + 1 : offset - last);
}

// The bytes of the character at the front of text that is UTF-8.
std::size_t character_length(char first) {
  const auto byte = static_cast<unsigned char>(first);
  if (byte < 0x80) return 1;
  if (byte < 0xE0) return 2;
  return byte < 0xF0 ? 3 : 4;
}

void check_utf8(const fs::path& path, std::string_view bytes) {
  if (is_utf8(bytes)) return;
  std::size_t at = 0;
  while (at < bytes.size() && is_utf8(bytes.substr(at, character_length(bytes[at])))) {
    at += character_length(bytes[at]);
  }
  throw InputError("{}: not UTF-8 from here on; use data.tokens: byte",
                   place_of(path, bytes, std::min(at, bytes.size())));
}

std::vector<std::string_view> characters_of(const fs::path& path, std::string_view bytes) {
  check_utf8(path, bytes);
  std::vector<std::string_view> characters;
  for (std::size_t at = 0; at < bytes.size(); at += characters.back().size()) {
    characters.push_back(bytes.substr(at, character_length(bytes[at])));
  }
  return characters;
}

std::vector<std::int64_t> character_tokens(const fs::path& path, std::string_view bytes,
                                           const TextTokens& tokens, Split split) {
  const std::vector<std::string_view> characters = characters_of(path, bytes);
  std::unordered_map<std::string_view, std::int64_t> known;
  for (std::size_t i = 0; i < tokens.characters.size(); ++i) {
    known.emplace(tokens.characters[i], static_cast<std::int64_t>(i));
  }
  const auto [begin, length] = split_range(characters.size(), split, path.string());
  std::vector<std::int64_t> ids;
  ids.reserve(length);
  for (const std::string_view character : std::span(characters).subspan(begin, length)) {
    const auto found = known.find(character);
    if (found == known.end()) {
      throw InputError(
          "{}: character '{}' is none of the {} that the network knows",
          place_of(path, bytes, static_cast<std::size_t>(character.data() - bytes.data())),
          printable(character), known.size());
    }
    ids.push_back(found->second);
  }
  return ids;
}

}  // namespace

TextTokens::Kind parse_token_kind(std::string_view text) {
  if (text == "byte") return TextTokens::Kind::byte;
  if (text == "character") return TextTokens::Kind::character;
  const std::vector<std::string> names{"byte", "character"};
  throw InputError("no tokens '{}'{}; expected byte or character", text, did_you_mean(text, names));
}

std::string_view token_kind_name(TextTokens::Kind kind) {
  return kind == TextTokens::Kind::byte ? "byte" : "character";
}

std::vector<std::string> token_names(const TextTokens& tokens) {
  std::vector<std::string> names;
  names.reserve(tokens.count());
  if (tokens.kind == TextTokens::Kind::byte) {
    for (std::size_t byte = 0; byte < tokens.count(); ++byte) {
      names.push_back(fmt::format("byte {:#04x}", byte));
    }
    return names;
  }
  for (const std::string& character : tokens.characters) names.push_back(printable(character));
  return names;
}

TextTokens learn_tokens(const fs::path& path, TextTokens::Kind kind) {
  TextTokens tokens;
  tokens.kind = kind;
  if (kind == TextTokens::Kind::byte) return tokens;
  const std::string bytes = read_bytes(path);
  // The order of UTF-8's bytes is that of code points.
  std::set<std::string_view> distinct;
  for (const std::string_view character : characters_of(path, bytes)) {
    distinct.insert(character);
    if (distinct.size() > kMostCharacters) {
      throw InputError("{}: more than {} different characters; use data.tokens: byte",
                       path.string(), kMostCharacters);
    }
  }
  tokens.characters.assign(distinct.begin(), distinct.end());
  return tokens;
}

TextData load_text(const fs::path& path, const TextTokens& tokens, Split split) {
  const std::string bytes = read_bytes(path);
  TextData text;
  text.source = path.string();
  if (tokens.kind == TextTokens::Kind::character) {
    text.tokens = character_tokens(path, bytes, tokens, split);
    return text;
  }
  const auto [begin, length] = split_range(bytes.size(), split, path.string());
  text.tokens.reserve(length);
  for (const char byte : std::string_view(bytes).substr(begin, length)) {
    text.tokens.push_back(static_cast<unsigned char>(byte));
  }
  return text;
}

}  // namespace amalgam
