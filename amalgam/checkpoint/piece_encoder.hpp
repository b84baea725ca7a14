#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/checkpoint/tokenizer.hpp"

namespace amalgam {

/// The "model" of a tokenizer.json: turns a piece of text, which no token crosses, into tokens.
class PieceEncoder {
 public:
  PieceEncoder() = default;
  PieceEncoder(const PieceEncoder&) = delete;
  PieceEncoder& operator=(const PieceEncoder&) = delete;
  virtual ~PieceEncoder() = default;

  /// Appends the tokens of a piece, valid UTF-8 and not empty. InputError if something in it has
  /// no token and the tokenizer no unknown token where it needs one.
  virtual void encode(const std::string& piece, std::vector<std::size_t>& tokens) const = 0;
};

/// That of a tokenizer, which outlives it: byte pairs (byte_pairs.hpp), WordPiece
/// (word_pieces.hpp), Unigram (unigram_pieces.hpp) or WordLevel, whose tokens are whole pieces.
/// InputError naming `where` if its settings are not those of its kind, or if it has none: a list
/// of tokens, or vocab.txt alone, does not say how text is cut.
std::unique_ptr<const PieceEncoder> piece_encoder(const Tokenizer& tokenizer,
                                                  std::string_view where);

/// The settings of the tokenizer's model; an empty object where there are none.
nlohmann::json model_settings(const Tokenizer& tokenizer);

/// The tokens <0x00> to <0xFF> of the bytes of `text`; none if one of them does not exist.
std::vector<std::size_t> byte_tokens(const Tokenizer& tokenizer, std::string_view text);

/// Throws the InputError of a text that has no token.
[[noreturn]] void fail_without_unknown(std::string_view where, std::string_view text);

}  // namespace amalgam
