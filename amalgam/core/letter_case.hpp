#pragma once

#include <string>
#include <string_view>

namespace amalgam {

/// a-z for A-Z; every other byte as it is, whatever the locale.
constexpr char lower_case(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// A text with a-z for A-Z; letters beyond ASCII stay as they are.
std::string lower_case(std::string_view text);

}  // namespace amalgam
