#include "amalgam/core/letter_case.hpp"

#include <algorithm>

namespace amalgam {

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](char c) { return lower_case(c); });
  return lower;
}

}  // namespace amalgam
