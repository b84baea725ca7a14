#include "amalgam/checkpoint/tokenizer_files.hpp"

#include <algorithm>
#include <array>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/side_files.hpp"
#include "amalgam/core/file_status.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

constexpr std::array kVocabularyFiles = {"tokenizer.json", "vocab.json", "merges.txt", "vocab.txt",
                                         "added_tokens.json"};
constexpr std::array kOtherVocabularies = {"tokenizer.model", "tokenizer.model.v3", "tekken.json",
                                           "spiece.model", "sentencepiece.bpe.model"};
constexpr std::array kBesideVocabulary = {"special_tokens_map.json", "tokenizer_config.json",
                                          "chat_template.jinja", "chat_template.json"};

bool has_any(const fs::path& folder, std::span<const char* const> names) {
  return std::any_of(names.begin(), names.end(),
                     [&](const char* name) { return names_file(folder / name); });
}

bool same_file(const fs::path& a, const fs::path& b) {
  if (names_file(a) != names_file(b)) return false;
  return !names_file(a) ||
         (fs::file_size(a) == fs::file_size(b) &&
          read_text_file(a, kLargestSideFile) == read_text_file(b, kLargestSideFile));
}

}  // namespace

std::span<const char* const> vocabulary_files() { return kVocabularyFiles; }
std::span<const char* const> other_vocabulary_files() { return kOtherVocabularies; }

bool has_tokenizer(const fs::path& folder) {
  return names_file(folder / "tokenizer.json") || names_file(folder / "vocab.txt") ||
         (names_file(folder / "vocab.json") && names_file(folder / "merges.txt"));
}

bool has_vocabulary_files(const fs::path& folder) {
  return has_any(folder, kVocabularyFiles) || has_any(folder, kOtherVocabularies);
}

bool same_vocabulary_files(const fs::path& a, const fs::path& b) {
  const auto same = [&](const char* name) { return same_file(a / name, b / name); };
  return std::all_of(kVocabularyFiles.begin(), kVocabularyFiles.end(), same) &&
         std::all_of(kOtherVocabularies.begin(), kOtherVocabularies.end(), same);
}

void replace_tokenizer_files(const fs::path& from, const fs::path& to) {
  const auto replace = [&](const char* name) {
    fs::remove(to / name);
    if (names_file(from / name)) copy_file(from / name, to / name, kLargestSideFile);
  };
  std::for_each(kVocabularyFiles.begin(), kVocabularyFiles.end(), replace);
  std::for_each(kOtherVocabularies.begin(), kOtherVocabularies.end(), replace);
  std::for_each(kBesideVocabulary.begin(), kBesideVocabulary.end(), replace);
  fs::remove_all(to / kChatTemplateFolder);
  copy_chat_templates(from, to);
}

}  // namespace amalgam
