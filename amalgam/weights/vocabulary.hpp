#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "amalgam/checkpoint/row_map_source.hpp"
#include "amalgam/checkpoint/tokenizer.hpp"
#include "amalgam/weights/recipe.hpp"

namespace amalgam {

/// A model's vocabulary as merging sees it.
struct ModelVocabulary {
  ModelReference model;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::uint64_t rows = 0;  ///< of its token embeddings and heads (the fewest)
};

/// The vocabulary that an output has, and where every model's rows for it come from.
struct VocabularyPlan {
  std::vector<ModelReference> models;  ///< which RowMap::Origin::input counts
  std::vector<std::uint64_t> model_rows;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::uint64_t rows = 0;  ///< of the output's embedding: tokens, and padding after them
  /// By model; empty if all models have the output's tokens and equally many rows, so that nothing
  /// is rewritten.
  std::map<ModelReference, std::shared_ptr<const RowMap>> maps;

  bool rewrites() const { return !maps.empty(); }
};

/// Whether a tensor may have one row per token, by its name and shape: token embeddings and heads,
/// and biases of heads (of which those with vocabulary_rows numbers do).
bool is_vocabulary_tensor(const TensorInfo& info);

/// The rows of the model's token embeddings and heads (the fewest); nothing if it has none.
std::optional<std::uint64_t> find_vocabulary_rows(const TensorSource& model);
/// The same. InputError if it has none.
std::uint64_t vocabulary_rows(const TensorSource& model);

/// Decides the output's vocabulary and rows for a recipe with a `tokenizer_source`: `base` (or a
/// model): that model's tokens; `union`: those of the first of `models`, then unseen ones of each
/// further model by its numbers. Tokens named in `tokens` that are not among them are added after
/// them. A model's row for a token is its own where it has the token; else the base's; else the
/// only owner's; else the mean over the owners; `tokens` say otherwise for single tokens. Numbers
/// that no token of the output has are rows of the model that gave the tokens.
///
/// `models`: all of the recipe, the base (or first) one first. InputError for tokenizers of
/// different kinds in a union, and for a token that no model has a row for.
VocabularyPlan plan_vocabulary(const Recipe& recipe, const std::vector<ModelVocabulary>& models);

}  // namespace amalgam
