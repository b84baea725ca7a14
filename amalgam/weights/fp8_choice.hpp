#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "amalgam/checkpoint/fp8_format.hpp"
#include "amalgam/checkpoint/source.hpp"
#include "amalgam/weights/layers.hpp"
#include "amalgam/weights/plan.hpp"

namespace amalgam {

/// Which tensors of an output are written as F8_E4M3 with scales, and how.
class Fp8Choice {
 public:
  /// The weights that `model` stores so, stored the same way. Nothing if it stores none.
  static std::optional<Fp8Choice> as_stored(const TensorSource& model);

  /// All with this scaling: the weights that `model` stores with scales if there are any (and in
  /// its own way, where that has this scaling already), else the matrices of linear layers inside
  /// its numbered layers, and there stacked matrices of experts (of three dimensions, their name
  /// has ".experts." or "_exps." in it), each of which has scales of its own. What is outside the
  /// layers (embeddings, heads), has another number of dimensions (norms, biases, convolutions), or
  /// chooses experts, is never quantised. Throws InputError if that leaves none.
  static Fp8Choice with(Fp8Scaling scaling, const TensorSource& model);

  /// How a tensor of the model, called as there, is written; null if not as FP8.
  const Fp8Format* find(const TensorInfo& info) const;

  /// The text of ComfyUI's marker (checkpoint/comfy_markers.hpp) that the output has beside that
  /// tensor, whose layout is the model's own; null if it has none.
  const std::string* marker(const TensorInfo& info) const;

 private:
  std::map<std::string, Fp8Format> stored_;
  std::map<std::string, std::string> markers_;
  std::optional<Fp8Format> others_;  // of linear layers, if the model stores none with scales
  Layers layers_;
};

/// `quantization_config` for config.json of an output whose plan has FP8 weights: `old`, the base's
/// (or null), where that describes weights scaled in the same way, else one of `fp8` (blocks, with
/// `weight_block_size`) or of `compressed-tensors` (rows and tensors). Scales of activations are
/// not carried over, so they are said to be found at run time. The matrices of layers that are not
/// quantised are listed where layers have other numbers than in the base, and in a new one. Null
/// without FP8 weights.
nlohmann::json fp8_quantisation_config(const nlohmann::json& old, const MergePlan& plan);

/// Whether a plan has weights that are written as FP8 with scales.
bool has_fp8(const MergePlan& plan);

}  // namespace amalgam
