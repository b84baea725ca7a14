#include "amalgam/checkpoint/token_prefixes.hpp"

#include <algorithm>
#include <string>

namespace amalgam {

TokenPrefixes::TokenPrefixes(const Tokenizer& tokenizer) {
  tokens_.reserve(tokenizer.size());
  for (std::size_t id = 0; id < tokenizer.size(); ++id) {
    const std::optional<std::string>& token = tokenizer.token(id);
    if (token && tokenizer.in_model(id)) tokens_.emplace_back(*token, id);
  }
  std::sort(tokens_.begin(), tokens_.end());
}

TokenPrefixes::Matches TokenPrefixes::narrowed(const Matches& matches, char byte) const {
  // -1 for a token that ends here: it is before all that go on.
  const auto next = [depth = matches.depth](const auto& entry) {
    return entry.first.size() > depth ? static_cast<unsigned char>(entry.first[depth]) : -1;
  };
  const int wanted = static_cast<unsigned char>(byte);
  const auto all = tokens_.begin();
  const auto at = [&](std::size_t i) { return all + static_cast<std::ptrdiff_t>(i); };
  const auto begin = std::partition_point(at(matches.begin), at(matches.end),
                                          [&](const auto& entry) { return next(entry) < wanted; });
  const auto end = std::partition_point(begin, at(matches.end),
                                        [&](const auto& entry) { return next(entry) == wanted; });
  return {.begin = static_cast<std::size_t>(begin - all),
          .end = static_cast<std::size_t>(end - all),
          .depth = matches.depth + 1};
}

}  // namespace amalgam
