#include "amalgam/checkpoint/side_files.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "amalgam/checkpoint/config_vocabulary.hpp"
#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/json.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/core/folder_entries.hpp"
#include "amalgam/core/letter_case.hpp"
#include "amalgam/core/log.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLongestConfig = 16 << 20;
constexpr std::uint64_t kLargestModuleFile = 4'000'000'000;
constexpr const char* kModules = "modules.json";
constexpr std::array<std::string_view, 4> kLicenceStarts = {"license", "licence", "notice",
                                                            "use_policy"};
constexpr std::array<std::string_view, 9> kWeightEndings = {
    ".safetensors", ".safetensors.index.json",
    ".bin",         ".bin.index.json",
    ".pt",          ".pth",
    ".gguf",        ".ckpt",
    ".h5"};

bool is_called_like_weights(std::string_view name) {
  return std::any_of(kWeightEndings.begin(), kWeightEndings.end(),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

bool is_side_file(const fs::directory_entry& entry) {
  const std::string name = entry.path().filename().string();
  return !name.starts_with(".") && entry.is_regular_file() && !is_called_like_weights(name);
}

// Parsed twice: strictly, within limits, and then so that the order of the keys is kept.
std::optional<nlohmann::ordered_json> read_config(const fs::path& folder) {
  const fs::path path = folder / "config.json";
  if (!names_file(path)) return std::nullopt;
  const std::string text = read_text_file(path, kLongestConfig);
  if (!parse_json(text, path.string()).is_object()) {
    throw InputError("{}: expected a JSON object", path.string());
  }
  return nlohmann::ordered_json::parse(text);
}

// The module that scales embeddings to length one has an empty folder, which repositories and
// archives do not keep.
bool needs_no_files(const nlohmann::json& module) {
  const nlohmann::json type = module.value("type", nlohmann::json());
  return type.is_string() && type.get_ref<const std::string&>().ends_with(".Normalize");
}

// Of a sentence-transformers model.
struct Module {
  std::string folder;
  bool is_there = false;  // beside modules.json
};

// Those that modules.json names, but for missing ones that need no files.
std::vector<Module> modules_of(const fs::path& model) {
  if (!names_file(model / kModules)) return {};
  const nlohmann::json modules =
      parse_json(read_text_file(model / kModules, kLongestConfig), (model / kModules).string());
  std::vector<Module> found;
  if (!modules.is_array()) return found;
  for (const nlohmann::json& module : modules) {
    const nlohmann::json path =
        module.is_object() ? module.value("path", nlohmann::json()) : nullptr;
    if (!path.is_string() || path.get_ref<const std::string&>().empty()) continue;
    const fs::path name = path.get<std::string>();
    const bool is_there =
        !name.has_parent_path() && name != ".." && name != "." && names_folder(model / name);
    if (is_there || !needs_no_files(module)) found.push_back({name.string(), is_there});
  }
  return found;
}

}  // namespace

std::vector<std::string> side_files(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : folder_entries(folder)) {
    if (is_side_file(entry)) names.push_back(entry.path().filename().string());
  }
  return names;
}

bool is_licence_name(std::string_view name) {
  const std::string lower = lower_case(name);
  return !is_called_like_weights(lower) &&
         std::any_of(kLicenceStarts.begin(), kLicenceStarts.end(),
                     [&](std::string_view start) { return lower.starts_with(start); });
}

void copy_licences(const fs::path& from, const fs::path& to) {
  for (const std::string& name : side_files(from)) {
    if (is_licence_name(name)) copy_file(from / name, to / name, kLargestSideFile);
  }
}

bool is_chat_template(const fs::directory_entry& entry) {
  return is_side_file(entry) && entry.path().extension() == ".jinja";
}

void copy_chat_templates(const fs::path& from, const fs::path& to) {
  const fs::path folder = from / kChatTemplateFolder;
  if (!names_folder(folder)) return;
  for (const fs::directory_entry& entry : folder_entries(folder)) {
    if (!is_chat_template(entry)) continue;
    fs::create_directory(to / kChatTemplateFolder);
    copy_file(entry.path(), to / kChatTemplateFolder / entry.path().filename(), kLargestSideFile);
  }
}

std::vector<std::string> module_folders(const fs::path& model) {
  std::vector<std::string> names;
  try {
    for (const Module& module : modules_of(model)) {
      if (module.is_there) names.push_back(module.folder);
    }
  } catch (const InputError&) {
    return {};
  }
  return names;
}

std::vector<std::string> copy_module_folders(const fs::path& from, const fs::path& to) {
  std::vector<std::string> with_weights;
  for (const Module& module : modules_of(from)) {
    const std::string& name = module.folder;
    if (!module.is_there) {
      log::warn("{}: names '{}', which is not a folder beside it and is left out",
                (from / kModules).string(), name);
      continue;
    }
    if (fs::exists(to / name)) continue;
    fs::create_directory(to / name);
    bool has_weights = false;
    for (const fs::directory_entry& entry : folder_entries(from / name)) {
      if (!entry.is_regular_file()) continue;
      copy_file(entry.path(), to / name / entry.path().filename(), kLargestModuleFile);
      has_weights = has_weights || !is_side_file(entry);
    }
    if (has_weights) with_weights.push_back(name);
  }
  return with_weights;
}

void copy_side_files(const fs::path& from, const fs::path& to) {
  for (const std::string& name : side_files(from)) {
    copy_file(from / name, to / name, kLargestSideFile);
  }
  copy_chat_templates(from, to);
  (void)copy_module_folders(from, to);
}

std::string_view torch_dtype_name(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return "float64";
    case DType::f32:
      return "float32";
    case DType::f16:
      return "float16";
    case DType::bf16:
      return "bfloat16";
    default:
      return {};
  }
}

void set_config_dtype(const fs::path& folder, DType dtype) {
  const std::string_view name = torch_dtype_name(dtype);
  std::optional<nlohmann::ordered_json> config = read_config(folder);
  if (!config || name.empty()) return;
  bool is_changed = false;
  for (const char* key : {"torch_dtype", "dtype"}) {
    if (!config->contains(key)) continue;
    (*config)[key] = name;
    is_changed = true;
  }
  if (is_changed) write_text_file(folder / "config.json", config->dump(2) + "\n");
}

void set_config_vocabulary(const fs::path& folder, std::uint64_t rows) {
  std::optional<nlohmann::ordered_json> config = read_config(folder);
  const auto always = [](std::uint64_t /*stated*/) { return true; };
  if (!config || !set_vocabulary_size(*config, rows, always)) return;
  write_text_file(folder / "config.json", config->dump(2) + "\n");
}

void drop_modelopt_config(const fs::path& folder) { fs::remove(folder / "hf_quant_config.json"); }

void drop_quantisation_config(const fs::path& folder) {
  drop_modelopt_config(folder);
  std::optional<nlohmann::ordered_json> config = read_config(folder);
  if (!config || config->erase("quantization_config") == 0) return;
  write_text_file(folder / "config.json", config->dump(2) + "\n");
}

std::optional<std::string> config_model_type(const fs::path& folder) {
  const std::optional<nlohmann::ordered_json> config = read_config(folder);
  if (!config || !config->contains("model_type")) return std::nullopt;
  const nlohmann::ordered_json& type = (*config)["model_type"];
  return type.is_string() ? std::optional(type.get<std::string>()) : std::nullopt;
}

}  // namespace amalgam
