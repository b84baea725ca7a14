#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "amalgam/checkpoint/importance.hpp"
#include "amalgam/weights/merge.hpp"
#include "amalgam/weights/planner.hpp"

namespace amalgam {

/// A step of the work: a plan, and what its output is to be.
struct PlannedStage {
  MergePlan plan;
  std::shared_ptr<PlannedOutput> output;  ///< as later stages see it; null for a last one
  /// The model whose metadata goes with the output, and where it lies.
  std::shared_ptr<const TensorSource> reference;
  std::filesystem::path reference_path;
  /// Metadata of the output besides (see OutputOrigin::metadata).
  std::map<std::string, std::string> metadata = {};
};

/// Work that is planned down to the last tensor: all that is left is carrying it out.
struct PlannedMerge {
  std::string recipe;  ///< as text, for the journal and the manifest
  /// What is read: the files and folders that the recipe names, and that of `importance`.
  std::vector<std::filesystem::path> models;
  std::vector<const PlannedStage*> stages;  ///< in their order; the last one is the result
  /// Writes what lies beside the weights into the folder that will be the output. Not called where
  /// the output is one file.
  std::function<void(const std::filesystem::path& folder)> write_side_files;
  /// Weighs the errors of what the last stage quantises; null: all count the same.
  const ImportanceMatrix* importance = nullptr;
};

/// What was done, and where what came out is opened: options.output, or the first part of it.
struct PlacedOutput {
  MergeStatistics statistics;
  std::filesystem::path place;
  bool was_finished = false;  ///< see MergeReport
};

/// Carries the work out and puts the result in place: alone or as one of several processes
/// (options.cluster), with a journal, and with a manifest if options say so. The same result for
/// any threads and memory, whether in one piece or resumed. Errors as merge_checkpoints.
PlacedOutput run_planned_merge(const PlannedMerge& merge, const MergeOptions& options);

/// What the stages read and write.
WorkEstimate estimate_stages(const std::vector<const PlannedStage*>& stages,
                             const EngineOptions& options);
/// Bytes of the outputs of all stages.
std::uint64_t output_bytes(const std::vector<const PlannedStage*>& stages);

/// Adds what was done by one merge to the sum over several.
void add_statistics(MergeStatistics& sum, const MergeStatistics& part);

}  // namespace amalgam
