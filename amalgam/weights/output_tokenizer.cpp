// Tokenizer files, chat template and numbers of tokens in an output folder.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/json.hpp"
#include "amalgam/checkpoint/side_files.hpp"
#include "amalgam/checkpoint/tokenizer_files.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/weights/chat_templates.hpp"
#include "amalgam/weights/model_config.hpp"
#include "amalgam/weights/output_files.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t kLargestTokenizerConfig = 64'000'000;
constexpr const char* kTokenizerConfig = "tokenizer_config.json";
constexpr const char* kChatTemplate = "chat_template.jinja";

json read_json(const fs::path& path, std::uint64_t limit) {
  return parse_json(read_text_file(path, limit), path.string());
}

void write_json(const fs::path& path, const json& value) {
  write_text_file(path, value.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

void copy_if_there(const fs::path& from, const fs::path& to, const char* name) {
  if (names_file(from / name)) copy_file(from / name, to / name, kLargestSideFile);
}

// The chat template of a model's folder; empty if it has none.
std::string chat_template_of(const fs::path& model) {
  if (names_file(model / kChatTemplate)) {
    return read_text_file(model / kChatTemplate, kLargestTokenizerConfig);
  }
  if (!names_file(model / kTokenizerConfig)) return {};
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

// `from`: the folder whose tokenizer the output has.
void write_chat_template(const fs::path& folder, const OutputDescription& output,
                         const fs::path& from) {
  const std::string& asked = output.documents.back().chat_template;
  const char* built_in = find_chat_template(asked);
  std::string text = built_in != nullptr ? built_in : asked;
  if (asked == "auto") text = most_common_template(output.models);
  const bool has_config = names_file(from / kTokenizerConfig);
  if (text.empty()) {
    for (const char* name : {kChatTemplate, "chat_template.json"}) {
      copy_if_there(from, folder, name);
    }
    copy_chat_templates(from, folder);
  }
  if (!has_config) {
    if (!text.empty()) write_text_file(folder / kChatTemplate, text);
    return;
  }
  if (text.empty() && (output.tokenizer == nullptr || !output.tokenizer->changed())) {
    copy_if_there(from, folder, kTokenizerConfig);
    return;
  }
  json config = read_json(from / kTokenizerConfig, kLargestTokenizerConfig);
  if (!config.is_object()) {
    throw InputError("{}: not a JSON object", (from / kTokenizerConfig).string());
  }
  if (output.tokenizer != nullptr) config = output.tokenizer->config().value_or(config);
  if (!text.empty()) config["chat_template"] = text;
  write_json(folder / kTokenizerConfig, config);
}

// A number of the reference's vocabulary in the output's; null if that has no such token.
json renumbered(const json& number, const Tokenizer& reference, const Tokenizer& output) {
  if (number.is_array()) {
    json numbers = json::array();
    for (const json& one : number) {
      if (json changed = renumbered(one, reference, output); !changed.is_null()) {
        numbers.push_back(std::move(changed));
      }
    }
    return numbers;
  }
  if (!number.is_number_unsigned() || number.get<std::uint64_t>() >= reference.size()) return {};
  const auto& token = reference.token(number.get<std::uint64_t>());
  if (!token) return {};
  const auto found = output.find(*token);
  return found ? json(*found) : json();
}

}  // namespace

void update_token_numbers(json& config, const char* name, const OutputDescription& output) {
  if (output.tokenizer == nullptr || !config.is_object()) return;
  const fs::path donor = output.tokenizer->folder();
  std::error_code ignored;
  if (fs::equivalent(donor, output.reference, ignored)) return;
  const json theirs =
      names_file(donor / name) ? read_json(donor / name, kLargestConfig) : json::object();
  std::optional<Tokenizer> reference;
  for (auto& [key, value] : config.items()) {
    if (!key.ends_with("_token_id") || value.is_null()) continue;
    if (theirs.is_object() && theirs.contains(key)) {
      value = theirs[key];
      continue;
    }
    if (!has_tokenizer(output.reference)) continue;
    if (!reference) reference = Tokenizer::read(output.reference);
    value = renumbered(value, *reference, *output.tokenizer);
  }
}

void write_tokenizer_files(const fs::path& folder, const OutputDescription& output) {
  const Tokenizer* tokenizer = output.tokenizer;
  const fs::path from = tokenizer != nullptr ? tokenizer->folder() : output.reference;
  if (tokenizer != nullptr) {
    tokenizer->write(folder);
  } else {
    for (const char* name : vocabulary_files()) copy_if_there(from, folder, name);
  }
  for (const char* name : other_vocabulary_files()) {
    if (tokenizer == nullptr || !tokenizer->changed()) {
      copy_if_there(from, folder, name);
    } else if (names_file(from / name)) {
      log::warn("{}: {} cannot be given the new tokens and is left out; tokenizer.json has them",
                from.string(), name);
    }
  }
  copy_if_there(from, folder, "special_tokens_map.json");
  write_chat_template(folder, output, from);
}

}  // namespace amalgam
