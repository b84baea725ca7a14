#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "amalgam/checkpoint/output.hpp"
#include "amalgam/weights/engine.hpp"
#include "amalgam/weights/fp8_choice.hpp"
#include "cli/common_options.hpp"

namespace amalgam::cli {

/// A checkpoint that is written with FP8 weights.
struct Fp8Output {
  std::shared_ptr<const TensorSource> source;
  std::filesystem::path model;   ///< whose metadata and side files go with it
  std::filesystem::path output;  ///< no GGUF file
  Fp8Choice choice;
  std::uint64_t shard_bytes = 0;
};

/// What is FP8 in an output for which nobody says a type: what is so in `model`, a path without
/// adapters. Nothing if it has no such weights, or for a GGUF output.
std::optional<Fp8Choice> fp8_as_in(const std::filesystem::path& model,
                                   const std::filesystem::path& output);

/// Writes weights and side files, config.json with its quantization_config among them, into the
/// place of work of `transaction`. NaN stays NaN.
MergeStatistics write_fp8(const Fp8Output& fp8, const OutputTransaction& transaction,
                          const CommonOptions& options);

}  // namespace amalgam::cli
