// Reading a tokenizer, and changing it. What is written is in tokenizer_write.cpp.
#include "amalgam/checkpoint/tokenizer.hpp"

#include <array>
#include <set>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/json.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Real tokenizer.json files have up to some 40 MB.
constexpr std::uint64_t kLargestFile = 256'000'000;
constexpr JsonLimits kLimits = {.depth = 64, .values = 16'000'000};
// Sixteen times the largest vocabularies: what a single large number can make us allocate.
constexpr std::uint64_t kLargestId = std::uint64_t{1} << 22;

constexpr std::array kKinds = {Tokenizer::Kind::bpe, Tokenizer::Kind::wordpiece,
                               Tokenizer::Kind::unigram, Tokenizer::Kind::wordlevel};

json read_object(const fs::path& path) {
  json value = parse_json(read_text_file(path, kLargestFile), path.string(), kLimits);
  if (!value.is_object()) throw InputError("{}: expected a JSON object", path.string());
  return value;
}

[[noreturn]] void fail_without_tokenizer(const fs::path& folder) {
  for (const char* name : {"tokenizer.model", "spiece.model", "sentencepiece.bpe.model"}) {
    if (!names_file(folder / name)) continue;
    throw InputError(
        "{}: has its tokenizer only as a SentencePiece model ({}), which is not read; load it with "
        "AutoTokenizer of transformers and call save_pretrained, which writes tokenizer.json",
        folder.string(), name);
  }
  throw InputError(
      "{}: no tokenizer; expected a folder with tokenizer.json, vocab.json and merges.txt, or "
      "vocab.txt (without 'tokenizer' in the recipe none is needed)",
      folder.string());
}

// The lines of a text, without the empty one after the last line break.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// Two tokens with one space between them.
std::optional<Tokenizer::Merge> split_merge(std::string_view text) {
  const std::size_t space = text.find(' ');
  if (space == 0 || space == std::string_view::npos || space + 1 == text.size() ||
      text.find(' ', space + 1) != std::string_view::npos) {
    return std::nullopt;
  }
  return Tokenizer::Merge(text.substr(0, space), text.substr(space + 1));
}

json plain_added_token(const std::string& text, bool special) {
  return {{"content", text}, {"single_word", false},   {"lstrip", false},
          {"rstrip", false}, {"normalized", !special}, {"special", special}};
}

}  // namespace

std::string_view tokenizer_kind_name(Tokenizer::Kind kind) {
  switch (kind) {
    case Tokenizer::Kind::bpe:
      return "BPE";
    case Tokenizer::Kind::wordpiece:
      return "WordPiece";
    case Tokenizer::Kind::unigram:
      return "Unigram";
    case Tokenizer::Kind::wordlevel:
      return "WordLevel";
  }
  return "";
}

Tokenizer Tokenizer::read(const fs::path& folder) {
  Tokenizer tokenizer;
  tokenizer.folder_ = folder;
  if (names_file(folder / "tokenizer.json")) {
    tokenizer.read_json();
  } else if (names_file(folder / "vocab.json") && names_file(folder / "merges.txt")) {
    tokenizer.read_vocab_and_merges();
  } else if (names_file(folder / "vocab.txt")) {
    tokenizer.read_vocab_text();
  } else {
    fail_without_tokenizer(folder);
  }
  return tokenizer;
}

Tokenizer Tokenizer::of_list(std::vector<std::string> tokens, std::string_view label) {
  Tokenizer tokenizer;
  tokenizer.form_ = Form::list;
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    tokenizer.add_read(std::move(tokens[id]), id, label);
    tokenizer.in_model_[id] = true;
  }
  return tokenizer;
}

