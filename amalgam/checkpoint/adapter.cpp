#include "amalgam/checkpoint/adapter.hpp"

#include <algorithm>
#include <array>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/folder.hpp"
#include "amalgam/checkpoint/transposed.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLargestConfig = 16'000'000;
constexpr const char* kConfigFile = "adapter_config.json";

// The name of a tensor without what PEFT wraps a model in.
std::string_view without_wrapper(std::string_view name) {
  for (const std::string_view wrapper : {"base_model.model.", "base_model."}) {
    if (name.starts_with(wrapper)) return name.substr(wrapper.size());
  }
  return name;
}

// The parts of a module's change, by the ends of their names.
struct KnownPart {
  std::string_view end;
  std::optional<std::size_t> AdapterModule::*place;
  bool is_embedding = false;
};
constexpr std::array kParts = {
    KnownPart{".lora_A.weight", &AdapterModule::a},
    KnownPart{".lora_B.weight", &AdapterModule::b},
    KnownPart{".lora_embedding_A", &AdapterModule::a, true},
    KnownPart{".lora_embedding_B", &AdapterModule::b, true},
    KnownPart{".lora_magnitude_vector", &AdapterModule::magnitude},
    KnownPart{".lora_magnitude_vector.weight", &AdapterModule::magnitude},
    KnownPart{".lora_B.bias", &AdapterModule::bias},
    KnownPart{".ia3_l", &AdapterModule::vector},
};

// "q_proj.base_layer.bias" and "score.modules_to_save.weight" as the base calls them.
std::string saved_name(std::string_view name) {
  std::string result(name);
  for (const std::string_view inner : {".base_layer.", ".modules_to_save.", ".original_module."}) {
    const std::size_t at = result.rfind(inner);
    if (at != std::string::npos) result.replace(at, inner.size(), ".");
  }
  return result;
}

class Reader {
 public:
  Reader(SharedSource tensors, AdapterConfig config, std::string label) {
    adapter_.label = std::move(label);
    adapter_.config = std::move(config);
    adapter_.tensors = std::move(tensors);
  }

  Adapter run() {
    for (std::size_t i = 0; i < adapter_.tensors->tensors().size(); ++i) sort_in(i);
    for (auto& [name, module] : modules_) {
      module.name = name;
      check(module);
      adapter_.modules.push_back(std::move(module));
    }
    if (adapter_.modules.empty() && adapter_.saved.empty()) {
      throw InputError("{}: the adapter has no tensors", adapter_.label);
    }
    return std::move(adapter_);
  }

 private:
  const TensorInfo& info(std::size_t tensor) const { return adapter_.tensors->tensors()[tensor]; }

  void sort_in(std::size_t i) {
    if (!dtype_is_floating(info(i).dtype) || dtype_is_quantised(info(i).dtype)) {
      throw InputError("{}: tensor '{}' has type {}; expected plain floating-point numbers",
                       adapter_.label, info(i).name, dtype_name(info(i).dtype));
    }
    const std::string_view name = without_wrapper(info(i).name);
    for (const KnownPart& part : kParts) {
      if (!name.ends_with(part.end)) continue;
      AdapterModule& module = modules_[std::string(name.substr(0, name.size() - part.end.size()))];
      if (module.*part.place) fail_twice(i);
      module.*part.place = i;
      module.is_embedding = module.is_embedding || part.is_embedding;
      return;
    }
    for (const std::string_view foreign : {"lora_", "ia3_", "hada_", "lokr_", "oft_", "boft_",
                                           "vera_", "prompt_", "trainable_tokens"}) {
      const std::size_t at = name.find(foreign);
      if (at == std::string_view::npos || (at > 0 && name[at - 1] != '.')) continue;
      throw InputError("{}: tensor '{}' belongs to no part of a LoRA or IA3 adapter that is known",
                       adapter_.label, info(i).name);
    }
    if (!adapter_.saved.emplace(saved_name(name), i).second) fail_twice(i);
  }

  [[noreturn]] void fail_twice(std::size_t i) const {
    throw InputError("{}: '{}' is there twice under two names", adapter_.label, info(i).name);
  }

  void check(AdapterModule& module) {
    if (adapter_.config.kind == AdapterConfig::Kind::ia3) {
      if (module.vector && !module.a && !module.b) return;
      throw InputError("{}: module '{}' has tensors of a LoRA, but 'peft_type' is IA3",
                       adapter_.label, module.name);
    }
    if (module.vector) {
      throw InputError("{}: module '{}' has tensors of IA3, but 'peft_type' is LORA",
                       adapter_.label, module.name);
    }
    if (!module.a || !module.b) {
      throw InputError("{}: module '{}' lacks {}; expected both factors of a LoRA", adapter_.label,
                       module.name, module.a ? "lora_B" : "lora_A");
    }
    check_factors(module);
    if (adapter_.config.dora && !module.magnitude) {
      throw InputError("{}: 'use_dora' is set, but module '{}' has no lora_magnitude_vector",
                       adapter_.label, module.name);
    }
    module.scale = adapter_.config.scale_of(module.name, module.rank);
  }

