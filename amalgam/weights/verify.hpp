#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/weights/engine.hpp"
#include "amalgam/weights/moe/moe_gates.hpp"

namespace amalgam {

/// What is checked of an output with a manifest.
struct VerifyOptions {
  bool hash = true;             ///< hash all files of the output
  bool hash_inputs = false;     ///< hash all inputs
  std::uint64_t recompute = 0;  ///< leaves (of up to 131072 elements) to make again from the inputs
  std::uint64_t sample_seed = 0;  ///< chooses them
  /// "OLD=NEW" for inputs that lie elsewhere now (MovedInputs in weights/moved_inputs.hpp).
  std::vector<std::string> moved_inputs;
  EngineOptions engine;  ///< threads and memory; the rest comes from the manifest
  /// Of the model that model_to_run names, where it names one and leaves are to be made again.
  const PromptStates* states = nullptr;
  Progress::Mode progress = Progress::Mode::automatic;
};

/// What was checked and what is not as it was.
struct VerifyReport {
  std::uint64_t files = 0;       ///< of the output, hashed
  std::uint64_t bytes = 0;       ///< hashed, of output and inputs
  std::uint64_t inputs = 0;      ///< hashed
  std::uint64_t recomputed = 0;  ///< leaves made again
  /// One sentence per difference, at most 100: the file, the bytes and, where it is known, the
  /// tensor. Empty: all is well.
  std::vector<std::string> differences;
};

/// The model that must be run for leaves of this output to be made again: the base of a mixture of
/// experts whose routers are made of hidden states, where it lies now. Nothing for other outputs.
/// `moved_inputs`: see VerifyOptions. InputError as verify_merge.
std::optional<ModelReference> model_to_run(const std::filesystem::path& named,
                                           const std::vector<std::string>& moved_inputs = {});

/// Checks the merge at `named` (of a split GGUF file, the first part or the name that was split)
/// by its manifest (weights/manifest.hpp). InputError if there is no manifest or it is none, for
/// moved inputs as MovedInputs, if inputs are to be read and are not there, or if leaves are to be
/// made again of a recipe of several stages (which would take all of the earlier ones).
///
/// Leaves that are made again have the same bytes, but for routers made of hidden states: those are
/// float32 numbers, which another processor or library rounds otherwise, so their values may be
/// apart by a hundredth of their norm.
VerifyReport verify_merge(const std::filesystem::path& named, const VerifyOptions& options);

}  // namespace amalgam
