#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// What a checkpoint for ComfyUI says of a layer whose weight is quantised: JSON such as
/// {"format": "float8_e4m3fn"}, as the bytes of a U8 tensor `LAYER.comfy_quant` beside
/// `LAYER.weight`, or in the file's metadata (comfy/ops.py and QUANTIZATION.md of ComfyUI).
struct ComfyMarker {
  std::string place;     ///< where it was found, for errors
  std::string text;      ///< the JSON
  std::string format;    ///< what the weight is stored as
  bool rotated = false;  ///< `convrot`: it is the weight times a Hadamard matrix that is stored
  std::optional<std::size_t> tensor;  ///< the one that holds it

  /// Whether the weight is 8-bit floats times the scales beside it, as ScaledFp8Source reads them.
  bool is_scaled_fp8() const;
};

/// The key in a file's metadata under which markers of all layers may be.
inline constexpr const char* kComfyMetadata = "_quantization_metadata";

/// The markers of all layers, by the names of these. Those in the metadata come before those in
/// tensors, as in ComfyUI. InputError naming the place of one that is none: not U8, of more than
/// 64 KiB, no JSON object, or without a format.
std::map<std::string, ComfyMarker> read_comfy_markers(const TensorSource& source);

/// The layer that a weight called `LAYER.weight` belongs to, as markers name it; nothing for other
/// names.
std::optional<std::string> comfy_layer_of(const std::string& weight);

/// What the marker and the weight of a layer are called.
std::string comfy_marker_name(const std::string& layer);
std::string comfy_weight_name(const std::string& layer);

/// InputError that names the format and what to do if a weight of `source`, which lies at `path`,
/// is marked as stored in a format that is not computed with: NVFP4, MXFP8, 8-bit integers and
/// others.
void refuse_marked_formats(const TensorSource& source, const std::filesystem::path& path);

/// InputError if a weight that is marked as FP8 has no scales, or is no FP8. Of a source whose
/// weights were read with their scales, which has no markers of these.
void refuse_idle_markers(const TensorSource& source, const std::filesystem::path& path);

}  // namespace amalgam
