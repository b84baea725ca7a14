#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/checkpoint/piece_encoder.hpp"
#include "amalgam/checkpoint/token_prefixes.hpp"

namespace amalgam {

/// Unigram language models (Kudo 2018, as SentencePiece has them): of all ways to cut a piece the
/// one whose tokens have the largest sum of scores, found by Viterbi's algorithm; of equal ones
/// that with the longest token last. A character without a token of its own may also be unknown,
/// at the lowest score less 10; unknown characters in a row are one token, or the tokens of their
/// bytes where the tokenizer says so (byte_fallback).
class UnigramPieces final : public PieceEncoder {
 public:
  /// InputError naming `where` if `unk_id` is not the number of a token.
  UnigramPieces(const Tokenizer& tokenizer, std::string_view where);

  void encode(const std::string& piece, std::vector<std::size_t>& tokens) const override;

 private:
  // The best way to cut the text up to some byte: its last token.
  struct Path {
    double score = 0;
    std::size_t begin = 0;  // of the last token
    std::size_t token = 0;
    bool exists = false;
  };
  std::vector<Path> best_paths(const std::string& piece) const;
  void add_unknown(std::string_view text, std::vector<std::size_t>& tokens) const;

  const Tokenizer& tokenizer_;
  TokenPrefixes prefixes_;
  std::string where_;
  std::optional<std::size_t> unknown_;
  std::vector<double> scores_;  // by token
  double unknown_score_ = 0;
  bool falls_back_to_bytes_ = false;
};

}  // namespace amalgam
