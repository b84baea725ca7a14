#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace amalgam {

/// A model's tokenizer as its folder has it: which token has which number, how tokens are joined,
/// and everything else as JSON that is passed on. Read from `tokenizer.json` (BPE, WordPiece,
/// Unigram or WordLevel), or from `vocab.json` with `merges.txt` (BPE) or `vocab.txt` (WordPiece)
/// where there is no such file.
class Tokenizer {
 public:
  enum class Kind { bpe, wordpiece, unigram, wordlevel };
  /// The files that say which tokens there are; a list is in none of them.
  enum class Form { tokenizer_json, vocab_and_merges, vocab_text, list };
  using Merge = std::pair<std::string, std::string>;

  /// Reads the tokenizer of the model at `folder`. InputError naming the file and what is wrong if
  /// there is none, if it is a SentencePiece model alone, if two tokens have one number, if a
  /// number is above 2^22, or if a merge joins tokens that do not exist.
  static Tokenizer read(const std::filesystem::path& folder);
  /// The tokens by number alone, as a GGUF file has them: to compare and to find, not to be changed
  /// and written. InputError naming `label` if two are equal or they are more than 2^22.
  static Tokenizer of_list(std::vector<std::string> tokens, std::string_view label);

  Kind kind() const { return kind_; }
  Form form() const { return form_; }
  /// Where it was read from.
  const std::filesystem::path& folder() const { return folder_; }

  /// One more than the largest number of a token.
  std::size_t size() const { return tokens_.size(); }
  /// The token of a number below size(); nothing for a number that no token has.
  const std::optional<std::string>& token(std::size_t id) const { return tokens_[id]; }
  std::optional<std::size_t> find(std::string_view token) const;
  /// Whether the model proper has the token of a number below size(), and not only the added ones.
  bool in_model(std::size_t id) const { return in_model_[id]; }
  /// As find(), among the tokens of the model proper.
  std::optional<std::size_t> find_in_model(std::string_view token) const;

  /// How an added token is written in `tokenizer.json` (content, special, lstrip, ...); null for a
  /// token of the model proper.
  const nlohmann::json* added(std::size_t id) const;
  /// Unigram: the logarithm of the probability of a token.
  double score(std::size_t id) const { return scores_[id]; }
  /// BPE: pairs of tokens that are joined, the first one first.
  const std::vector<Merge>& merges() const { return merges_; }

  /// tokenizer.json without vocabulary, merges and added tokens: how text is cut into tokens. Null
  /// where there is no such file.
  const nlohmann::json& settings() const { return rest_; }

  /// Whether it has had appended anything since it was read.
  bool changed() const { return changed_; }
  /// Whether tokens and their numbers are those of `other`.
  bool same_tokens(const Tokenizer& other) const { return tokens_ == other.tokens_; }

  /// Gives the next number to a new token; `added` as added() has it, or null for a token of the
  /// model proper. Error if the token exists.
  std::size_t append(std::string token, const nlohmann::json* added, double score = 0);
  /// Appends those of `merges` that are new. Their parts and results must be tokens (Error).
  void append_merges(const std::vector<Merge>& merges);

  /// Writes the files of its form into `folder`, with those that repeat them where the folder it
  /// was read from has such (vocab.json, merges.txt, vocab.txt, added_tokens.json). Numbers are the
  /// same when Hugging Face `tokenizers` loads them. Without a change since reading the files are
  /// copied as they are. InputError if the form cannot hold the tokens; Error for a list.
  void write(const std::filesystem::path& folder) const;
  /// `tokenizer_config.json` of the folder it was read from with the added tokens brought up to
  /// date; nothing if there is none.
  std::optional<nlohmann::json> config() const;

 private:
  Tokenizer() = default;
  void read_json();
  void read_vocab_and_merges();
  void read_vocab_text();
  void read_vocab(const nlohmann::json& vocab, std::string_view where);
  void read_unigram(const nlohmann::json& model, std::string_view where);
  void read_merges(const nlohmann::json& merges, std::string_view where);
  void read_added_files();
  void add_read(std::string token, std::uint64_t id, std::string_view where);
  void add_added(const nlohmann::json& added, std::string_view where);
  void check_merges(std::string_view where) const;
  std::string joined(const Merge& merge) const;

  nlohmann::json document() const;
  nlohmann::json vocab_object(bool with_added) const;
  bool needs_added_in_vocab() const;
  std::string unused_name(std::size_t id) const;
  nlohmann::json unigram_pieces() const;
  void write_vocab_text(const std::filesystem::path& path) const;
  void write_merges(const std::filesystem::path& path) const;
  void write_added(const std::filesystem::path& path) const;

  Kind kind_ = Kind::bpe;
  Form form_ = Form::tokenizer_json;
  std::filesystem::path folder_;
  bool changed_ = false;
  bool merges_as_lists_ = false;
  std::string prefix_;          // of WordPiece and some BPE: how continuing tokens begin
  nlohmann::json rest_;         // tokenizer.json without vocabulary, merges and added tokens
  std::string merges_heading_;  // the first line of merges.txt, "#version: 0.2"
  std::vector<std::optional<std::string>> tokens_;
  std::unordered_map<std::string, std::size_t> ids_;
  std::vector<bool> in_model_;  // whether the model proper has the token, by id
  std::vector<double> scores_;
  std::map<std::size_t, nlohmann::json> added_;
  std::vector<Merge> merges_;
};

/// "BPE", "WordPiece", "Unigram" or "WordLevel", as in `tokenizer.json`.
std::string_view tokenizer_kind_name(Tokenizer::Kind kind);

}  // namespace amalgam
