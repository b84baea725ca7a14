#include "amalgam/checkpoint/token_encoder.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "amalgam/checkpoint/text_settings.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam {
namespace {

using nlohmann::json;

std::string file_of(const Tokenizer& tokenizer) {
  switch (tokenizer.form()) {
    case Tokenizer::Form::tokenizer_json:
      return (tokenizer.folder() / "tokenizer.json").string();
    case Tokenizer::Form::vocab_and_merges:
      return (tokenizer.folder() / "vocab.json").string();
    case Tokenizer::Form::vocab_text:
      return (tokenizer.folder() / "vocab.txt").string();
    case Tokenizer::Form::list:
      break;
  }
  return "a list of tokens";
}

// vocab.json with merges.txt is the form of GPT-2, which says nothing of how text is cut.
json part_of(const Tokenizer& tokenizer, const char* key) {
  if (tokenizer.form() != Tokenizer::Form::tokenizer_json) {
    if (std::string_view(key) != "pre_tokenizer") return {};
    return {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  }
  return tokenizer.settings().value(key, json());
}

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Whether a word goes on at a byte: letters and digits, and everything beyond ASCII.
bool is_in_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

}  // namespace

TokenEncoder::TokenEncoder(const Tokenizer& tokenizer)
    : where_(file_of(tokenizer)),
      normaliser_(part_of(tokenizer, "normalizer"), where_),
      cutter_(part_of(tokenizer, "pre_tokenizer"), where_),
      pieces_(piece_encoder(tokenizer, where_)) {
  for (std::size_t id = 0; id < tokenizer.size(); ++id) {
    if (tokenizer.added(id) != nullptr) add_token(tokenizer, id);
  }
  for (std::vector<AddedToken>* tokens : {&raw_, &normalised_}) {
    std::stable_sort(tokens->begin(), tokens->end(),
                     [](const auto& a, const auto& b) { return a.text.size() > b.text.size(); });
  }
}

void TokenEncoder::add_token(const Tokenizer& tokenizer, std::size_t id) {
  const json& added = *tokenizer.added(id);
  const std::optional<std::string>& text = tokenizer.token(id);
  if (!text || text->empty()) return;
  const bool is_special = flag_setting(added, "special", false);
  const bool is_normalised = flag_setting(added, "normalized", !is_special);
  AddedToken token{.text = *text,
                   .token = id,
                   .takes_spaces_before = flag_setting(added, "lstrip", false),
                   .takes_spaces_after = flag_setting(added, "rstrip", false),
                   .is_word = flag_setting(added, "single_word", false)};
  if (is_normalised) token.text = normaliser_.apply(token.text);
  if (!token.text.empty()) (is_normalised ? normalised_ : raw_).push_back(std::move(token));
}

// Of tokens that begin at one place the longest, of places the leftmost.
std::vector<TokenEncoder::Part> TokenEncoder::split(const Part& part,
                                                    const std::vector<AddedToken>& tokens) {
  const std::string_view text = part.text;
  std::vector<Part> parts;
  std::size_t from = 0;
  const auto add_text = [&](std::size_t end) {
    if (end > from) {
      parts.push_back(
          {std::string(text.substr(from, end - from)), nullptr, part.is_beginning && from == 0});
    }
  };
  for (std::size_t at = 0; at < text.size();) {
    const auto found = std::find_if(tokens.begin(), tokens.end(), [&](const AddedToken& token) {
      return text.substr(at).starts_with(token.text);
    });
    if (found == tokens.end()) {
      ++at;
      continue;
    }
    std::size_t begin = at;
    std::size_t end = at + found->text.size();
    at = end;
    if (found->is_word && ((begin > 0 && is_in_word(text[begin - 1])) ||
                           (end < text.size() && is_in_word(text[end])))) {
      continue;
    }
    while (found->takes_spaces_before && begin > from && is_space(text[begin - 1])) --begin;
    while (found->takes_spaces_after && end < text.size() && is_space(text[end])) ++end;
    add_text(begin);
    parts.push_back({{}, &*found, false});
    from = at = end;
  }
  add_text(text.size());
  return parts;
}

std::vector<std::size_t> TokenEncoder::encode(std::string_view text) const {
  if (!is_utf8(text)) throw InputError("{}: a text to encode is not UTF-8", where_);
  std::vector<std::size_t> tokens;
  const auto add_pieces = [&](const Part& part) {
    for (const std::string& piece : cutter_.cut(part.text, part.is_beginning)) {
      pieces_->encode(piece, tokens);
    }
  };
  for (Part& part : split({std::string(text), nullptr, true}, raw_)) {
    if (part.token != nullptr) {
      tokens.push_back(part.token->token);
      continue;
    }
    part.text = normaliser_.apply(std::move(part.text), part.is_beginning);
    for (const Part& inner : split(part, normalised_)) {
      if (inner.token != nullptr) {
        tokens.push_back(inner.token->token);
      } else {
        add_pieces(inner);
      }
    }
  }
  return tokens;
}

}  // namespace amalgam
