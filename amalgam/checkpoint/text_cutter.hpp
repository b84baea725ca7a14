#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace amalgam {

/// The normaliser of a tokenizer.json: changes text before it is cut. Known are BertNormalizer,
/// ByteLevel, Lowercase, NFC, NFD, NFKC, NFKD, Nmt, Precompiled, Prepend, Replace, Strip,
/// StripAccents and sequences of them. Where one asks for a category of characters, `tokenizers`
/// goes by Unicode 8 and this by the version of utf8proc, so accents and punctuation of scripts
/// that came later (the newest from 2015 on) may differ.
class TextNormaliser {
 public:
  /// `settings`: the value of "normalizer", null for none. InputError naming `where` for a kind
  /// that is not known.
  TextNormaliser(const nlohmann::json& settings, std::string_view where);
  ~TextNormaliser();

  /// `text` is valid UTF-8, and so is the result.
  std::string apply(std::string text) const;
  /// The same; `is_beginning` becomes false where a step leaves out how the text begins: what then
  /// comes first is not the beginning to TextCutter::cut.
  std::string apply(std::string text, bool& is_beginning) const;

  /// One step; in the source file.
  struct Step;

 private:
  std::vector<std::shared_ptr<const Step>> steps_;
};

/// The pre-tokenizer of a tokenizer.json: cuts text into the pieces that no token crosses. Known
/// are BertPreTokenizer, ByteLevel, CharDelimiterSplit, Digits, Metaspace, Punctuation, Split,
/// Whitespace, WhitespaceSplit and sequences of them; not UnicodeScripts and FixedLength.
class TextCutter {
 public:
  /// As TextNormaliser, of "pre_tokenizer".
  TextCutter(const nlohmann::json& settings, std::string_view where);
  ~TextCutter();

  /// Whether `text` is the beginning of what is encoded matters to Metaspace. Pieces are never
  /// empty.
  std::vector<std::string> cut(std::string text, bool is_beginning) const;

  /// One step; in the source file.
  struct Step;

 private:
  std::vector<std::shared_ptr<const Step>> steps_;
};

/// How byte-level tokenizers write bytes as letters: printable ones as they are, the others as
/// letters from U+0100 on.
std::string bytes_as_letters(std::string_view bytes);

}  // namespace amalgam
