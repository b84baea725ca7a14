#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/tensor/dtype.hpp"

namespace amalgam {

/// What of a Hugging Face folder is not weights: config, generation config, tokenizer, chat
/// template, licence, model card. Weights, their indexes, hidden files and sub-folders are not
/// among them. Sorted names of regular files (or links to such).
std::vector<std::string> side_files(const std::filesystem::path& folder);

/// The largest side file that is copied, in bytes: the largest tokenizers in use have some tens of
/// megabytes.
inline constexpr std::uint64_t kLargestSideFile = 256'000'000;

/// Whether a file of this name says what may be done with a model: LICENSE, LICENCE, NOTICE or
/// USE_POLICY, in any case, with any ending (but those of weights) or none.
bool is_licence_name(std::string_view name);

/// Copies the side files of such names, each as copy_file does, into a folder that has none.
void copy_licences(const std::filesystem::path& from, const std::filesystem::path& to);

/// Where transformers keeps a tokenizer's chat templates besides the default one: NAME.jinja each.
inline constexpr const char* kChatTemplateFolder = "additional_chat_templates";

/// Whether an entry of that folder is such a template.
bool is_chat_template(const std::filesystem::directory_entry& entry);

/// Copies that folder's templates, each as copy_file does, into a model's folder that has none;
/// nothing happens without any.
void copy_chat_templates(const std::filesystem::path& from, const std::filesystem::path& to);

/// The sub-folders of a sentence-transformers model that its modules.json names (pooling, dense
/// layers), as far as they are there; none without such a file, or where it is not JSON. For
/// looking at a folder that is no input: nothing about it is warned of.
std::vector<std::string> module_folders(const std::filesystem::path& model);

/// Copies those sub-folders, each file as copy_file does; those that are there already stay, and
/// names that are no folders are warned of. InputError if modules.json is not JSON. Returns the
/// names of those with weights of their own.
std::vector<std::string> copy_module_folders(const std::filesystem::path& from,
                                             const std::filesystem::path& to);

/// Copies the side files of one folder, its chat templates and module folders, into another that
/// has none of them, each file as copy_file does.
void copy_side_files(const std::filesystem::path& from, const std::filesystem::path& to);

/// The name that PyTorch gives a type in which whole models are loaded ("bfloat16"); empty for
/// other types.
std::string_view torch_dtype_name(DType dtype);

/// Sets `torch_dtype` or `dtype`, where config.json of `folder` has them, to
/// torch_dtype_name(dtype); nothing happens without a config or a name. InputError if the config is
/// not a JSON object.
void set_config_dtype(const std::filesystem::path& folder, DType dtype);

/// Sets `vocab_size` in config.json of `folder`, whose token embedding has that many rows; nothing
/// happens without a config that states it.
void set_config_vocabulary(const std::filesystem::path& folder, std::uint64_t rows);

/// Takes `quantization_config` out of config.json of `folder`, whose weights are no longer
/// quantised, and deletes what drop_modelopt_config does; nothing happens without them.
void drop_quantisation_config(const std::filesystem::path& folder);

/// Deletes hf_quant_config.json of `folder`, in which ModelOpt says how weights were quantised that
/// are now stored in another way; nothing happens without one.
void drop_modelopt_config(const std::filesystem::path& folder);

/// `model_type` of a folder's config.json, if there is one.
std::optional<std::string> config_model_type(const std::filesystem::path& folder);

}  // namespace amalgam
