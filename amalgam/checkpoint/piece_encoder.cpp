#include "amalgam/checkpoint/piece_encoder.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "amalgam/checkpoint/byte_pairs.hpp"
#include "amalgam/checkpoint/text_settings.hpp"
#include "amalgam/checkpoint/unigram_pieces.hpp"
#include "amalgam/checkpoint/word_pieces.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam {
namespace {

using nlohmann::json;

// WordLevel: a token is a whole piece.
class WholePieces final : public PieceEncoder {
 public:
  WholePieces(const Tokenizer& tokenizer, std::string_view where)
      : tokenizer_(tokenizer),
        where_(where),
        unknown_(
            tokenizer.find_in_model(text_setting(model_settings(tokenizer), "unk_token", where))) {}

  void encode(const std::string& piece, std::vector<std::size_t>& tokens) const override {
    std::optional<std::size_t> token = tokenizer_.find_in_model(piece);
    if (!token) token = unknown_;
    if (!token) fail_without_unknown(where_, piece);
    tokens.push_back(*token);
  }

 private:
  const Tokenizer& tokenizer_;
  std::string where_;
  std::optional<std::size_t> unknown_;
};

}  // namespace

std::unique_ptr<const PieceEncoder> piece_encoder(const Tokenizer& tokenizer,
                                                  std::string_view where) {
  if (tokenizer.form() == Tokenizer::Form::vocab_text) {
    throw InputError(
        "{}: a list of tokens does not say how text is cut; load the folder with AutoTokenizer of "
        "transformers and call save_pretrained, which writes tokenizer.json",
        where);
  }
  if (tokenizer.form() == Tokenizer::Form::list) {
    throw InputError("{}: text cannot be turned into tokens by a list of them", where);
  }
  switch (tokenizer.kind()) {
    case Tokenizer::Kind::wordpiece:
      return std::make_unique<const WordPieces>(tokenizer, where);
    case Tokenizer::Kind::unigram:
      return std::make_unique<const UnigramPieces>(tokenizer, where);
    case Tokenizer::Kind::wordlevel:
      return std::make_unique<const WholePieces>(tokenizer, where);
    case Tokenizer::Kind::bpe:
      break;
  }
  return std::make_unique<const BytePairs>(tokenizer, where);
}

json model_settings(const Tokenizer& tokenizer) {
  const json& settings = tokenizer.settings();
  return settings.is_object() ? settings.value("model", json::object()) : json::object();
}

std::vector<std::size_t> byte_tokens(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::size_t> tokens;
  for (const char byte : text) {
    const auto token =
        tokenizer.find_in_model(fmt::format("<0x{:02X}>", static_cast<unsigned char>(byte)));
    if (!token) return {};
    tokens.push_back(*token);
  }
  return tokens;
}

void fail_without_unknown(std::string_view where, std::string_view text) {
  throw InputError("{}: '{}' has no token, and the tokenizer no unknown token to stand for it",
                   where, printable(text));
}

}  // namespace amalgam
