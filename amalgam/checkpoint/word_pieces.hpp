#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/checkpoint/piece_encoder.hpp"
#include "amalgam/checkpoint/token_prefixes.hpp"

namespace amalgam {

/// WordPiece (Schuster and Nakajima 2012, as BERT has it): again and again the longest token that
/// the rest of a word begins with, where tokens that continue a word have a prefix (##). A word
/// that cannot be cut up like that, or is longer than the tokenizer allows, is the unknown token.
class WordPieces final : public PieceEncoder {
 public:
  /// InputError naming `where` if `unk_token`, `continuing_subword_prefix` or
  /// `max_input_chars_per_word` is missing.
  WordPieces(const Tokenizer& tokenizer, std::string_view where);

  void encode(const std::string& piece, std::vector<std::size_t>& tokens) const override;

 private:
  TokenPrefixes prefixes_;
  std::string where_;
  std::optional<std::size_t> unknown_;
  std::string continuing_;
  std::size_t longest_ = 0;  // in characters
};

}  // namespace amalgam
