#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/checkpoint/piece_encoder.hpp"
#include "amalgam/checkpoint/text_cutter.hpp"
#include "amalgam/checkpoint/tokenizer.hpp"

namespace amalgam {

/// Turns text into tokens as Hugging Face `tokenizers` does with the same tokenizer.json, without
/// what its post-processor adds (beginning and end of a sequence), truncation and padding. For
/// BPE, WordPiece, Unigram and WordLevel tokenizers.
class TokenEncoder {
 public:
  /// `tokenizer` outlives this. InputError naming its file if nothing in it says how
  /// text is cut (piece_encoder.hpp), or a normaliser or pre-tokenizer that is not known
  /// (text_cutter.hpp).
  explicit TokenEncoder(const Tokenizer& tokenizer);

  /// The numbers of the tokens of `text`. Added tokens are found in it first: those that are not
  /// normalised in the text as it is, the others in what the normaliser makes of the rest.
  /// InputError if it is not UTF-8, or as PieceEncoder::encode.
  std::vector<std::size_t> encode(std::string_view text) const;

 private:
  struct AddedToken {
    std::string text;
    std::size_t token = 0;
    bool takes_spaces_before = false;
    bool takes_spaces_after = false;
    bool is_word = false;  // no letter or digit may be next to it
  };
  // A part of a text that is an added token, or is not.
  struct Part {
    std::string text;
    const AddedToken* token = nullptr;
    bool is_beginning = false;
  };
  void add_token(const Tokenizer& tokenizer, std::size_t id);
  static std::vector<Part> split(const Part& part, const std::vector<AddedToken>& tokens);

  std::string where_;
  TextNormaliser normaliser_;
  TextCutter cutter_;
  std::unique_ptr<const PieceEncoder> pieces_;
  std::vector<AddedToken> raw_;         // longest first
  std::vector<AddedToken> normalised_;  // likewise, their text normalised
};

}  // namespace amalgam
