#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// InputError, naming tensor, found and expected, if an output of this name, by which its format is
/// known, cannot hold tensors of these types, shapes and names. To be called before anything is
/// made at the place; the functions that write files check it too.
void check_output_tensors(const std::filesystem::path& output,
                          const std::vector<TensorInfo>& tensors);

/// The same for GGUF and for safetensors; `where` names the output.
void check_gguf_tensors(const std::vector<TensorInfo>& tensors, const std::string& where);
void check_safetensors_tensors(const std::vector<TensorInfo>& tensors, const std::string& where);

}  // namespace amalgam
