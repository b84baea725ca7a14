#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/core/parameters.hpp"

namespace amalgam {

/// Where in the recipe something was written; 0 if it was not read from a text. No part of the
/// meaning: all lines compare equal.
struct RecipeLine {
  int number = 0;
  friend bool operator==(RecipeLine, RecipeLine) { return true; }
};

/// What a recipe calls a model: a path (or the name of an earlier stage), and a LoRA adapter.
struct ModelReference {
  std::string path;
  std::string adapter;  ///< empty: none

  bool operator==(const ModelReference&) const = default;
  bool operator<(const ModelReference& other) const {
    return path != other.path ? path < other.path : adapter < other.adapter;
  }
  /// As written in recipes: "path" or "path+adapter".
  std::string text() const;
};

/// Reads "path" or "path+adapter". InputError naming `where` if it is empty or asks for a revision
/// of a hub ("name@revision"): models are local files.
ModelReference parse_model_reference(std::string_view text, std::string_view where);

/// The value of a parameter as a recipe writes it: entries that are tried in order. A plain scalar
/// is one entry without filter and with one value.
struct ParameterSetting {
  struct Entry {
    /// A substring of tensor names; with * (any text) or ? (any character) in it, a pattern of the
    /// whole name. Empty matches all.
    std::string filter;
    /// One value, or a gradient over the layers. Never empty.
    std::vector<ParameterValue> values;
    /// Not empty: the values are one for each block of a diffusion model, or one more, the first,
    /// for what is outside the blocks. Names one of block_layouts() (weights/block_weights.hpp).
    std::string blocks{};
    bool operator==(const Entry&) const = default;
  };
  std::vector<Entry> entries;
  RecipeLine line;

  bool operator==(const ParameterSetting&) const = default;

  static ParameterSetting scalar(ParameterValue value) { return {{{{}, {std::move(value)}}}, {}}; }
  static ParameterSetting gradient(std::vector<ParameterValue> values) {
    return {{{{}, std::move(values)}}, {}};
  }

  /// The value for tensor `name` at layer position `t` in [0, 1]: that of the first entry whose
  /// filter matches and whose blocks, if it has such, have one for the tensor; nothing if none
  /// does. A gradient v of n numbers gives, with s = t (n - 1) and i = floor(s), (1 - (s - i)) v[i]
  /// + (s - i) v[min(i + 1, n - 1)]; of other values v[floor(t (n - 1))].
  std::optional<ParameterValue> evaluate(std::string_view name, double t) const;
};

using ParameterSettings = std::map<std::string, ParameterSetting, std::less<>>;

/// One model among those that are merged.
struct RecipeSource {
  /// Layers [first, last) of the model.
  struct Layers {
    std::size_t first = 0;
    std::size_t last = 0;
    bool operator==(const Layers&) const = default;
    std::size_t count() const { return last - first; }
  };
  ModelReference model;
  std::optional<Layers> layers;  ///< of slices; whole models have none
  ParameterSettings parameters;
  RecipeLine line;
  bool operator==(const RecipeSource&) const = default;

  /// `layers`, or [0, 0) for a whole model.
  Layers range() const { return layers.value_or(Layers{}); }
};

/// A run of output layers, made from equally many layers of every source.
struct RecipeSlice {
  std::vector<RecipeSource> sources;
  std::optional<ModelReference> base_model;  ///< instead of the document's
  ParameterSettings parameters;
  RecipeLine line;
  bool operator==(const RecipeSlice&) const = default;
};

/// A sub-network with a recipe of its own; exactly one of `models` and `slices` is given.
struct RecipeModule {
  std::string name;  ///< the prefix of its tensors' names (see planner.hpp)
  std::vector<RecipeSource> models;
  std::vector<RecipeSlice> slices;
  ParameterSettings parameters;
  RecipeLine line;
  bool operator==(const RecipeModule&) const = default;
};

/// Examples that a method looks at, or that a result is evaluated on. What a recipe leaves out
/// comes from the level above (a task's from its `data`), else from the defaults of the command.
struct RecipeData {
  std::string name;   ///< what reports call it; empty: what it consists of
  std::string split;  ///< empty, "train", "validation", "test" or "all"
  /// The keys of `data` in training recipes (docs/training.md), as they are written: an object. The
  /// learning library checks their values.
  nlohmann::ordered_json keys = nlohmann::ordered_json::object();
  RecipeLine line;
  bool operator==(const RecipeData&) const = default;

