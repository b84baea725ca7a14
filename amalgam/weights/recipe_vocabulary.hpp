#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "amalgam/checkpoint/source.hpp"
#include "amalgam/weights/vocabulary.hpp"

namespace amalgam {

/// One model of a recipe as far as its vocabulary goes.
struct VocabularyModel {
  ModelReference model;
  std::shared_ptr<const TensorSource> tensors;
  std::filesystem::path folder;  ///< where its tokenizer would be, see tokenizer_folder()
  /// Of a stage with a vocabulary of its own, instead of what `folder` has.
  std::shared_ptr<const Tokenizer> tokenizer;
};

/// Where the tokenizer of a model on disk is: the folder of its last adapter that has one, else
/// that of the model itself (or its file, if it is one).
std::filesystem::path tokenizer_folder(const ModelReference& model);

/// plan_vocabulary() of a recipe with a `tokenizer_source`, with the tokenizers that its models
/// have: files, or the list of tokens of a GGUF file. A model with none, or with the base's files,
/// has the vocabulary of the base (or first) model. If no tokenizer can be read, all models have
/// the base's and nothing is to change, the plan has no tokenizer: the base's files are to be kept.
///
/// `models`: all of the recipe, the base (or first) one first. InputError as plan_vocabulary's and
/// Tokenizer::read's; for a model without a tokenizer whose embedding has other rows than the
/// base's; for a GGUF file whose vocabulary would have to change, which is not written.
std::shared_ptr<const VocabularyPlan> plan_recipe_vocabulary(
    const Recipe& recipe, const std::vector<VocabularyModel>& models);

/// InputError naming the first token that differs if two of the models are GGUF files with
/// different lists of tokens, which merging by number would mix. For recipes without a
/// `tokenizer_source`. `models` as above.
void check_gguf_vocabularies(const Recipe& recipe, const std::vector<VocabularyModel>& models);

}  // namespace amalgam
