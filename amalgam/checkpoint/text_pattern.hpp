#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace amalgam {

/// Part of a text, in bytes.
struct TextRange {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool operator==(const TextRange&) const = default;
};

/// A regular expression over UTF-8 text with Unicode classes (\p{L}, \s), as tokenizers have them,
/// or a plain text to look for. Thread-safe.
class TextPattern {
 public:
  /// InputError naming `where` if it is no expression.
  static TextPattern expression(std::string_view pattern, std::string_view where);
  static TextPattern literal(std::string text);

  /// The matches from left to right, none within another. Empty ones are left out. `text` is valid
  /// UTF-8. InputError if matching takes too long, as hostile expressions make it.
  std::vector<TextRange> find_all(std::string_view text) const;

 private:
  struct Code;
  TextPattern() = default;
  std::string text_;  // of a literal, or what errors show
  std::shared_ptr<const Code> code_;
};

}  // namespace amalgam
