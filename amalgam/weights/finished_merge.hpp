#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "amalgam/weights/merge.hpp"
#include "amalgam/weights/plan.hpp"

namespace amalgam {

/// Whether `options.resume` finds, in place of something to go on with, an output in place that has
/// a manifest: nothing is to be replaced, no unfinished work is there, and the manifest may prove
/// that the output is the one that is asked for.
bool may_be_finished(const MergeOptions& options);

/// Returns if the output in place, which has a manifest, is what this merge makes: the manifest
/// says the same version, recipe, options and input files, and every file of inputs and output has
/// the bytes that it says (all are read). `recipe`, `models` and `plans` as for make_manifest.
/// InputError that names what differs otherwise, and if the manifest is none.
void check_is_finished(const std::string& recipe, const std::vector<std::filesystem::path>& models,
                       const MergeOptions& options, const std::vector<const MergePlan*>& plans);

}  // namespace amalgam