  /// Whether nothing is said.
  bool empty() const { return name.empty() && split.empty() && keys.empty(); }
};

/// A parameter that is chosen by data among values: as text, see parse_search_axis in
/// weights/search_grid.hpp.
struct RecipeSearch {
  std::string parameter;
  std::string values;
  RecipeLine line;
  bool operator==(const RecipeSearch&) const = default;
};

/// A part of a diffusion checkpoint that is not merged: taken from one model as it is, or left out.
struct RecipePart {
  std::string name;  ///< as diffusion_parts.hpp calls it, or "text_encoders" for all of those
  std::optional<ModelReference> model;  ///< nothing: the part is left out
  RecipeLine line;
  bool operator==(const RecipePart&) const = default;
};

/// A token of the output whose row in embedding and head a recipe speaks of.
struct RecipeToken {
  /// What members without the token get as its row (all members with `force`).
  enum class Source { unsaid, model, model_token, model_row, zero };

  std::string token;
  Source source = Source::unsaid;
  ModelReference model;     ///< unless unsaid or zero
  std::string model_token;  ///< model_token: another token of that model
  std::uint64_t row = 0;    ///< model_row: its number
  bool force = false;
  RecipeLine line;
  bool operator==(const RecipeToken&) const = default;
};

/// One document of a recipe in the mergekit dialect (docs/formats/recipes.md). Exactly one of
/// `models`, `slices` and `modules` is given.
struct Recipe {
  std::string label;  ///< what errors call the recipe, usually its path; no part of the meaning
  std::string name;   ///< of a stage; empty if there is only one document without a name
  std::string merge_method;
  std::optional<ModelReference> base_model;
  std::vector<RecipeSource> models;
  std::vector<RecipeSlice> slices;
  std::vector<RecipeModule> modules;
  std::vector<RecipePart> parts;  ///< only with `models`
  ParameterSettings parameters;
  std::optional<RecipeData> data;    ///< what the method looks at
  std::vector<RecipeData> tasks;     ///< of `data`; empty: `data` is the only one
  std::vector<RecipeSearch> search;  ///< parameters that are chosen by `data`
  std::string search_by;             ///< empty, "accuracy" or "nll"
  std::vector<RecipeData> evaluate;  ///< what the result is evaluated on
  std::string dtype;                 ///< empty or a name that parse_dtype knows
  std::string out_dtype;             ///< likewise; it wins over `dtype`
  std::string tokenizer_source;      ///< empty, "base", "union", or a model as written
  std::vector<RecipeToken> tokens;   ///< only with a `tokenizer_source`
  std::uint64_t pad_vocabulary = 0;  ///< rows of the vocabulary are a multiple of it; 0: any number
  std::string chat_template;         ///< empty, "auto", a built-in name, or the Jinja text
  RecipeLine line;

  bool operator==(const Recipe& other) const;

  /// Whether carrying it out takes more than its rule: data, a search or an evaluation.
  bool looks_at_data() const { return data || !search.empty() || !evaluate.empty(); }

  /// The base (or first) model: whose config, tokenizer and types the output has unless said
  /// otherwise.
  const ModelReference& reference() const;
  /// All models, each once, in order of appearance, the document's base first.
  std::vector<ModelReference> all_models() const;
};

/// Parses the documents of a recipe. With several, each has a name and may use the names of earlier
/// ones as models; the last one is the result. InputError "label:line: ..." for anything malformed,
/// unknown, contradictory or not available; see docs/formats/recipes.md.
std::vector<Recipe> parse_recipe(std::string_view yaml, std::string_view label);

/// Checks what holds between the documents of a recipe: names are given and unique, and refer to
/// earlier documents only. Called by parse_recipe. InputError.
void check_stages(const std::vector<Recipe>& documents);

/// The recipe as YAML in canonical form; parse_recipe gives an equal recipe back.
std::string format_recipe(const Recipe& recipe);
/// All documents, separated by `---`.
std::string format_recipes(const std::vector<Recipe>& documents);

}  // namespace amalgam
