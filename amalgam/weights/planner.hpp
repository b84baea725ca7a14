#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "amalgam/checkpoint/output_type.hpp"
#include "amalgam/weights/model_config.hpp"
#include "amalgam/weights/plan.hpp"
#include "amalgam/weights/recipe.hpp"

namespace amalgam {

class Fp8Choice;
struct VocabularyPlan;

/// A model as planning sees it.
struct OpenedModel {
  // Implicit: an opener may return a source alone.
  OpenedModel(std::shared_ptr<const TensorSource> source, ModelConfig its_config = {})
      : tensors(std::move(source)), config(std::move(its_config)) {}

  std::shared_ptr<const TensorSource> tensors;
  ModelConfig config;
};

/// Opens what a recipe calls a model: a path, or the name of an earlier document. Called once per
/// reference, also for the checkpoints that parameters name (Fisher files).
using ModelOpener = std::function<OpenedModel(const ModelReference&)>;

struct PlanOptions {
  /// Leave a member out of a tensor in which its shape differs, with a warning (rules that look at
  /// more than one tensor at a time cannot: InputError).
  bool allow_shape_mismatch = false;
  std::optional<OutputType> type;  ///< of the output, before what the recipe says
  /// The output may hold block-quantised tensors (GGUF). Without it, a recipe that would keep a
  /// quantised type is an InputError.
  bool quantised_output = false;
  /// Warn if the integer tensors of members, which are not merged, differ (reads a part of them).
  bool compare_copied = true;
  /// For a recipe with a `tokenizer_source`: what embeddings and heads of the models are rewritten
  /// to before they are merged. Outlives planning.
  const VocabularyPlan* vocabulary = nullptr;
  const MergeRule* rule = nullptr;  ///< instead of the one that the recipe names
  /// Which tensors become FP8 with scales, whatever `type` says; null: none. Outlives planning.
  const Fp8Choice* fp8 = nullptr;
};

/// Decides everything about one document of a recipe from the headers of its models.
///
/// Output tensors are those of the base if the rule uses one, else of the first model; with slices,
/// layer by layer of the first source (or base), renumbered consecutively; what comes before and
/// after the layers is merged like the first and the last slice (comes_before_layers). A module
/// takes the tensors whose names begin with its name and a dot, a leading "model." aside; the
/// longest name wins, and "default" takes what no other does. Tensors of no module are copied from
/// the base, or are an error without one. Parts of a diffusion checkpoint that the recipe names are
/// not merged (weights/plan_parts.hpp).
///
/// InputError, naming file, tensor, found and expected, for everything the headers show: unknown or
/// missing parameters and values out of range, a wrong number of members, a missing base, missing
/// tensors, types and shapes that do not fit, layers that do not exist. Warnings go to the log.
MergePlan plan_merge(const Recipe& recipe, const ModelOpener& open,
                     const PlanOptions& options = {});

/// The tensors of the output, in the order of the plan.
std::vector<TensorInfo> outputs_of(const MergePlan& plan);

/// The output of a plan as a model for later plans, which are made before any is carried out, when
/// there is nothing to read yet (reading is an Error); connected to what was written afterwards.
class PlannedOutput final : public TensorSource {
 public:
  PlannedOutput(std::string label, const MergePlan& plan);
  void connect(std::shared_ptr<const TensorSource> made) { made_ = std::move(made); }
  void read_bytes(std::size_t tensor, std::uint64_t offset,
                  std::span<std::byte> out) const override;
  void will_need(std::size_t tensor, std::uint64_t offset, std::uint64_t bytes) const override;

 private:
  std::shared_ptr<const TensorSource> made_;
};

/// The plan for `--dry-run`: for people, and as JSON: {"method", "scope", "passes": [], "models":
/// [], "layers": [{"prefix", "count"}], "merged", "copied", "bytes", "tensors": [{"name", "dtype",
/// "shape", "action", "layer", "inputs": []}]}.
std::string describe_plan(const MergePlan& plan);
nlohmann::ordered_json plan_as_json(const MergePlan& plan);

}  // namespace amalgam
