// Writing a tokenizer so that Hugging Face `tokenizers` gives every token its number.
#include <algorithm>
#include <functional>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/json.hpp"
#include "amalgam/checkpoint/side_files.hpp"
#include "amalgam/checkpoint/tokenizer.hpp"
#include "amalgam/checkpoint/tokenizer_files.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

void write_json(const fs::path& path, const json& value) {
  write_text_file(path, value.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

}  // namespace

// `tokenizers` does not take the numbers of added tokens from the file: those that the model proper
// lacks are numbered on from its size, in the order of the file.
bool Tokenizer::needs_added_in_vocab() const {
  std::size_t next = static_cast<std::size_t>(std::count(in_model_.begin(), in_model_.end(), true));
  for (const auto& [id, token] : added_) {
    if (in_model_[id]) {
      if (id >= next) next = id + 1;
      continue;
    }
    if (id != next) return true;
    ++next;
  }
  return false;
}

json Tokenizer::vocab_object(bool with_added) const {
  json vocab = json::object();
  for (std::size_t id = 0; id < tokens_.size(); ++id) {
    const std::optional<std::string>& token = tokens_[id];
    if (token && (in_model_[id] || with_added)) vocab[*token] = id;
  }
  return vocab;
}

// A name that no token has.
std::string Tokenizer::unused_name(std::size_t id) const {
  std::string name = "<unused number " + std::to_string(id) + ">";
  while (ids_.contains(name)) name += '>';
  return name;
}

// The place in the list is the number, so added tokens and unused numbers need a place too. Added
// tokens are found before the model looks at a text, so their score never counts; the lowest one
// leaves the score of unknown characters as it is.
json Tokenizer::unigram_pieces() const {
  const bool all = needs_added_in_vocab() ||
                   !std::is_sorted(in_model_.begin(), in_model_.end(), std::greater<bool>());
  double lowest = 0;
  for (std::size_t id = 0; id < tokens_.size(); ++id) {
    if (in_model_[id]) lowest = std::min(lowest, scores_[id]);
  }
  json pieces = json::array();
  for (std::size_t id = 0; id < tokens_.size(); ++id) {
    const std::optional<std::string>& token = tokens_[id];
    if (token && in_model_[id]) {
      pieces.push_back({*token, scores_[id]});
    } else if (all) {
      pieces.push_back({token ? *token : unused_name(id), lowest});
    }
  }
  return pieces;
}

json Tokenizer::document() const {
  json document = rest_;
  json& model = document["model"];
  if (kind_ == Kind::unigram) {
    model["vocab"] = unigram_pieces();
  } else {
    model["vocab"] = vocab_object(needs_added_in_vocab());
  }
  if (kind_ == Kind::bpe) {
    const bool lists =
        merges_as_lists_ || std::any_of(merges_.begin(), merges_.end(), [](const Merge& merge) {
          return merge.first.find(' ') != std::string::npos ||
                 merge.second.find(' ') != std::string::npos;
        });
    json merges = json::array();
    for (const Merge& merge : merges_) {
      if (lists) {
        merges.push_back({merge.first, merge.second});
      } else {
        merges.push_back(merge.first + " " + merge.second);
      }
    }
    model["merges"] = std::move(merges);
  }
  json added = json::array();
  for (const auto& [id, token] : added_) added.push_back(token);
  document["added_tokens"] = std::move(added);
  return document;
}

void Tokenizer::write_vocab_text(const fs::path& path) const {
  std::string text;
  for (const auto& token : tokens_) {
    if (!token || token->find_first_of("\r\n") != std::string::npos) {
      throw InputError(
          "{}: vocab.txt cannot hold a number without a token or a token with a line break; save "
          "the tokenizer as tokenizer.json (AutoTokenizer and save_pretrained of transformers)",
          folder_.string());
    }
    text += *token + "\n";
  }
  write_text_file(path, text);
}

void Tokenizer::write_merges(const fs::path& path) const {
  std::string text = merges_heading_.empty() ? "#version: 0.2\n" : merges_heading_ + "\n";
  for (const Merge& merge : merges_) {
    if ((merge.first + merge.second).find_first_of(" \r\n") != std::string::npos) {
      throw InputError("{}: merges.txt cannot hold the merge of '{}' and '{}'", folder_.string(),
                       merge.first, merge.second);
    }
    text += merge.first + " " + merge.second + "\n";
  }
  write_text_file(path, text);
}

void Tokenizer::write_added(const fs::path& path) const {
  json added = json::object();
  for (const auto& [id, settings] : added_) {
    const std::optional<std::string>& token = tokens_[id];
    if (token && !in_model_[id]) added[*token] = id;
  }
  if (!added.empty()) write_json(path, added);
}

void Tokenizer::write(const fs::path& folder) const {
  if (form_ == Form::list) throw Error("a list of tokens is in no files of its own");
  if (!changed_) {
    for (const char* name : vocabulary_files()) {
      if (names_file(folder_ / name)) copy_file(folder_ / name, folder / name, kLargestSideFile);
    }
    return;
  }
  const auto had = [&](const char* name) { return names_file(folder_ / name); };
  if (form_ == Form::tokenizer_json) write_json(folder / "tokenizer.json", document());
  if (had("vocab.json") && kind_ != Kind::unigram) {
    write_json(folder / "vocab.json", vocab_object(form_ != Form::tokenizer_json));
  }
  if (had("merges.txt") && kind_ == Kind::bpe) write_merges(folder / "merges.txt");
  if (had("vocab.txt") && kind_ == Kind::wordpiece) write_vocab_text(folder / "vocab.txt");
  if (had("added_tokens.json") || form_ != Form::tokenizer_json) {
    write_added(folder / "added_tokens.json");
  }
}

std::optional<json> Tokenizer::config() const {
  const fs::path path = folder_ / "tokenizer_config.json";
  if (form_ == Form::list || !names_file(path)) return std::nullopt;
  json config = parse_json(read_text_file(path, kLargestSideFile), path.string());
  if (!config.is_object()) throw InputError("{}: expected a JSON object", path.string());
  if (!changed_ || added_.empty()) return config;
  json& decoder = config["added_tokens_decoder"];
  if (!decoder.is_object()) decoder = json::object();
  for (const auto& [id, token] : added_) {
    json entry = token;
    entry.erase("id");
    decoder[std::to_string(id)] = std::move(entry);
  }
  return config;
}

}  // namespace amalgam
