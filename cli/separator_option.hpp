#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace amalgam::cli {

/// Adds --separator, what parts the cells of tables. `text` must live until the command has run.
void add_separator_option(CLI::App& command, std::string& text);

/// The character that the option says; "\t" is a tab. InputError unless it is one character that
/// may part cells.
char separator_of(const std::string& text);

}  // namespace amalgam::cli
