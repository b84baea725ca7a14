#include "amalgam/checkpoint/byte_pairs.hpp"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <queue>

#include "amalgam/checkpoint/characters.hpp"
#include "amalgam/checkpoint/text_settings.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

using nlohmann::json;

constexpr std::size_t kNone = SIZE_MAX;

std::uint64_t pair_key(std::size_t left, std::size_t right) {
  return (static_cast<std::uint64_t>(left) << 32U) | right;
}

// Of a part of a merge: reading the tokenizer has checked that it is a token.
std::size_t number_of(const Tokenizer& tokenizer, std::string_view token) {
  if (const auto found = tokenizer.find(token)) return *found;
  throw Error("a merge needs '{}', which is no token", token);
}

std::string optional_text(const json& settings, const char* key) {
  const auto found = settings.find(key);
  return found != settings.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

BytePairs::BytePairs(const Tokenizer& tokenizer, std::string_view where) : tokenizer_(tokenizer) {
  const json model = model_settings(tokenizer);
  const json dropout = model.value("dropout", json());
  if (dropout.is_number() && dropout.get<double>() > 0) {
    throw InputError(
        "{}: drops merges at random ('dropout'), so that a text has no certain tokens; expected "
        "null",
        where);
  }
  prefix_ = optional_text(model, "continuing_subword_prefix");
  suffix_ = optional_text(model, "end_of_word_suffix");
  if (const std::string unknown = optional_text(model, "unk_token"); !unknown.empty()) {
    unknown_ = tokenizer.find_in_model(unknown);
  }
  fuses_unknown_ = flag_setting(model, "fuse_unk", false);
  falls_back_to_bytes_ = flag_setting(model, "byte_fallback", false);
  ignores_merges_ = flag_setting(model, "ignore_merges", false);
  const std::vector<Tokenizer::Merge>& merges = tokenizer.merges();
  joins_.reserve(merges.size());
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    std::string_view rest = right;
    if (!prefix_.empty() && rest.starts_with(prefix_)) rest.remove_prefix(prefix_.size());
    const std::size_t token = number_of(tokenizer, left + std::string(rest));
    joins_.try_emplace(pair_key(number_of(tokenizer, left), number_of(tokenizer, right)),
                       Join{rank, static_cast<std::uint32_t>(token)});
  }
}

// The tokens of the bytes of a character without one, else the unknown token, else nothing.
void BytePairs::add_unknown(std::string_view text, std::vector<Symbol>& symbols,
                            bool& after_unknown) const {
  if (falls_back_to_bytes_) {
    const std::vector<std::size_t> bytes = byte_tokens(tokenizer_, text);
    for (const std::size_t token : bytes) {
      symbols.push_back({.token = static_cast<std::uint32_t>(token)});
    }
    if (!bytes.empty()) {
      after_unknown = false;
      return;
    }
  }
  if (!unknown_) return;
  if (!after_unknown || !fuses_unknown_) {
    symbols.push_back({.token = static_cast<std::uint32_t>(*unknown_)});
  }
  after_unknown = true;
}

std::vector<BytePairs::Symbol> BytePairs::symbols_of(const std::string& piece) const {
  std::vector<Symbol> symbols;
  bool after_unknown = false;
  for (std::size_t at = 0; at < piece.size();) {
    const std::size_t length = character_length(piece, at);
    const std::string_view character = std::string_view(piece).substr(at, length);
    std::string name(character);
    if (at > 0) name.insert(0, prefix_);
    at += length;
    if (at == piece.size()) name += suffix_;
    if (const auto token = tokenizer_.find_in_model(name)) {
      symbols.push_back({.token = static_cast<std::uint32_t>(*token)});
      after_unknown = false;
    } else {
      add_unknown(character, symbols, after_unknown);
    }
  }
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    symbols[i].previous = i == 0 ? kNone : i - 1;
    symbols[i].next = i + 1 == symbols.size() ? kNone : i + 1;
  }
  return symbols;
}

const BytePairs::Join* BytePairs::join_of(const std::vector<Symbol>& symbols,
                                          std::size_t left) const {
  if (left == kNone || symbols[left].next == kNone) return nullptr;
  const auto found = joins_.find(pair_key(symbols[left].token, symbols[symbols[left].next].token));
  return found == joins_.end() ? nullptr : &found->second;
}

void BytePairs::encode(const std::string& piece, std::vector<std::size_t>& tokens) const {
  if (ignores_merges_) {
    if (const auto whole = tokenizer_.find_in_model(piece)) {
      tokens.push_back(*whole);
      return;
    }
  }
  std::vector<Symbol> symbols = symbols_of(piece);
  // Joins that were possible when they were found: rank, place. Others have come between since if
  // the pair there now has another rank.
  using Candidate = std::pair<std::size_t, std::size_t>;
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
  const auto consider = [&](std::size_t left) {
    if (const Join* join = join_of(symbols, left)) candidates.emplace(join->rank, left);
  };
  for (std::size_t i = 0; i < symbols.size(); ++i) consider(i);
  while (!candidates.empty()) {
    const auto [rank, left] = candidates.top();
    candidates.pop();
    const Join* join = symbols[left].is_there ? join_of(symbols, left) : nullptr;
    if (join == nullptr || join->rank != rank) continue;
    Symbol& gone = symbols[symbols[left].next];
    symbols[left].token = join->token;
    symbols[left].next = gone.next;
    gone.is_there = false;
    if (gone.next != kNone) symbols[gone.next].previous = left;
    consider(left);
    consider(symbols[left].previous);
  }
  for (const Symbol& symbol : symbols) {
    if (symbol.is_there) tokens.push_back(symbol.token);
  }
}

}  // namespace amalgam
