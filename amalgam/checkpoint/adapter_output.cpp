#include "amalgam/checkpoint/adapter_output.hpp"

#include <algorithm>
#include <set>

#include "amalgam/checkpoint/adapter_config.hpp"
#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/safetensors_sink.hpp"
#include "amalgam/checkpoint/transposed.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

constexpr const char* kWrapper = "base_model.model.";

void add_factors(const NewAdapterModule& module, bool weights_transposed, DType dtype,
                 std::vector<MemoryTensor>& tensors) {
  const std::size_t rows = module.weight.at(0);
  const std::size_t columns = module.right.size() / module.rank;
  const std::string prefix = kWrapper + module.name;
  if (module.is_embedding || weights_transposed) {
    const bool embedding = module.is_embedding;
    tensors.push_back(make_tensor(prefix + (embedding ? ".lora_embedding_A" : ".lora_A.weight"),
                                  {module.rank, rows}, transposed(module.left, rows, module.rank),
                                  dtype));
    tensors.push_back(make_tensor(prefix + (embedding ? ".lora_embedding_B" : ".lora_B.weight"),
                                  {columns, module.rank},
                                  transposed(module.right, module.rank, columns), dtype));
    return;
  }
  Shape a = module.weight;
  a[0] = module.rank;
  Shape b(module.weight.size(), 1);
  b[0] = rows;
  b[1] = module.rank;
  tensors.push_back(make_tensor(prefix + ".lora_A.weight", a, module.right, dtype));
  tensors.push_back(make_tensor(prefix + ".lora_B.weight", b, module.left, dtype));
}

// A bias of a module that a LoRA changes lies in the layer that PEFT wraps.
std::string saved_tensor_name(const std::string& name, const std::set<std::string>& targets) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string::npos || !targets.contains(name.substr(0, dot))) return kWrapper + name;
  return kWrapper + name.substr(0, dot) + ".base_layer" + name.substr(dot);
}

}  // namespace

void write_adapter(const std::filesystem::path& folder, const NewAdapter& adapter, DType dtype) {
  if (!dtype_is_floating(dtype) || dtype_is_quantised(dtype)) {
    throw InputError("an adapter of type {}; expected F32, F16, BF16 or F64", dtype_name(dtype));
  }
  AdapterConfig config;
  config.base_model = adapter.base_model;
  config.task_type = adapter.task_type;
  config.transposed = adapter.transposed;
  config.rank = 1;
  for (const NewAdapterModule& module : adapter.modules) {
    config.rank = std::max(config.rank, module.rank);
  }
  config.alpha = static_cast<double>(config.rank);
  std::vector<MemoryTensor> tensors;
  std::vector<std::string> names;
  for (const NewAdapterModule& module : adapter.modules) {
    names.push_back(module.name);
    if (module.rank != config.rank) {
      config.rank_pattern.emplace_back(module.name, static_cast<double>(module.rank));
    }
    add_factors(module, adapter.transposed, dtype, tensors);
  }
  config.alpha_pattern = config.rank_pattern;
  const std::set<std::string> targets(names.begin(), names.end());
  std::set<std::string> saved_modules;
  for (const MemoryTensor& saved : adapter.saved) {
    tensors.push_back(saved);
    tensors.back().info.name = saved_tensor_name(saved.info.name, targets);
    const std::string module = saved.info.name.substr(0, saved.info.name.rfind('.'));
    if (!targets.contains(module)) saved_modules.insert(module);
  }
  config.modules_to_save.assign(saved_modules.begin(), saved_modules.end());
  std::vector<TensorInfo> infos;
  for (const MemoryTensor& tensor : tensors) infos.push_back(tensor.info);
  const auto sink =
      create_safetensors_file(folder / "adapter_model.safetensors", infos, {{"format", "pt"}});
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (!tensors[i].bytes.empty()) sink->write(i, 0, tensors[i].bytes);
  }
  sink->finish();
  write_text_file(folder / "adapter_config.json", format_adapter_config(config, names));
}

}  // namespace amalgam
