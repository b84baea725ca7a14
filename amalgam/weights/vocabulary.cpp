#include "amalgam/weights/vocabulary.hpp"

#include <algorithm>
#include <set>

#include "amalgam/core/error.hpp"
#include "amalgam/weights/layers.hpp"
#include "amalgam/weights/plan_cast.hpp"

namespace amalgam {
namespace {

using nlohmann::json;

class VocabularyPlanner {
 public:
  VocabularyPlanner(const Recipe& recipe, const std::vector<ModelVocabulary>& models)
      : recipe_(recipe), models_(models), donor_(find_donor()), output_(tokenizer(donor_)) {}

  VocabularyPlan run() {
    if (recipe_.tokenizer_source == "union") unite();
    add_named();
    VocabularyPlan plan;
    for (const ModelVocabulary& model : models_) {
      plan.models.push_back(model.model);
      plan.model_rows.push_back(model.rows);
    }
    plan.rows = output_.size();
    if (const std::uint64_t unit = recipe_.pad_vocabulary; unit != 0) {
      plan.rows = (plan.rows + unit - 1) / unit * unit;
    }
    if (nothing_changes()) {
      plan.rows = models_.front().rows;
    } else {
      for (const RecipeToken& token : recipe_.tokens) named_[*output_.find(token.token)] = &token;
      for (std::size_t m = 0; m < models_.size(); ++m) plan.maps[models_[m].model] = make_map(m);
    }
    plan.tokenizer = std::make_shared<const Tokenizer>(std::move(output_));
    return plan;
  }

 private:
  const Tokenizer& tokenizer(std::size_t model) const { return *models_[model].tokenizer; }

  std::size_t number_of(const ModelReference& model) const {
    const auto found = std::find_if(models_.begin(), models_.end(),
                                    [&](const auto& known) { return known.model == model; });
    if (found == models_.end()) throw Error("'{}' is none of the models", model.text());
    return static_cast<std::size_t>(found - models_.begin());
  }

  // The model whose tokens come first.
  std::size_t find_donor() const {
    const std::string& source = recipe_.tokenizer_source;
    if (source == "base" || source == "union") return 0;
    return number_of(parse_model_reference(source, recipe_.label));
  }

  void unite() {
    for (std::size_t m = 1; m < models_.size(); ++m) {
      const Tokenizer& other = tokenizer(m);
      if (other.same_tokens(tokenizer(0))) continue;
      if (other.kind() != output_.kind()) {
        throw InputError(
            "{}: its tokenizer is of type {}, but that of {} is {}; only tokenizers of one type "
            "can be united (tokenizer_source: base keeps the first)",
            models_[m].model.text(), tokenizer_kind_name(other.kind()), models_[0].model.text(),
            tokenizer_kind_name(output_.kind()));
      }
      for (std::size_t id = 0; id < other.size(); ++id) {
        if (!other.token(id) || output_.find(*other.token(id))) continue;
        output_.append(*other.token(id), other.added(id), other.score(id));
      }
      output_.append_merges(other.merges());
    }
  }

  // Tokens that a recipe names and that are not there yet.
  void add_named() {
    for (const RecipeToken& token : recipe_.tokens) {
      if (output_.find(token.token)) continue;
      json added = {{"content", token.token}, {"single_word", false}, {"lstrip", false},
                    {"rstrip", false},        {"normalized", false},  {"special", false}};
      for (const ModelVocabulary& model : models_) {
        const auto id = model.tokenizer->find(token.token);
        if (!id || model.tokenizer->added(*id) == nullptr) continue;
        added = *model.tokenizer->added(*id);
        break;
      }
      output_.append(token.token, &added);
    }
  }

  bool nothing_changes() const {
    return recipe_.tokens.empty() && recipe_.pad_vocabulary == 0 &&
           std::all_of(models_.begin(), models_.end(), [&](const ModelVocabulary& model) {
             return model.rows == models_.front().rows && model.tokenizer->same_tokens(output_);
           });
  }

  // A model's row for a token, if it has both.
  std::optional<RowMap::Origin> row_of(std::size_t model, const std::string& token) const {
    const auto id = tokenizer(model).find(token);
    if (!id || *id >= models_[model].rows) return std::nullopt;
    return RowMap::Origin{static_cast<std::uint32_t>(model), static_cast<std::uint32_t>(*id)};
  }

  using Origins = std::vector<RowMap::Origin>;

