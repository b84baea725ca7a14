#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

namespace amalgam {

/// Messages for people, on stderr: "amalgam: warning: ...". Nothing of it ever reaches stdout.
namespace log {

enum class Level { debug, info, warning, error, silent };

/// Shows messages of `level` and above (default: info).
void set_level(Level level);

void write(Level level, const std::string& message);

template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::info, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::warning, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::debug, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace log
}  // namespace amalgam
