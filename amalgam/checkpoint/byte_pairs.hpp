#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "amalgam/checkpoint/piece_encoder.hpp"

namespace amalgam {

/// Byte-pair encoding of pieces of text (Sennrich et al. 2016) as a tokenizer.json describes it:
/// symbols are joined by the first of the merges that applies anywhere, the leftmost one first,
/// until none does. Refers to the tokenizer, which outlives it.
class BytePairs final : public PieceEncoder {
 public:
  /// InputError naming `where` if the tokenizer drops merges at random.
  BytePairs(const Tokenizer& tokenizer, std::string_view where);

  /// What has no token becomes those of its bytes (byte_fallback) or the unknown token, several in
  /// a row one where the tokenizer says so; without an unknown token it is left out.
  void encode(const std::string& piece, std::vector<std::size_t>& tokens) const override;

 private:
  struct Join {
    std::size_t rank = 0;
    std::uint32_t token = 0;
  };
  struct Symbol {
    std::uint32_t token = 0;
    std::size_t previous = 0;  // indexes of neighbours; kNone at the ends
    std::size_t next = 0;
    bool is_there = true;
  };
  std::vector<Symbol> symbols_of(const std::string& piece) const;
  void add_unknown(std::string_view text, std::vector<Symbol>& symbols, bool& after_unknown) const;
  const Join* join_of(const std::vector<Symbol>& symbols, std::size_t left) const;

  const Tokenizer& tokenizer_;
  std::unordered_map<std::uint64_t, Join> joins_;  // by left token * 2^32 + right token
  std::optional<std::size_t> unknown_;
  std::string prefix_;  // of symbols that continue a piece
  std::string suffix_;  // of the last symbol
  bool fuses_unknown_ = false;
  bool falls_back_to_bytes_ = false;
  bool ignores_merges_ = false;  // for pieces that are tokens
};

}  // namespace amalgam