  // What those without a row of their own have.
  Origins fallback(const std::string& token) const {
    if (const auto base = row_of(0, token); base && recipe_.base_model) return {*base};
    Origins owners;
    for (std::size_t m = 0; m < models_.size(); ++m) {
      if (const auto row = row_of(m, token)) owners.push_back(*row);
    }
    if (owners.empty()) {
      throw InputError(
          "{}: no model has a row for the token '{}' in its embedding; give it a source in "
          "'tokenizer.tokens', for example {{kind: zero}}",
          recipe_.label, token);
    }
    return owners;
  }

  Origins named_source(const RecipeToken& named) const {
    if (named.source == RecipeToken::Source::zero) return {};
    const std::size_t model = number_of(named.model);
    const std::string place = recipe_place(recipe_, named.line);
    if (named.source == RecipeToken::Source::model_row) {
      if (named.row >= models_[model].rows) {
        throw InputError("{}: token '{}' is to have row {} of '{}', whose embedding has {} rows",
                         place, named.token, named.row, named.model.text(), models_[model].rows);
      }
      return {{static_cast<std::uint32_t>(model), static_cast<std::uint32_t>(named.row)}};
    }
    const bool same = named.source == RecipeToken::Source::model;
    const std::string& wanted = same ? named.token : named.model_token;
    const auto row = row_of(model, wanted);
    if (!row) {
      throw InputError("{}: token '{}' is to have the row of '{}' in '{}', which has no such token",
                       place, named.token, wanted, named.model.text());
    }
    return {*row};
  }

  // Rows of numbers that no token has.
  Origins unused_row(std::size_t model, std::size_t id) const {
    const bool is_own = tokenizer(model).size() > id && !tokenizer(model).token(id) &&
                        tokenizer(model).same_tokens(tokenizer(donor_));
    const std::size_t from = is_own && id < models_[model].rows ? model : donor_;
    if (id >= models_[from].rows) return {};
    return {{static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(id)}};
  }

  std::shared_ptr<const RowMap> make_map(std::size_t model) const {
    auto map = std::make_shared<RowMap>();
    for (std::size_t id = 0; id < output_.size(); ++id) {
      if (!output_.token(id)) {
        map->push_row(unused_row(model, id));
        continue;
      }
      const std::string& token = *output_.token(id);
      const auto named = named_.find(id);
      const RecipeToken* said =
          named != named_.end() && named->second->source != RecipeToken::Source::unsaid
              ? named->second
              : nullptr;
      const auto own = row_of(model, token);
      if (own && (said == nullptr || !said->force)) {
        map->push_row(Origins{*own});
      } else {
        map->push_row(said != nullptr ? named_source(*said) : fallback(token));
      }
    }
    return map;
  }

  const Recipe& recipe_;
  const std::vector<ModelVocabulary>& models_;
  const std::size_t donor_;
  Tokenizer output_;
  std::map<std::size_t, const RecipeToken*> named_;  // by number
};

}  // namespace

bool is_vocabulary_tensor(const TensorInfo& info) {
  const auto has = [&](std::string_view word) { return info.name.find(word) != std::string::npos; };
  if (!dtype_is_floating(info.dtype) || has("position") || has("_type_")) return false;
  if (info.shape.size() == 2) return is_vocabulary_name(info.name);
  return info.shape.size() == 1 && info.name.ends_with("bias") &&
         (is_head_name(info.name) || has("predictions"));
}

std::optional<std::uint64_t> find_vocabulary_rows(const TensorSource& model) {
  std::optional<std::uint64_t> rows;
  for (const TensorInfo& info : model.tensors()) {
    if (info.shape.size() != 2 || !is_vocabulary_tensor(info)) continue;
    rows = std::min(rows.value_or(info.shape[0]), info.shape[0]);
  }
  return rows;
}

std::uint64_t vocabulary_rows(const TensorSource& model) {
  const std::optional<std::uint64_t> rows = find_vocabulary_rows(model);
  if (!rows) {
    throw InputError(
        "{}: no token embedding (a matrix called like 'model.embed_tokens.weight'), which "
        "'tokenizer' in a recipe needs",
        model.label());
  }
  return *rows;
}

VocabularyPlan plan_vocabulary(const Recipe& recipe, const std::vector<ModelVocabulary>& models) {
  if (models.empty()) throw Error("{}: a vocabulary of no models", recipe.label);
  return VocabularyPlanner(recipe, models).run();
}

}  // namespace amalgam