  void check_factors(AdapterModule& module) const {
    const TensorInfo& a = info(*module.a);
    const TensorInfo& b = info(*module.b);
    const bool matrices = a.shape.size() >= 2 && a.shape.size() == b.shape.size() &&
                          (a.shape.size() == 2 || !module.is_embedding);
    const bool pointwise =
        std::all_of(b.shape.begin() + std::min<std::ptrdiff_t>(2, std::ssize(b.shape)),
                    b.shape.end(), [](std::uint64_t n) { return n == 1; });
    if (!matrices || !pointwise || a.shape[0] != b.shape[1] || a.elements == 0 || b.elements == 0) {
      throw InputError(
          "{}: '{}' has shape {} and '{}' {}; expected [rank, inputs] and [outputs, rank]{}",
          adapter_.label, a.name, format_shape(a.shape), b.name, format_shape(b.shape),
          a.shape.size() > 2 ? " of a convolution without groups" : "");
    }
    module.rank = a.shape[0];
    const std::size_t wanted = adapter_.config.rank_of(module.name);
    if (module.rank != wanted) {
      throw InputError("{}: '{}' has shape {}, but the configuration gives the module rank {}",
                       adapter_.label, a.name, format_shape(a.shape), wanted);
    }
    const std::uint64_t outputs = b.shape[0];
    for (const auto& vector : {module.magnitude, module.bias}) {
      if (vector && info(*vector).elements != outputs) {
        throw InputError("{}: '{}' has shape {}; expected one number for each of {} outputs",
                         adapter_.label, info(*vector).name, format_shape(info(*vector).shape),
                         outputs);
      }
    }
  }

  Adapter adapter_;
  std::map<std::string, AdapterModule> modules_;
};

}  // namespace

Shape Adapter::weight_shape(const AdapterModule& module) const {
  const Shape& a_shape = tensors->tensors()[*module.a].shape;
  const std::uint64_t outputs = tensors->tensors()[*module.b].shape[0];
  if (is_transposed(module)) return {a_shape[1], outputs};
  Shape shape = a_shape;
  shape[0] = outputs;
  return shape;
}

template <class T>
LowRankFactors<T> Adapter::factors(const AdapterModule& module) const {
  const TensorInfo& a_info = tensors->tensors()[*module.a];
  const TensorInfo& b_info = tensors->tensors()[*module.b];
  std::vector<T> a(a_info.elements);
  std::vector<double> wide(b_info.elements);
  tensors->read(*module.a, 0, std::span<T>(a));
  tensors->read(*module.b, 0, std::span<double>(wide));
  std::vector<T> b(wide.size());
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<T>(module.scale * wide[i]);
  const auto rank = static_cast<std::size_t>(module.rank);
  if (!is_transposed(module)) return {rank, std::move(b), std::move(a)};
  return {rank, transposed(a, rank, a.size() / rank), transposed(b, b.size() / rank, rank)};
}

template LowRankFactors<float> Adapter::factors(const AdapterModule&) const;
template LowRankFactors<double> Adapter::factors(const AdapterModule&) const;

bool is_adapter_folder(const fs::path& path) { return names_file(path / kConfigFile); }

void refuse_lone_adapter(const fs::path& path, std::string_view advice) {
  if (!is_adapter_folder(path)) return;
  const std::string weights = find_folder_weights(path).path.filename().string();
  if (!weights.starts_with("adapter_model.")) return;
  throw InputError("{}: the folder of an adapter, expected a model; {}", path.string(), advice);
}

Adapter make_adapter(SharedSource tensors, AdapterConfig config, std::string label) {
  return Reader(std::move(tensors), std::move(config), std::move(label)).run();
}

Adapter open_adapter(const fs::path& folder) {
  if (!path_exists(folder)) {
    throw InputError("{}: no such folder; expected a PEFT adapter", folder.string());
  }
  if (!is_adapter_folder(folder)) {
    throw InputError("{}: no adapter_config.json; expected the folder of a PEFT adapter",
                     folder.string());
  }
  const fs::path file = folder / kConfigFile;
  AdapterConfig config = parse_adapter_config(read_text_file(file, kLargestConfig), file.string());
  return make_adapter(open_folder(folder), std::move(config), folder.string());
}

std::optional<AdaptedPath> split_adapted_path(const fs::path& path) {
  if (path_exists(path)) return std::nullopt;
  const std::string text = path.string();
  const std::size_t plus = text.rfind('+');
  if (plus == std::string::npos || plus == 0 || plus + 1 == text.size()) return std::nullopt;
  return AdaptedPath{text.substr(0, plus), text.substr(plus + 1)};
}

fs::path without_adapters(const fs::path& path) {
  const auto parts = split_adapted_path(path);
  return parts ? without_adapters(parts->base) : path;
}

}  // namespace amalgam
