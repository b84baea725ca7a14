#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// What a path holds.
enum class CheckpointFormat {
  safetensors_file,
  safetensors_folder,
  gguf,
  torch_archive,
  torch_folder
};

/// Opens whatever `path` is, by its contents: a folder in Hugging Face layout (`model.safetensors`,
/// `model.safetensors.index.json` with shards, `pytorch_model.bin` likewise), a safetensors file, a
/// GGUF file, a PyTorch zip archive. Sparse rows (csr.hpp) are whole tensors; 8-bit floats
/// with scales beside them are F32 (scaled_fp8.hpp). A path "BASE+ADAPTER" that does not exist
/// itself is a checkpoint with a PEFT adapter applied (adapter.hpp). InputError says what was found
/// and what is expected.
std::unique_ptr<TensorSource> open_checkpoint(const std::filesystem::path& path);

/// The same for a file only: InputError for a folder. (What an index of shards names must be
/// files.)
std::unique_ptr<TensorSource> open_checkpoint_file(const std::filesystem::path& path);

/// As open_checkpoint, but 8-bit floats and their scales are the tensors that they are stored as,
/// and there are no adapters.
std::unique_ptr<TensorSource> open_stored_checkpoint(const std::filesystem::path& path);

/// The format of `path` (of the base, if there are adapters on it) without reading more than its
/// first bytes; InputError as open_checkpoint.
CheckpointFormat detect_format(const std::filesystem::path& path);

/// The name of the format for people and JSON: "safetensors", "safetensors folder", "gguf", ...
std::string_view format_name(CheckpointFormat format);

}  // namespace amalgam
