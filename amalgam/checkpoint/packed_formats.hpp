#pragma once

#include <filesystem>

#include "amalgam/checkpoint/scaled_fp8.hpp"
#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// InputError that names the format and what to do if the weights at `path`, opened as `source`,
/// are packed in one that is not computed with: GPTQ, AWQ, bitsandbytes, MXFP4, NVFP4 and others.
/// Told by `quantization_config` in config.json of a folder and by the names of tensors.
void refuse_packed_weights(const TensorSource& source, const std::filesystem::path& path);

/// How the FP8 weights of a folder are scaled: `weight_block_size` (or `block_structure` of
/// compressed-tensors) and `scale_fmt` of `quantization_config` in its config.json, where there is
/// one. InputError for a size that is none.
Fp8Layout read_fp8_layout(const std::filesystem::path& folder);

}  // namespace amalgam
