#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/weights/moe/moe_gates.hpp"
#include "cli/common_options.hpp"

namespace amalgam::cli {

/// `amalgam verify` as it was asked for; read by the program and by the learning library, which
/// runs the base of a mixture whose routers are made of hidden states.
struct VerifyCommand {
  std::string output;
  std::uint64_t recompute = 0;
  bool inputs = false;
  std::vector<std::string> moved_inputs;  ///< "OLD=NEW"
  bool no_hash = false;
  std::optional<std::uint64_t> sample_seed;
  CommonOptions common;
};

/// Adds `amalgam verify` with all options and examples. `command` must live until it has run.
CLI::App* add_verify(CLI::App& root, VerifyCommand& command);

/// Checks and prints. `states`: see VerifyOptions. Error where there is a difference; InputError as
/// verify_merge.
void run_verify(const VerifyCommand& command, const PromptStates* states = nullptr);

}  // namespace amalgam::cli
