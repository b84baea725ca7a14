#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "amalgam/weights/plan.hpp"

namespace amalgam {

/// What planning weights that are FP8 with scales has in common, whoever plans.
class Fp8Planner {
 public:
  /// `plan` outlives this; `label` is what errors call it.
  Fp8Planner(MergePlan& plan, std::string label) : plan_(plan), label_(std::move(label)) {}

  /// Weight and scales as copies of what the source of `from` stores, named after `output`. None if
  /// it does not store them as `wanted`. May add a source to the plan.
  std::vector<PlanTensor> stored(const PlanInput& from, const Fp8Format& wanted,
                                 const std::string& output);

  /// The tensor with the scales of a weight that has its output and format.
  PlanTensor scales_of(const PlanTensor& weight) const;

  /// The tensor with ComfyUI's marker of the layer whose weight the output calls `LAYER.weight`:
  /// a copy of `text`. Adds a source to the plan for every text.
  PlanTensor marker_of(const std::string& weight, const std::string& text);

 private:
  MergePlan& plan_;
  std::string label_;
  std::map<std::size_t, std::size_t> stored_sources_;  // of models with FP8 weights
  std::map<std::string, std::size_t> marker_sources_;  // by text
};

}  // namespace amalgam
