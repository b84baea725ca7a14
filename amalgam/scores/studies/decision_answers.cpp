#include "amalgam/scores/studies/decision_answers.hpp"

#include <algorithm>
#include <optional>

#include "amalgam/core/error.hpp"
#include "amalgam/core/letter_case.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam::scores {
namespace {

bool is_white(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool ends_item(char c) { return c == ',' || c == ';' || c == '\n' || c == '\r'; }

// ASCII alone: other characters are letters of some script.
bool is_punctuation(char c) {
  const auto code = static_cast<unsigned char>(c);
  const bool letter = (code | 0x20U) >= 'a' && (code | 0x20U) <= 'z';
  const bool digit = code >= '0' && code <= '9';
  return code < 0x80 && !letter && !digit;
}

bool is_digits(std::string_view word) {
  return std::ranges::all_of(word, [](char c) { return c >= '0' && c <= '9'; });
}

// A word, or the end of an item where it is empty.
std::vector<std::string> words_of(std::string_view text, bool with_ends) {
  std::vector<std::string> words;
  std::string word;
  const auto finish = [&] {
    if (!word.empty()) words.push_back(lower_case(word));
    word.clear();
  };
  for (const char c : text) {
    if (is_punctuation(c)) {
      finish();
      if (with_ends && ends_item(c)) words.emplace_back();
    } else {
      word += c;
    }
  }
  finish();
  return words;
}

std::optional<std::int8_t> find_word(const std::string& word, const AnswerWords& words) {
  const bool yes = std::ranges::find(words.yes, word) != words.yes.end();
  const bool no = std::ranges::find(words.no, word) != words.no.end();
  if (yes && no) throw InputError("the word '{}' means both yes and no", printable(word));
  if (yes) return kYes;
  if (no) return kNo;
  return std::nullopt;
}

std::string_view without_space(std::string_view text) {
  while (!text.empty() && is_white(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_white(text.back())) text.remove_suffix(1);
  return text;
}

// "0110", "0 1 1 0", "1,-1,0": each digit an answer; -1 and anything else are invalid ones.
std::vector<std::int8_t> parse_digits(std::string_view text) {
  std::vector<std::int8_t> answers;
  std::string word;
  const auto finish = [&] {
    const bool bits = std::ranges::all_of(word, [](char c) { return c == '0' || c == '1'; });
    if (bits) {
      for (const char c : word) answers.push_back(c == '1' ? kYes : kNo);
    } else {
      answers.push_back(kInvalid);
    }
    word.clear();
  };
  for (const char c : text) {
    if (is_white(c) || ends_item(c)) {
      if (!word.empty()) finish();
    } else {
      word += c;
    }
  }
  if (!word.empty()) finish();
  return answers;
}

}  // namespace

std::int8_t parse_answer(std::string_view text, const AnswerWords& words) {
  const std::string_view trimmed = without_space(text);
  if (trimmed == "1") return kYes;
  if (trimmed == "0") return kNo;
  if (trimmed == "-1") return kInvalid;
  for (const std::string& word : words_of(text, false)) {
    if (const auto found = find_word(word, words)) return *found;
  }
  return kInvalid;
}

std::vector<std::int8_t> parse_reply(std::string_view text, const AnswerWords& words) {
  std::vector<std::int8_t> answers;
  bool worded = false;
  bool others = false;  // words that are no answers since the last answer or end of an item
  const auto finish = [&] {
    if (others) answers.push_back(kInvalid);
    others = false;
  };
  for (const std::string& word : words_of(text, true)) {
    if (word.empty()) {
      finish();
    } else if (const auto found = find_word(word, words)) {
      finish();
      answers.push_back(*found);
      worded = true;
    } else if (!is_digits(word)) {
      others = worded = true;
    }
  }
  finish();
  return worded ? answers : parse_digits(text);
}

}  // namespace amalgam::scores
