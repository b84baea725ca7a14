#define PCRE2_CODE_UNIT_WIDTH 8
#include "amalgam/checkpoint/text_pattern.hpp"

#include <pcre2.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam {
namespace {

// Steps of one match; the expressions of tokenizers take a few per character.
constexpr std::uint32_t kMostSteps = 10'000'000;
constexpr std::size_t kLongestPattern = 100'000;

std::string error_text(int code) {
  std::array<PCRE2_UCHAR8, 256> buffer{};
  pcre2_get_error_message_8(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

struct MatchDeleter {
  void operator()(pcre2_match_data_8* data) const { pcre2_match_data_free_8(data); }
  void operator()(pcre2_match_context_8* context) const { pcre2_match_context_free_8(context); }
};

// What matching writes to, and its limits.
struct MatchState {
  explicit MatchState(const pcre2_code_8* code)
      : data(pcre2_match_data_create_from_pattern_8(code, nullptr)),
        context(pcre2_match_context_create_8(nullptr)) {
    if (!data || !context) throw std::bad_alloc();
    pcre2_set_match_limit_8(context.get(), kMostSteps);
    pcre2_set_depth_limit_8(context.get(), kMostSteps / 100);
  }
  std::unique_ptr<pcre2_match_data_8, MatchDeleter> data;
  std::unique_ptr<pcre2_match_context_8, MatchDeleter> context;
};

std::vector<TextRange> find_literal(std::string_view text, std::string_view wanted) {
  std::vector<TextRange> found;
  if (wanted.empty()) return found;
  for (std::size_t at = text.find(wanted); at != std::string_view::npos;
       at = text.find(wanted, at + wanted.size())) {
    found.push_back({at, at + wanted.size()});
  }
  return found;
}

}  // namespace

struct TextPattern::Code {
  explicit Code(pcre2_code_8* made) : code(made) {}
  ~Code() { pcre2_code_free_8(code); }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  pcre2_code_8* code;
};

TextPattern TextPattern::expression(std::string_view pattern, std::string_view where) {
  if (pattern.size() > kLongestPattern) {
    throw InputError("{}: a regular expression of {} bytes; expected at most {}", where,
                     pattern.size(), kLongestPattern);
  }
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code_8* code =
      pcre2_compile_8(reinterpret_cast<PCRE2_SPTR8>(pattern.data()), pattern.size(),
                      PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
  if (code == nullptr && error == PCRE2_ERROR_HEAP_FAILED) throw std::bad_alloc();
  if (code == nullptr) {
    throw InputError("{}: the regular expression '{}' cannot be read: {} at byte {}", where,
                     printable(pattern), error_text(error), offset);
  }
  TextPattern result;
  result.text_ = printable(pattern);
  result.code_ = std::make_shared<const Code>(code);
  return result;
}

TextPattern TextPattern::literal(std::string text) {
  TextPattern result;
  result.text_ = std::move(text);
  return result;
}

std::vector<TextRange> TextPattern::find_all(std::string_view text) const {
  if (!code_) return find_literal(text, text_);
  const MatchState match(code_->code);
  std::vector<TextRange> found;
  std::size_t start = 0;
  std::uint32_t options = 0;
  while (start <= text.size()) {
    const int count =
        pcre2_match_8(code_->code, reinterpret_cast<PCRE2_SPTR8>(text.data()), text.size(), start,
                      options | PCRE2_NO_UTF_CHECK, match.data.get(), match.context.get());
    if (count == PCRE2_ERROR_NOMATCH) {
      if (options == 0) break;
      // No other match than an empty one begins here: go on one character further.
      options = 0;
      ++start;
      while (start < text.size() && (static_cast<unsigned char>(text[start]) & 0xC0U) == 0x80U) {
        ++start;
      }
      continue;
    }
    if (count == PCRE2_ERROR_NOMEMORY) throw std::bad_alloc();
    if (count < 0) {
      throw InputError("the regular expression '{}' cannot be matched: {}", text_,
                       error_text(count));
    }
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer_8(match.data.get());
    const TextRange range{ends[0], ends[1]};
    const bool is_empty = range.end <= range.begin;
    if (!is_empty) found.push_back(range);
    start = std::max<std::size_t>(range.end, start);
    options = is_empty ? PCRE2_NOTEMPTY_ATSTART | PCRE2_ANCHORED : 0;
  }
  return found;
}

}  // namespace amalgam
