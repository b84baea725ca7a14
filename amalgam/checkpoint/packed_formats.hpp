#pragma once

#include <filesystem>

#include "amalgam/checkpoint/scaled_fp8.hpp"
#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// InputError that names the format and what to do if the weights at `path`, opened as `source`,
/// are packed in one that is not computed with: GPTQ, AWQ, bitsandbytes, MXFP4, NVFP4 and others.
/// Told by `quantization_config` in config.json of a folder and by the names of tensors. Calls
/// refuse_unscaled_fp8, too.
void refuse_packed_weights(const TensorSource& source, const std::filesystem::path& path);

/// InputError that names the tensor and what to do if one of 8-bit floats at `path`, opened as
/// `source`, has scales that are not applied: a tensor beside it that is called like scales, in
/// this file or in another shard of its index, a config beside that says weights are quantised, or
/// a marker for ComfyUI that says so. Other tensors of 8-bit floats are plain numbers. InputError,
/// too, if weights of any type are marked as another format (refuse_marked_formats).
void refuse_unscaled_fp8(const TensorSource& source, const std::filesystem::path& path);

/// How the FP8 weights of a folder are scaled: `weight_block_size` (or `block_structure` of
/// compressed-tensors) and `scale_fmt` of `quantization_config` in its config.json, where there is
/// one. InputError for a size that is none.
Fp8Layout read_fp8_layout(const std::filesystem::path& folder);

}  // namespace amalgam
