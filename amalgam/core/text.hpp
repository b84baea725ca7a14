#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace amalgam {

/// "512MB", "1.5 GiB", "4096": decimal for kB, MB, GB, TB, binary for KiB, MiB, GiB, TiB, and as
/// users of memory limits mean it, "512M" is MiB. InputError (naming `what`) on anything else.
std::uint64_t parse_bytes(std::string_view text, std::string_view what);

/// "1.50 GB", three significant digits, decimal units.
std::string format_bytes(std::uint64_t bytes);

/// "42s", "3m05s", "2h10m".
std::string format_seconds(double seconds);

/// The candidate nearest to `word` by edit distance, if it is near enough to be a typing error.
std::optional<std::string> nearest_name(std::string_view word,
                                        std::span<const std::string> candidates);

/// "; did you mean 'density'?" or "" when no candidate is near.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

/// The parts of `text` between `separator`s (one empty part for an empty text).
std::vector<std::string> split(std::string_view text, char separator);

/// The parts joined by `separator`.
std::string join(std::span<const std::string> parts, std::string_view separator);

}  // namespace amalgam
