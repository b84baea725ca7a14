#pragma once

#include <filesystem>
#include <memory>

#include "amalgam/weights/fp8_choice.hpp"
#include "amalgam/weights/plan.hpp"

namespace amalgam {

/// The plan of a conversion: every tensor of `model` as it is, but for those of `choice`, which
/// become FP8 with scales; they are copied byte for byte where they are stored so already.
/// InputError if `model` has no tensor.
MergePlan plan_fp8_conversion(std::shared_ptr<const TensorSource> model, const Fp8Choice& choice);

/// Puts `quantization_config` of an output with this plan into config.json of its folder; nothing
/// happens without a config. InputError if that is not a JSON object.
void write_fp8_config(const std::filesystem::path& folder, const MergePlan& plan);

}  // namespace amalgam
