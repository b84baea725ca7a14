#include "amalgam/checkpoint/unigram_pieces.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>

#include "amalgam/checkpoint/characters.hpp"
#include "amalgam/checkpoint/text_settings.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

constexpr double kUnknownPenalty = 10;

// A score as `tokenizers` reads it: its digits as a whole number, divided by a power of ten, which
// may be off by the last bit. The same tokens in another order have sums that differ by as much, so
// that bit decides how "------" is cut.
double as_read(double score) {
  std::array<char, 32> text{};
  const auto [end, error] =
      std::to_chars(text.begin(), text.end(), std::fabs(score), std::chars_format::scientific);
  if (error != std::errc()) return score;
  std::uint64_t digits = 0;  // at most 17 of them
  int exponent = 0;
  const char* at = text.begin();
  for (; at != end && *at != 'e'; ++at) {
    if (*at == '.') continue;
    digits = 10 * digits + static_cast<std::uint64_t>(*at - '0');
    if (at != text.begin()) --exponent;
  }
  int written = 0;
  const bool is_negative = at + 1 < end && at[1] == '-';
  if (at != end) std::from_chars(at + 2, end, written);
  exponent += is_negative ? -written : written;
  constexpr int kLargestExactPower = 22;
  if (std::abs(exponent) > kLargestExactPower) return score;
  double power = 1;
  for (int i = 0; i < std::abs(exponent); ++i) power *= 10;
  const auto whole = static_cast<double>(digits);
  return std::copysign(exponent < 0 ? whole / power : whole * power, score);
}

}  // namespace

UnigramPieces::UnigramPieces(const Tokenizer& tokenizer, std::string_view where)
    : tokenizer_(tokenizer), prefixes_(tokenizer), where_(where) {
  const nlohmann::json model = model_settings(tokenizer);
  if (const auto unknown = model.find("unk_id"); unknown != model.end() && !unknown->is_null()) {
    unknown_ = count_setting(model, "unk_id", where);
    if (*unknown_ >= tokenizer.size() || !tokenizer.in_model(*unknown_)) {
      throw InputError("{}: 'unk_id' is {}, which no token of the model has", where, *unknown_);
    }
  }
  falls_back_to_bytes_ = flag_setting(model, "byte_fallback", false);
  double lowest = std::numeric_limits<double>::infinity();
  scores_.resize(tokenizer.size());
  for (std::size_t id = 0; id < tokenizer.size(); ++id) {
    if (!tokenizer.in_model(id)) continue;
    scores_[id] = as_read(tokenizer.score(id));
    lowest = std::min(lowest, scores_[id]);
  }
  unknown_score_ = lowest - kUnknownPenalty;
}

// By the byte at which they end. Every character begins where a path ends: that before it is a
// token or unknown.
std::vector<UnigramPieces::Path> UnigramPieces::best_paths(const std::string& piece) const {
  std::vector<Path> paths(piece.size() + 1);
  for (std::size_t begin = 0; begin < piece.size();) {
    const std::size_t next = begin + character_length(piece, begin);
    const double before = paths[begin].score;
    const auto is_better = [&](std::size_t end, double score) {
      return !paths[end].exists || score > paths[end].score;
    };
    bool has_own_token = false;
    prefixes_.for_each("", std::string_view(piece).substr(begin),
                       [&](std::size_t length, std::size_t token) {
                         const std::size_t end = begin + length;
                         const double score = scores_[token] + before;
                         if (is_better(end, score)) paths[end] = {score, begin, token, true};
                         has_own_token = has_own_token || end == next;
                       });
    if (const double score = unknown_score_ + before; !has_own_token && is_better(next, score)) {
      if (!unknown_) fail_without_unknown(where_, piece.substr(begin, next - begin));
      paths[next] = {score, begin, *unknown_, true};
    }
    begin = next;
  }
  return paths;
}

void UnigramPieces::add_unknown(std::string_view text, std::vector<std::size_t>& tokens) const {
  // Such a text may be a token all the same: that of unknown text is found in text too.
  std::vector<std::size_t> own;
  if (const auto token = tokenizer_.find_in_model(text)) {
    own.push_back(*token);
  } else if (falls_back_to_bytes_) {
    own = byte_tokens(tokenizer_, text);
  }
  if (own.empty() && unknown_) own.push_back(*unknown_);
  tokens.insert(tokens.end(), own.begin(), own.end());
}

void UnigramPieces::encode(const std::string& piece, std::vector<std::size_t>& tokens) const {
  const std::vector<Path> paths = best_paths(piece);
  std::vector<std::size_t> ends;  // of the tokens, from the last one on
  for (std::size_t end = piece.size(); end > 0; end = paths[end].begin) ends.push_back(end);
  std::optional<std::size_t> unknown_from;
  for (auto end = ends.rbegin(); end != ends.rend(); ++end) {
    const Path& path = paths[*end];
    if (unknown_ && path.token == *unknown_) {
      if (!unknown_from) unknown_from = path.begin;
      continue;
    }
    if (unknown_from) {
      add_unknown(std::string_view(piece).substr(*unknown_from, path.begin - *unknown_from),
                  tokens);
      unknown_from.reset();
    }
    tokens.push_back(path.token);
  }
  if (unknown_from) add_unknown(std::string_view(piece).substr(*unknown_from), tokens);
}

}  // namespace amalgam
