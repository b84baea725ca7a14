#include "amalgam/checkpoint/output_tensors.hpp"

namespace amalgam {

void check_output_tensors(const std::filesystem::path& output,
                          const std::vector<TensorInfo>& tensors) {
  if (output.extension() == ".gguf") {
    check_gguf_tensors(tensors, output.string());
  } else {
    check_safetensors_tensors(tensors, output.string());
  }
}

}  // namespace amalgam
