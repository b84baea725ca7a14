#include "amalgam/checkpoint/folder.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/joined.hpp"
#include "amalgam/checkpoint/json.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/core/folder_entries.hpp"
#include "amalgam/core/log_once.hpp"
#include "amalgam/core/text.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLongestIndex = 100'000'000;
constexpr std::string_view kIndexEnding = ".index.json";
// How many names an error lists.
constexpr std::size_t kNamesShown = 8;

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : folder_entries(folder)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

std::string shown(std::vector<std::string> names) {
  const std::size_t count = names.size();
  if (count > kNamesShown) names.resize(kNamesShown);
  return join(names, ", ") + (count > kNamesShown ? ", ..." : "");
}

FolderWeights describe(const fs::path& folder, const std::string& name) {
  const bool is_index = name.ends_with(kIndexEnding);
  const std::string weights = is_index ? name.substr(0, name.size() - kIndexEnding.size()) : name;
  return {folder / name, is_index, !weights.ends_with(".safetensors")};
}

// A relative path without "..": whatever it names lies in the folder (a symbolic link in it, as the
// Hugging Face cache makes them, is the owner's own doing).
bool stays_inside(const std::string& name) {
  const fs::path path(name);
  return !name.empty() && path.is_relative() && path.has_filename() &&
         std::none_of(path.begin(), path.end(),
                      [](const fs::path& part) { return part == ".." || part == "."; });
}

}  // namespace

FolderWeights find_folder_weights(const fs::path& folder) {
  const std::vector<std::string> names = names_in(folder);
  if (names.empty()) throw InputError("{}: the folder is empty", folder.string());

  for (const char* name :
       {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
        "pytorch_model.bin.index.json", "adapter_model.safetensors", "adapter_model.bin"}) {
    if (std::binary_search(names.begin(), names.end(), name)) return describe(folder, name);
  }
  const std::vector<std::vector<std::string_view>> kinds = {
      {".safetensors.index.json"}, {".safetensors"}, {".bin.index.json"}, {".bin", ".pt", ".pth"}};
  for (const auto& endings : kinds) {
    std::vector<std::string> found;
    for (const std::string& name : names) {
      if (std::any_of(endings.begin(), endings.end(),
                      [&](std::string_view ending) { return name.ends_with(ending); })) {
        found.push_back(name);
      }
    }
    if (found.size() == 1) return describe(folder, found.front());
    if (found.size() > 1) {
      throw InputError("{}: several files could be the weights ({}); name one of them",
                       folder.string(), shown(found));
    }
  }
  for (const std::string& name : names) {
    if (name.ends_with(".gguf")) {
      throw InputError("{}: holds a GGUF file; name the file itself, {}", folder.string(),
                       (folder / name).string());
    }
  }
  throw InputError(
      "{}: no weights in this folder (model.safetensors, pytorch_model.bin or an index of shards "
      "is "
      "expected; found {})",
      folder.string(), shown(names));
}

std::map<std::string, std::string> parse_weight_map(std::string_view text, std::string_view where) {
  const nlohmann::json index = parse_json(text, where);
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (map == index.end() || !map->is_object()) {
    throw InputError("{}: no 'weight_map' object in this index of shards", where);
  }
  std::map<std::string, std::string> file_of;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string()) {
      throw InputError("{}: weight_map of '{}' is a JSON {}, expected a file name", where, tensor,
                       file.type_name());
    }
    const auto& name = file.get_ref<const std::string&>();
    if (name.find('\0') != std::string::npos) {
      throw InputError("{}: the file name of tensor '{}' contains a zero byte", where, tensor);
    }
    if (!stays_inside(name)) {
      throw InputError("{}: tensor '{}' is said to be in '{}', which is not a file in this folder",
                       where, tensor, name);
    }
    file_of.emplace(tensor, name);
  }
  if (file_of.empty()) throw InputError("{}: 'weight_map' lists no tensors", where);
  return file_of;
}

std::unique_ptr<TensorSource> open_folder(const fs::path& folder) {
  const FolderWeights weights = find_folder_weights(folder);
  if (!weights.is_index) return open_checkpoint_file(weights.path);

  const std::string where = weights.path.string();
  const auto file_of = parse_weight_map(read_text_file(weights.path, kLongestIndex), where);
  std::map<std::string, std::size_t> part_of;  // by file name
  std::vector<std::unique_ptr<TensorSource>> parts;
  for (const auto& [tensor, file] : file_of) {
    auto [place, is_new] = part_of.emplace(file, parts.size());
    if (is_new) {
      const fs::path shard = folder / file;
      if (!path_exists(shard)) {
        throw InputError("{}: the shard '{}' is missing from the folder", where, file);
      }
      parts.push_back(open_checkpoint_file(shard));
    }
    if (!parts[place->second]->find(tensor)) {
      throw InputError("{}: tensor '{}' is said to be in '{}', but it is not there", where, tensor,
                       file);
    }
  }
  auto joined = std::make_unique<JoinedSource>(folder.string(), std::move(parts));
  if (joined->tensors().size() > file_of.size()) {
    log::warn_once("{}: the shards hold {} tensors that the index does not list; they are read too",
                   where, joined->tensors().size() - file_of.size());
  }
  return joined;
}

}  // namespace amalgam
