#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

namespace amalgam::log {

/// Writes a warning unless this process has written the same text before. Thread-safe.
void write_warning_once(const std::string& message);

/// log::warn for what is noticed whenever a file is opened, which may be several times.
template <class... Args>
void warn_once(fmt::format_string<Args...> format, Args&&... args) {
  write_warning_once(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace amalgam::log
