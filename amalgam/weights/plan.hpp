#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/checkpoint/fp8_format.hpp"
#include "amalgam/checkpoint/source.hpp"
#include "amalgam/weights/rule.hpp"

namespace amalgam {

/// A tensor of an opened source.
struct PlanInput {
  std::size_t source = 0;  ///< index into MergePlan::sources
  std::size_t tensor = 0;  ///< index into that source's tensors()
};

/// What becomes of one output tensor.
struct PlanTensor {
  TensorInfo output;
  /// scales: those of the FP8 weight `scales_of`, which are found when that is merged.
  enum class Action { merge, copy, scales } action = Action::merge;
  /// copy: the bytes of members[0] (same dtype and shape as the output) are written unchanged.
  std::vector<PlanInput> members;
  std::optional<PlanInput> base;
  std::vector<PlanInput> auxiliary;  ///< of Kind::path parameters, member order; empty or one each
  std::vector<Parameters> member_parameters;
  Parameters parameters;
  std::optional<std::size_t> layer;  ///< output layer number, none before and after the layers
  bool tied = false;                 ///< see TensorView::tied
  /// The output is F8_E4M3 with scales in the tensor named after it.
  std::optional<Fp8Format> fp8;
  std::string scales_of;  ///< scales: the name of their weight
};

/// A stack of numbered layers of the output (weights/layers.hpp), for config.json.
struct PlanLayers {
  std::string prefix;         ///< tensors of layer n are named prefix + n + ...
  std::size_t old_count = 0;  ///< layers of this stack in the base (or first) model
  /// Output layer n is made from this layer of the first model of its slice.
  std::vector<std::size_t> origins;
};

/// Everything decided before the first byte is merged: the engine only carries it out. Made from a
/// recipe or from command-line arguments (weights/planner.hpp), or by hand in tests.
struct MergePlan {
  const MergeRule* rule = nullptr;
  std::vector<std::shared_ptr<const TensorSource>> sources;
  std::vector<PlanTensor> tensors;  ///< sorted by output name
  std::vector<PlanLayers> layers;   ///< stacks of layers with numbers 0, 1, ... (may be none)
};

}  // namespace amalgam
