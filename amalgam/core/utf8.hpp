#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace amalgam {

/// Whether `text` is well-formed UTF-8 (RFC 3629: no overlong forms, surrogates or values above
/// U+10FFFF).
bool is_utf8(std::string_view text);

/// `text` from a foreign file made safe to show in a message: control characters and bytes that are
/// not UTF-8 become `\xNN`, and what is longer than `limit` bytes ends in "...".
std::string printable(std::string_view text, std::size_t limit = 100);

}  // namespace amalgam
