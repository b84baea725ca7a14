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
#include "amalgam/core/log.hpp"
#include "amalgam/weights/model_config.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t kLargestModule = 4'000'000;
constexpr std::uint64_t kLargestTokenizerConfig = 64'000'000;
constexpr const char* kTokenizerConfig = "tokenizer_config.json";
constexpr const char* kChatTemplate = "chat_template.jinja";

constexpr std::array kCopied = {
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer.model.v3",
    "tekken.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
};

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

json read_json(const fs::path& path, std::uint64_t limit) {
  return parse_json(read_text_file(path, limit), path.string());
}

void write_json(const fs::path& path, const json& value) {
  write_text_file(path, value.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

// The chat template of a model's folder; empty if it has none.
std::string chat_template_of(const fs::path& model) {
  if (is_file(model / kChatTemplate)) {
    return read_text_file(model / kChatTemplate, kLargestTokenizerConfig);
  }
  if (!is_file(model / kTokenizerConfig)) return {};
  const json config = read_json(model / kTokenizerConfig, kLargestTokenizerConfig);
  const auto found = config.is_object() ? config.find("chat_template") : config.end();
  return found != config.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// What most models have; of equally common ones the first.
std::string most_common_template(const std::vector<fs::path>& models) {
  std::vector<std::pair<std::string, std::size_t>> counts;
  for (const fs::path& model : models) {
    std::string text = chat_template_of(model);
    if (text.empty()) continue;
    const auto known = std::find_if(counts.begin(), counts.end(),
                                    [&](const auto& count) { return count.first == text; });
    if (known == counts.end()) {
      counts.emplace_back(std::move(text), 1);
    } else {
      ++known->second;
    }
  }
  const auto most =
      std::max_element(counts.begin(), counts.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == counts.end() ? std::string() : most->first;
}

void write_chat_template(const fs::path& folder, const OutputDescription& output) {
  const std::string& asked = output.documents.back().chat_template;
  const bool has_config = is_file(output.reference / kTokenizerConfig);
  const std::string text = asked == "auto" ? most_common_template(output.models) : asked;
  if (text.empty()) {
    if (has_config) {
      copy_file(output.reference / kTokenizerConfig, folder / kTokenizerConfig, kLargestSideFile);
    }
    for (const char* name : {kChatTemplate, "chat_template.json"}) {
      if (is_file(output.reference / name)) {
        copy_file(output.reference / name, folder / name, kLargestSideFile);
      }
    }
    return;
  }
  if (!has_config) {
    write_text_file(folder / kChatTemplate, text);
    return;
  }
  json config = read_json(output.reference / kTokenizerConfig, kLargestTokenizerConfig);
  if (!config.is_object()) {
    throw InputError("{}: not a JSON object", (output.reference / kTokenizerConfig).string());
  }
  config["chat_template"] = text;
  write_json(folder / kTokenizerConfig, config);
}

// Configs of models with code of their own name it in "auto_map".
void copy_modules(const fs::path& from, const fs::path& to) {
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
    if (entry.path().extension() == ".py" && is_file(entry.path())) {
      copy_file(entry.path(), to / entry.path().filename(), kLargestModule);
    }
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
  if (is_file(output.reference / "config.json")) card += "library_name: transformers\n";
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
  std::error_code ignored;
  if (!fs::is_directory(output.reference, ignored)) return;
  if (const fs::path config_file = output.reference / "config.json"; is_file(config_file)) {
    const json config = read_json(config_file, kLargestConfig);
    write_json(folder / "config.json", updated_config(config, *output.plan));
    if (config.is_object() && config.contains("auto_map")) copy_modules(output.reference, folder);
  }
  for (const char* name : kCopied) {
    if (is_file(output.reference / name)) {
      copy_file(output.reference / name, folder / name, kLargestSideFile);
    }
  }
  write_chat_template(folder, output);
}

}  // namespace amalgam