std::optional<std::size_t> Tokenizer::find(std::string_view token) const {
  const auto found = ids_.find(std::string(token));
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::size_t> Tokenizer::find_in_model(std::string_view token) const {
  const std::optional<std::size_t> id = find(token);
  return id && in_model_[*id] ? id : std::nullopt;
}

const json* Tokenizer::added(std::size_t id) const {
  const auto found = added_.find(id);
  return found == added_.end() ? nullptr : &found->second;
}

void Tokenizer::add_read(std::string token, std::uint64_t id, std::string_view where) {
  if (id > kLargestId) {
    throw InputError("{}: token '{}' has the number {}; expected at most {}", where, token, id,
                     kLargestId);
  }
  if (id >= tokens_.size()) {
    tokens_.resize(id + 1);
    in_model_.resize(id + 1);
    scores_.resize(id + 1);
  }
  if (tokens_[id]) {
    throw InputError("{}: the tokens '{}' and '{}' both have the number {}", where, *tokens_[id],
                     token, id);
  }
  if (!ids_.emplace(token, id).second) {
    throw InputError("{}: the token '{}' is there twice", where, token);
  }
  tokens_[id] = std::move(token);
}

void Tokenizer::read_vocab(const json& vocab, std::string_view where) {
  if (!vocab.is_object()) throw InputError("{}: expected tokens and their numbers", where);
  for (const auto& [token, id] : vocab.items()) {
    if (!id.is_number_unsigned()) {
      throw InputError("{}: token '{}' has a JSON {} as number", where, token, id.type_name());
    }
    add_read(token, id.get<std::uint64_t>(), where);
    in_model_[id.get<std::uint64_t>()] = true;
  }
}

void Tokenizer::read_unigram(const json& model, std::string_view where) {
  const auto vocab = model.find("vocab");
  if (vocab == model.end() || !vocab->is_array()) {
    throw InputError("{}: a Unigram model without a list 'vocab'", where);
  }
  for (const json& piece : *vocab) {
    if (!piece.is_array() || piece.size() != 2 || !piece[0].is_string() || !piece[1].is_number()) {
      throw InputError("{}: entry {} of 'vocab' is not a token with its score", where,
                       tokens_.size());
    }
    add_read(piece[0].get<std::string>(), tokens_.size(), where);
    in_model_.back() = true;
    scores_.back() = piece[1].get<double>();
  }
}

void Tokenizer::read_merges(const json& merges, std::string_view where) {
  if (!merges.is_array()) throw InputError("{}: a BPE model without a list 'merges'", where);
  for (const json& merge : merges) {
    std::optional<Merge> pair;
    if (merge.is_string()) {
      pair = split_merge(merge.get_ref<const std::string&>());
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      pair = Merge(merge[0].get<std::string>(), merge[1].get<std::string>());
      merges_as_lists_ = true;
    }
    if (!pair) {
      throw InputError("{}: merge {} is not two tokens", where, merges_.size());
    }
    merges_.push_back(std::move(*pair));
  }
}

std::string Tokenizer::joined(const Merge& merge) const {
  std::string_view second = merge.second;
  if (!prefix_.empty() && second.starts_with(prefix_)) second.remove_prefix(prefix_.size());
  return merge.first + std::string(second);
}

void Tokenizer::check_merges(std::string_view where) const {
  for (const Merge& merge : merges_) {
    for (const std::string& token : {merge.first, merge.second, joined(merge)}) {
      if (ids_.contains(token)) continue;
      throw InputError("{}: the merge of '{}' and '{}' needs the token '{}', which does not exist",
                       where, merge.first, merge.second, token);
    }
  }
}

void Tokenizer::add_added(const json& added, std::string_view where) {
  const auto content = added.is_object() ? added.find("content") : added.end();
  if (content == added.end() || !content->is_string()) {
    throw InputError("{}: an added token without 'content'", where);
  }
  const auto& text = content->get_ref<const std::string&>();
  std::optional<std::size_t> id = find(text);
  if (!id) {
    const auto number = added.find("id");
    if (number == added.end() || !number->is_number_unsigned()) {
      throw InputError("{}: the added token '{}' has no number ('id')", where, text);
    }
    add_read(text, number->get<std::uint64_t>(), where);
    id = number->get<std::uint64_t>();
  }
  json kept = added;
  kept["id"] = *id;
  added_[*id] = std::move(kept);
}

void Tokenizer::read_json() {
  const fs::path path = folder_ / "tokenizer.json";
  const std::string where = path.string();
  rest_ = read_object(path);
  const auto model = rest_.find("model");
  if (model == rest_.end() || !model->is_object()) {
    throw InputError("{}: no object 'model'", where);
  }
  const std::string type = model->contains("type") && (*model)["type"].is_string()
                               ? (*model)["type"].get<std::string>()
                               : std::string(model->contains("merges") ? "BPE" : "");
  const auto kind = std::find_if(kKinds.begin(), kKinds.end(), [&](Kind candidate) {
    return tokenizer_kind_name(candidate) == type;
  });
  if (kind == kKinds.end()) {
    throw InputError(
        "{}: a tokenizer of type '{}' is not known; expected BPE, WordPiece, Unigram or WordLevel",
        where, type);
  }
  kind_ = *kind;
  const auto prefix = model->find("continuing_subword_prefix");
  if (prefix != model->end() && prefix->is_string()) prefix_ = prefix->get<std::string>();
  if (kind_ == Kind::unigram) {
    read_unigram(*model, where);
  } else {
    read_vocab(model->value("vocab", json()), where);
  }
  if (kind_ == Kind::bpe) read_merges(model->value("merges", json()), where);
  check_merges(where);
  if (const auto added = rest_.find("added_tokens"); added != rest_.end() && !added->is_null()) {
    if (!added->is_array()) throw InputError("{}: 'added_tokens' is not a list", where);
    for (const json& token : *added) add_added(token, where);
  }
  model->erase("vocab");
  model->erase("merges");
  rest_.erase("added_tokens");
}

void Tokenizer::read_vocab_and_merges() {
  form_ = Form::vocab_and_merges;
  const fs::path vocab = folder_ / "vocab.json";
  read_vocab(read_object(vocab), vocab.string());
  const fs::path path = folder_ / "merges.txt";
  const std::string text = read_text_file(path, kLargestFile);
  std::size_t number = 0;
  for (const std::string_view line : lines_of(text)) {
    ++number;
    if (number == 1 && line.starts_with("#version")) {
      merges_heading_ = line;
      continue;
    }
    if (line.empty()) continue;
    const auto merge = split_merge(line);
    if (!merge) {
      throw InputError("{}:{}: '{}' is not two tokens with a space between them", path.string(),
                       number, line);
    }
    merges_.push_back(*merge);
  }
  check_merges(path.string());
  read_added_files();
}

void Tokenizer::read_vocab_text() {
  form_ = Form::vocab_text;
  kind_ = Kind::wordpiece;
  const fs::path path = folder_ / "vocab.txt";
  const std::string text = read_text_file(path, kLargestFile);
  for (const std::string_view line : lines_of(text)) {
    add_read(std::string(line), tokens_.size(), path.string());
    in_model_.back() = true;
  }
  read_added_files();
}

// Tokens beside vocab.json or vocab.txt.
void Tokenizer::read_added_files() {
  if (const fs::path path = folder_ / "tokenizer_config.json"; names_file(path)) {
    const json config = read_object(path);
    const json decoder = config.value("added_tokens_decoder", json::object());
    for (const auto& [id, token] : decoder.items()) {
      json numbered = token;
      if (!token.is_object() || id.empty() || id.size() > 8 ||
          id.find_first_not_of("0123456789") != std::string::npos) {
        throw InputError("{}: 'added_tokens_decoder' has the entry '{}', which is no token",
                         path.string(), id);
      }
      numbered["id"] = static_cast<std::uint64_t>(std::stoul(id));
      add_added(numbered, path.string());
    }
  }
  const fs::path path = folder_ / "added_tokens.json";
  if (!names_file(path)) return;
  const json tokens = read_object(path);
  for (const auto& [text, id] : tokens.items()) {
    if (const auto known = find(text); known && added_.contains(*known)) continue;
    json token = plain_added_token(text, false);
    token["id"] = id;
    add_added(token, path.string());
  }
}

std::size_t Tokenizer::append(std::string token, const json* added, double score) {
  const std::size_t id = tokens_.size();
  if (!ids_.emplace(token, id).second) throw Error("the token '{}' exists", token);
  if (added != nullptr) {
    json kept = *added;
    kept["id"] = id;
    kept["content"] = token;
    added_[id] = std::move(kept);
  }
  tokens_.emplace_back(std::move(token));
  in_model_.push_back(added == nullptr);
  scores_.push_back(score);
  changed_ = true;
  return id;
}

void Tokenizer::append_merges(const std::vector<Merge>& merges) {
  std::set<Merge> known(merges_.begin(), merges_.end());
  for (const Merge& merge : merges) {
    if (!known.insert(merge).second) continue;
    if (!find(merge.first) || !find(merge.second) || !find(joined(merge))) {
      throw Error("merge of '{}' and '{}': not all are tokens", merge.first, merge.second);
    }
    merges_.push_back(merge);
    changed_ = true;
  }
}

}  // namespace amalgam
