#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// Which file of a folder holds the weights, or lists the files that do.
struct FolderWeights {
  std::filesystem::path path;
  bool is_index = false;  ///< `*.index.json`
  bool is_torch = false;  ///< PyTorch archives rather than safetensors
};

/// Finds the weights of a Hugging Face folder as its libraries do: `model.safetensors`, its index,
/// `pytorch_model.bin`, its index; then `adapter_model.safetensors`, `adapter_model.bin`; then the
/// only
/// `*.safetensors.index.json`, the only `*.safetensors`, the only `*.bin`, `*.pt` or `*.pth`.
/// InputError naming what the folder holds if none, or more than one of a kind, is there.
FolderWeights find_folder_weights(const std::filesystem::path& folder);

/// The `weight_map` of a shard index: file by tensor name. InputError naming `where` if the JSON is
/// not such an index or a file name leads out of the folder.
std::map<std::string, std::string> parse_weight_map(std::string_view text, std::string_view where);

/// Opens the weights of a folder. All shards are opened at once, and InputError is raised if one is
/// missing, a tensor is not in the shard that the index says, or two shards hold the same tensor.
std::unique_ptr<TensorSource> open_folder(const std::filesystem::path& folder);

}  // namespace amalgam
