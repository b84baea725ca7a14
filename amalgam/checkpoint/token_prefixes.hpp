#pragma once

#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "amalgam/checkpoint/tokenizer.hpp"

namespace amalgam {

/// Finds the tokens that a text begins with. Refers to the tokenizer, which outlives it; added
/// tokens that its model does not have are left out.
class TokenPrefixes {
 public:
  explicit TokenPrefixes(const Tokenizer& tokenizer);

  /// Calls visit(length, token) for every token that is `prefix` followed by the first `length`
  /// bytes of `text`, at least one, from the shortest on. Takes O(longest match * log(tokens)).
  template <typename Visit>
  void for_each(std::string_view prefix, std::string_view text, Visit visit) const {
    Matches matches{.begin = 0, .end = tokens_.size()};
    for (const char byte : prefix) matches = narrowed(matches, byte);
    for (std::size_t length = 1; length <= text.size(); ++length) {
      matches = narrowed(matches, text[length - 1]);
      if (matches.begin == matches.end) return;
      // Of the tokens with a common beginning the shortest is first.
      const auto& [token, id] = tokens_[matches.begin];
      if (token.size() == matches.depth) visit(length, id);
    }
  }

 private:
  // The tokens that have their first `depth` bytes in common with what was looked for.
  struct Matches {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::size_t depth = 0;
  };
  Matches narrowed(const Matches& matches, char byte) const;

  std::vector<std::pair<std::string_view, std::size_t>> tokens_;  // in byte order
};

}  // namespace amalgam
