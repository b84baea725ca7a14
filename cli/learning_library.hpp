#pragma once

#include <CLI/CLI.hpp>

/// What needs libtorch lives in libamalgam_learning.so, which is loaded when it is first asked for:
/// linking libtorch would cost every start of the program half a second.
namespace amalgam::cli {

/// Adds the library's sub-commands to `root`, so that --help lists them.
void register_learning(CLI::App& root);

/// The same for the verbs of `amalgam study` that the library has.
void register_learning_studies(CLI::App& study);

/// Whether this command line names one of the library's sub-commands.
bool is_learning_command(int argc, const char* const* argv);

/// Loads the library, hands it the words of the command line and returns its exit code. It is
/// looked for in `../lib` beside the folder of the running program, which is right for build trees
/// and installations, then where the system looks. InputError if there is none, saying how to get
/// it.
int run_learning_library(int argc, const char* const* argv);

}  // namespace amalgam::cli
