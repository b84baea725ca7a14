#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "amalgam/core/parallel.hpp"
#include "amalgam/core/progress.hpp"

namespace amalgam::cli {

/// Options that mean the same in every command that has them.
struct CommonOptions {
  bool json = false;                          ///< --json: one machine-readable object on stdout
  bool quiet = false;                         ///< --quiet: no progress, only warnings and errors
  std::size_t threads = available_threads();  ///< --threads
  std::uint64_t memory = 512'000'000;         ///< --memory: bytes for the whole process
  std::uint64_t seed = 0;                     ///< --seed

  Parallel parallel() const { return {threads, Runner::tbb}; }
  Progress::Mode progress_mode() const {
    return quiet ? Progress::Mode::never : Progress::Mode::automatic;
  }
};

enum class Common { json, quiet, threads, memory, seed };

/// Adds the named common options to `command`. `options` must live until the command has run.
/// Raises, while parsing: CLI11's own errors, or InputError for a size that is not one or is below
/// 64 MB.
void add_common_options(CLI::App& command, CommonOptions& options,
                        std::initializer_list<Common> which);

/// Accepts what a std::uint64_t holds: CLI11 alone would take -1 for 2^64 - 1.
CLI::Validator whole_number();

/// A footer for --help: "Example:" and the lines, indented.
std::string example(std::string_view lines);

}  // namespace amalgam::cli
