#pragma once

#include <filesystem>
#include <span>

namespace amalgam {

/// Names of the files that say which tokens a model has, in the formats that Tokenizer reads.
std::span<const char* const> vocabulary_files();
/// The same in formats that are not read (SentencePiece and others).
std::span<const char* const> other_vocabulary_files();

/// Whether `folder` has a tokenizer that Tokenizer::read reads.
bool has_tokenizer(const std::filesystem::path& folder);
/// Whether `folder` has any file that says which tokens there are.
bool has_vocabulary_files(const std::filesystem::path& folder);
/// Whether two folders have the same vocabulary files, byte for byte. Error if they cannot be read.
bool same_vocabulary_files(const std::filesystem::path& a, const std::filesystem::path& b);

/// Makes the tokenizer of the folder `to` that of the folder `from`: vocabulary files, special
/// tokens, tokenizer config and chat templates are those that `from` has, and no others. Errors as
/// copy_file's.
void replace_tokenizer_files(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace amalgam
