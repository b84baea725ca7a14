#include "amalgam/weights/output_files.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/json.hpp"
#include "amalgam/checkpoint/side_files.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/core/folder_entries.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/weights/model_config.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t kLargestModule = 4'000'000;
// Besides config.json and the tokenizer's.
constexpr std::array kCopied = {
    "preprocessor_config.json",          "processor_config.json", "video_preprocessor_config.json",
    "feature_extractor_config.json",     "modules.json",          "sentence_bert_config.json",
    "config_sentence_transformers.json",
};

json read_json(const fs::path& path, std::uint64_t limit) {
  return parse_json(read_text_file(path, limit), path.string());
}

void write_json(const fs::path& path, const json& value) {
  write_text_file(path, value.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

// Configs of models with code of their own name it in "auto_map".
void copy_modules(const fs::path& from, const fs::path& to) {
  for (const fs::directory_entry& entry : folder_entries(from)) {
    if (entry.path().extension() == ".py" && names_file(entry.path())) {
      copy_file(entry.path(), to / entry.path().filename(), kLargestModule);
    }
  }
}

json labels_of(const fs::path& model) {
  if (!names_file(model / "config.json")) return {};
  const json config = read_json(model / "config.json", kLargestConfig);
  return config.is_object() ? config.value("id2label", json()) : json();
}

// Heads of classifiers are merged class by class.
void warn_of_labels(const OutputDescription& output) {
  const json labels = labels_of(output.reference);
  if (!labels.is_object()) return;
  for (const fs::path& model : output.models) {
    const json others = labels_of(model);
    if (!others.is_object() || others == labels) continue;
    log::warn(
        "{}: the classes of its head ('id2label' in config.json) are not those of {} in the "
        "same order; the output names them as the latter does",
        model.string(), output.reference.string());
  }
}

// A line of backquotes that the text does not hold.
std::string fence_for(std::string_view text) {
  std::string fence = "```";
  while (text.find(fence) != std::string_view::npos) fence += '`';
  return fence;
}

// Text that stands in a line of Markdown as it is.
std::string inline_code(std::string_view text) {
  return text.find('`') == std::string_view::npos ? fmt::format("`{}`", text)
                                                  : fmt::format("`` {} ``", text);
}

}  // namespace

std::string model_display_name(const fs::path& path) {
  constexpr std::string_view kCached = "models--";
  for (const fs::path& component : path) {
    const std::string name = component.string();
    if (!name.starts_with(kCached)) continue;
    std::string rest = name.substr(kCached.size());
    if (const std::size_t slash = rest.find("--"); slash != std::string::npos) {
      rest.replace(slash, 2, "/");
    }
    return rest;
  }
  const fs::path clean = path.lexically_normal();
  return (clean.has_filename() ? clean.filename() : clean.parent_path().filename()).string();
}

std::string model_card(const OutputDescription& output) {
  const Recipe& last = output.documents.back();
  std::set<std::string> stages;
  for (const Recipe& document : output.documents) stages.insert(document.name);
  std::vector<std::string> names;
  std::string models;
  for (const Recipe& document : output.documents) {
    for (const ModelReference& model : document.all_models()) {
      if (stages.contains(model.path)) continue;
      const std::string name = model_display_name(model.path);
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      names.push_back(name);
      models +=
          fmt::format("* {}{}\n", inline_code(name), last.base_model == model ? " (base)" : "");
    }
  }
  std::string card = "---\nbase_model:\n";
  // Quoted, because a hub's reader of front matter may know less YAML than ours.
  for (const std::string& name : names) {
    card += fmt::format("- {}\n", json(name).dump(-1, ' ', false, json::error_handler_t::replace));
  }
  if (names_file(output.reference / "config.json")) card += "library_name: transformers\n";
  card += "tags:\n- amalgam\n- merge\n---\n";
  const RuleInfo& rule = output.plan->rule->info();
  const std::string recipe = format_recipes(output.documents);
  const std::string fence = fence_for(recipe);
  card += fmt::format(
      "# {}\n\nA merge of {} model{}, made with Amalgam.\n\n## Method\n\n{}: {} Source: {}.\n\n"
      "## Models\n\n{}\n## Recipe\n\n{}yaml\n{}{}\n\nMade again with `amalgam merge {} --seed {} "
      "-o OUT` in the folder that the recipe's paths are relative to.\n",
      last.name.empty() ? "Merged model" : last.name, names.size(), names.size() == 1 ? "" : "s",
      inline_code(rule.name), rule.summary, rule.source, models, fence, recipe, fence, kRecipeFile,
      output.seed);
  return card;
}

void write_output_files(const fs::path& folder, const OutputDescription& output) {
  write_text_file(folder / kRecipeFile, format_recipes(output.documents));
  write_text_file(folder / "README.md", model_card(output));
  if (!names_folder(output.reference)) return;
  if (const fs::path config_file = output.reference / "config.json"; names_file(config_file)) {
    const json config = read_json(config_file, kLargestConfig);
    json updated = updated_config(config, *output.plan, output.tokenizer != nullptr);
    update_token_numbers(updated, "config.json", output);
    write_json(folder / "config.json", updated);
    if (config.is_object() && config.contains("auto_map")) copy_modules(output.reference, folder);
  }
  copy_licences(output.reference, folder);
  for (const char* name : kCopied) {
    if (names_file(output.reference / name)) {
      copy_file(output.reference / name, folder / name, kLargestSideFile);
    }
  }
  if (const fs::path path = output.reference / "generation_config.json"; names_file(path)) {
    if (output.tokenizer == nullptr) {
      copy_file(path, folder / path.filename(), kLargestSideFile);
    } else {
      json generation = read_json(path, kLargestConfig);
      update_token_numbers(generation, "generation_config.json", output);
      write_json(folder / path.filename(), generation);
    }
  }
  for (const std::string& module : copy_module_folders(output.reference, folder)) {
    log::warn(
        "{}: the weights of the module '{}' are not merged but the base's (or first model's); "
        "merge its folder by itself",
        output.reference.string(), module);
  }
  warn_of_labels(output);
  write_tokenizer_files(folder, output);
}

}  // namespace amalgam
