#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/checkpoint/output_type.hpp"
#include "amalgam/core/cluster.hpp"
#include "amalgam/core/progress.hpp"
#include "amalgam/weights/engine.hpp"
#include "amalgam/weights/recipe.hpp"

namespace amalgam {

/// How a recipe is carried out. What the bits of the result depend on is part of merge_identity
/// (weights/merge_identity.hpp).
struct MergeOptions {
  /// A folder in Hugging Face layout, or one file if it ends in `.safetensors` or `.gguf`.
  std::filesystem::path output;
  EngineOptions engine;  ///< merge_checkpoints sets its `progress` and `importance`
  Progress::Mode progress = Progress::Mode::automatic;
  std::optional<std::uint64_t> shard_bytes;  ///< see create_output (checkpoint/create.hpp)
  bool overwrite = false;                    ///< replace an existing output (swapped in at the end)
  bool keep_partial = false;                 ///< keep OUT.partial when interrupted
  /// Go on with what an unfinished run of the same merge left, if it left anything; keep what is
  /// unfinished if this one does not finish either. An output in place that has a manifest is
  /// checked by it, and stays if it is this merge's (weights/finished_merge.hpp).
  bool resume = false;
  bool manifest = false;       ///< write a manifest too (weights/manifest.hpp)
  Cluster* cluster = nullptr;  ///< processes that share the work; null: this one alone
  /// Of the output, before what the recipe says (of tensors that do not become FP8 with scales, the
  /// recipe says it still).
  std::optional<OutputType> type;
  /// An importance matrix (checkpoint/importance.hpp), by which the errors of quantising are
  /// weighed, under the names of the output's tensors; empty: none.
  std::filesystem::path importance;
  bool allow_shape_mismatch = false;  ///< leave members of another shape out, tensor by tensor
};

/// What was done.
struct MergeReport {
  /// More than one for a list of alphas (wise_ft); of a split GGUF output the first part.
  std::vector<std::filesystem::path> outputs;
  MergeStatistics statistics;  ///< summed over stages
  double seconds = 0;
  /// There was nothing to go on with (MergeOptions::resume): an earlier run had made the output, as
  /// its manifest proves.
  bool was_finished = false;
};

/// Carries out a recipe (its documents in order; the last one is the result) and puts the result in
/// place: weights, config, tokenizer, model card and recipe in a folder, or a single file.
/// InputError for anything wrong with recipe or inputs, before anything is written where it can be
/// known; Error when the disk fails; Interrupted on a signal. In each case the final place is
/// untouched. With a cluster, all its processes call this with the same arguments and see the same
/// files; they share the work, and the unfinished output is always kept.
MergeReport merge_checkpoints(const std::vector<Recipe>& documents, const MergeOptions& options);

/// The plan of a recipe of one document under these options. InputError as merge_checkpoints', and
/// for a recipe of several stages or outputs.
MergePlan plan_one_merge(const std::vector<Recipe>& documents, const MergeOptions& options);

/// What merge_checkpoints would do, for `--dry-run`.
struct MergePreview {
  std::vector<std::filesystem::path> outputs;
  std::string description;                    ///< for people: rule, passes, models and tensors
  std::vector<nlohmann::ordered_json> plans;  ///< plan_as_json of every stage
  WorkEstimate work;                          ///< over all stages
  std::uint64_t disk_needed = 0;
  std::uint64_t disk_free = 0;
};
MergePreview preview_merge(const std::vector<Recipe>& documents, const MergeOptions& options);

}  // namespace amalgam
