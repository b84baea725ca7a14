#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace amalgam::cli {

/// What the process returns to its caller.
inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kBadUsage = 2;
inline constexpr int kInterrupted = 130;

/// Parses the words of the command line, runs the sub-command they name and returns the exit code.
/// `argv` has `argc` words, the program's name first.
int parse_and_run(CLI::App& root, int argc, const char* const* argv);

/// Runs `body`, turning what it throws into one sentence on stderr and an exit code; nothing
/// passes.
int with_exit_code(const std::function<int()>& body);

}  // namespace amalgam::cli
