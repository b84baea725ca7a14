#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "amalgam/weights/merge.hpp"
#include "amalgam/weights/plan.hpp"

namespace amalgam {

/// The version of Amalgam that this is, "0.1.0".
const char* amalgam_version();

/// What MergeOptions say of the output's type, as --dtype takes it; empty for nothing.
std::string wanted_type_name(const MergeOptions& options);

/// Everything that the bits of a merge's output depend on: version, recipe, options, a checksum of
/// each stage's plan, and of every input file its path, size, time of last change (nanoseconds) and
/// a checksum of its first megabyte, which holds the header.
nlohmann::ordered_json merge_identity(const std::string& recipe,
                                      const std::vector<std::filesystem::path>& models,
                                      const MergeOptions& options,
                                      const std::vector<const MergePlan*>& plans);

/// InputError that names what differs, if `found` (of an unfinished merge into `place`) is not
/// `expected`.
void check_same_merge(const nlohmann::ordered_json& found, const nlohmann::ordered_json& expected,
                      const std::filesystem::path& place);

/// All regular files that are read: `models`, of which a folder has those directly in it and the
/// first part of a split GGUF file all others, and the sources of the plans. Sorted, each once;
/// names of stages are none.
std::vector<std::filesystem::path> input_files(const std::vector<std::filesystem::path>& models,
                                               const std::vector<const MergePlan*>& plans);

}  // namespace amalgam
