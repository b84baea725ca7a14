#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/tensor/dtype.hpp"

namespace amalgam {

/// The change of one weight of a LoRA to write: left * right is added to it.
struct NewAdapterModule {
  std::string name;  ///< of the module in the base
  Shape weight;      ///< of the weight as the base stores it, at least two axes
  bool is_embedding = false;
  std::size_t rank = 0;       ///< at least 1
  std::vector<double> left;   ///< [rows, rank], rows the first axis of the weight
  std::vector<double> right;  ///< [rank, columns], all other axes
};

/// A LoRA to write.
struct NewAdapter {
  std::string base_model;
  std::string task_type;
  bool transposed = false;  ///< weights are stored [inputs, outputs]: `fan_in_fan_out`
  std::vector<NewAdapterModule> modules;
  std::vector<MemoryTensor> saved;  ///< whole tensors under their names in the base
};

/// Writes a PEFT folder, which exists: `adapter_model.safetensors` with factors of type `dtype`,
/// and `adapter_config.json`, in which every alpha is the rank (scale 1). InputError if `dtype` is
/// no plain floating-point type.
void write_adapter(const std::filesystem::path& folder, const NewAdapter& adapter, DType dtype);

}  // namespace amalgam
