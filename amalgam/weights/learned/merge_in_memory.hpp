#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/learning/network_file.hpp"
#include "amalgam/weights/engine.hpp"
#include "amalgam/weights/planner.hpp"

namespace amalgam::learned {

using learning::NamedTensors;
using SourcePointer = std::shared_ptr<const TensorSource>;

/// The tensors as a checkpoint in memory (float as F32, double as F64), with copies of their
/// values.
SourcePointer as_source(const NamedTensors& tensors, std::string label);
/// All tensors of a checkpoint, sorted by name.
NamedTensors as_tensors(const TensorSource& source);

/// A merge as `amalgam merge --method` makes it, of checkpoints that are open already.
struct MemoryMerge {
  std::string method;
  SourcePointer base;  ///< null: none
  std::vector<SourcePointer> members;
  std::vector<std::string> parameters;  ///< as given to -p, e.g. "density=0.2"
  /// What path parameters name: {"parameters", "fisher=f0,f1"} with files f0 and f1.
  std::map<std::string, SourcePointer> files;
};

/// Carries out a recipe of one document, its models found by `open`. InputError as plan_merge and
/// run_merge.
std::unique_ptr<MemorySource> merge_in_memory(const Recipe& recipe, const ModelOpener& open,
                                              const PlanOptions& plan = {},
                                              const EngineOptions& options = {});

/// Carries it out with the rules and the engine of files. InputError as plan_merge and run_merge.
std::unique_ptr<MemorySource> merge_in_memory(const MemoryMerge& merge,
                                              const EngineOptions& options = {});

}  // namespace amalgam::learned
