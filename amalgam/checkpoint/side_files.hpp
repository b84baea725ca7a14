#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/tensor/dtype.hpp"

namespace amalgam {

/// What of a Hugging Face folder is not weights: config, generation config, tokenizer, chat
/// template, licence, model card. Weights, their indexes, hidden files and sub-folders are not
/// among them. Sorted names of regular files (or links to such).
std::vector<std::string> side_files(const std::filesystem::path& folder);

/// Copies the side files of one folder into another. Error naming the file if that fails.
void copy_side_files(const std::filesystem::path& from, const std::filesystem::path& to);

/// Sets `torch_dtype` or `dtype`, where config.json of `folder` has them, to the name that PyTorch
/// gives `dtype` ("bfloat16"); nothing happens without a config or for quantised types. InputError
/// if the config is not a JSON object.
void set_config_dtype(const std::filesystem::path& folder, DType dtype);

/// `model_type` of a folder's config.json, if there is one.
std::optional<std::string> config_model_type(const std::filesystem::path& folder);

}  // namespace amalgam
