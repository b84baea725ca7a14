#include "amalgam/checkpoint/word_pieces.hpp"

#include <nlohmann/json.hpp>

#include "amalgam/checkpoint/characters.hpp"
#include "amalgam/checkpoint/text_settings.hpp"

namespace amalgam {

WordPieces::WordPieces(const Tokenizer& tokenizer, std::string_view where)
    : prefixes_(tokenizer), where_(where) {
  const nlohmann::json model = model_settings(tokenizer);
  unknown_ = tokenizer.find_in_model(text_setting(model, "unk_token", where));
  continuing_ = text_setting(model, "continuing_subword_prefix", where);
  longest_ = count_setting(model, "max_input_chars_per_word", where);
}

void WordPieces::encode(const std::string& piece, std::vector<std::size_t>& tokens) const {
  const std::size_t before = tokens.size();
  std::size_t at = 0;
  if (character_count(piece) <= longest_) {
    while (at < piece.size()) {
      std::size_t best_length = 0;
      std::size_t best = 0;
      prefixes_.for_each(at == 0 ? std::string_view() : continuing_,
                         std::string_view(piece).substr(at),
                         [&](std::size_t length, std::size_t token) {
                           best_length = length;
                           best = token;
                         });
      if (best_length == 0) break;
      tokens.push_back(best);
      at += best_length;
    }
  }
  if (at == piece.size()) return;
  tokens.resize(before);
  if (!unknown_) fail_without_unknown(where_, piece);
  tokens.push_back(*unknown_);
}

}  // namespace amalgam
