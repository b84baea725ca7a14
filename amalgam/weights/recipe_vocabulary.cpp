// Which vocabularies the models of a recipe have. What is made of them is in vocabulary.cpp.
#include "amalgam/weights/recipe_vocabulary.hpp"

#include <algorithm>

#include "amalgam/checkpoint/adapter.hpp"
#include "amalgam/checkpoint/gguf.hpp"
#include "amalgam/checkpoint/tokenizer_files.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

constexpr const char* kGgufTokens = "tokenizer.ggml.tokens";

// The list of tokens of a GGUF file; null if the model is none, or has none.
const GgufValue* gguf_tokens(const VocabularyModel& model) {
  const GgufMetadata* metadata = find_gguf_metadata(*model.tensors);
  return metadata == nullptr ? nullptr : metadata->find(kGgufTokens);
}

std::vector<std::string> token_list(const GgufValue& tokens, const std::string& label) {
  std::optional<std::vector<std::string>> list = tokens.as_strings();
  if (!list) {
    throw InputError("{}: '{}' is {}; expected a list of strings", label, kGgufTokens,
                     tokens.describe());
  }
  return std::move(*list);
}

class VocabularyReader {
 public:
  VocabularyReader(const Recipe& recipe, const std::vector<VocabularyModel>& models)
      : recipe_(recipe), models_(models), base_(models.front()), base_tokenizer_(read(base_)) {}

  std::shared_ptr<const VocabularyPlan> run() {
    const std::uint64_t base_rows = vocabulary_rows(*base_.tensors);
    std::vector<ModelVocabulary> known;
    for (const VocabularyModel& model : models_) {
      std::shared_ptr<const Tokenizer> own = &model == &base_ ? base_tokenizer_ : read(model);
      const std::uint64_t rows = vocabulary_rows(*model.tensors);
      if (own == nullptr && &model != &base_) check_has_that_of_base(model, rows, base_rows);
      known.push_back({model.model, own != nullptr ? own : base_tokenizer_, rows});
    }
    if (base_tokenizer_ == nullptr) return keep_files(known);
    auto plan = std::make_shared<const VocabularyPlan>(plan_vocabulary(recipe_, known));
    check_can_be_written(*plan);
    return plan;
  }

 private:
  // Null for a model that has no tokenizer that can be read, or that of the base.
  std::shared_ptr<const Tokenizer> read(const VocabularyModel& model) const {
    if (model.tokenizer != nullptr) return model.tokenizer;
    if (const GgufValue* tokens = gguf_tokens(model)) {
      const std::string label = model.model.text();
      return std::make_shared<const Tokenizer>(
          Tokenizer::of_list(token_list(*tokens, label), label));
    }
    const bool is_base = &model == &base_;
    if (is_base ? !has_tokenizer(model.folder)
                : !has_vocabulary_files(model.folder) || has_files_of_base(model)) {
      return nullptr;
    }
    return std::make_shared<const Tokenizer>(Tokenizer::read(model.folder));
  }

  bool has_files_of_base(const VocabularyModel& model) const {
    return base_.tokenizer == nullptr && gguf_tokens(base_) == nullptr &&
           same_vocabulary_files(model.folder, base_.folder);
  }

  void check_has_that_of_base(const VocabularyModel& model, std::uint64_t rows,
                              std::uint64_t base_rows) const {
    if (rows != base_rows) {
      throw InputError(
          "{}: it has no tokenizer of its own, and its token embedding has {} rows where that of "
          "'{}' has {}; expected equally many, with which it is taken to have the same tokens, or "
          "its tokenizer.json beside it",
          model.model.text(), rows, base_.model.text(), base_rows);
    }
    if (has_vocabulary_files(model.folder)) return;
    log::warn(
        "{}: has no tokenizer; it is taken to have the tokens of '{}', whose embedding has "
        "as many rows",
        model.model.text(), base_.model.text());
  }

  // Nobody knows the tokens, which are the same in all models: no reason to read them.
  std::shared_ptr<const VocabularyPlan> keep_files(
      const std::vector<ModelVocabulary>& known) const {
    const bool same = std::all_of(known.begin(), known.end(), [](const ModelVocabulary& model) {
      return model.tokenizer == nullptr;
    });
    if (!same || !recipe_.tokens.empty() || recipe_.pad_vocabulary != 0) {
      (void)Tokenizer::read(base_.folder);  // says what is missing
    }
    VocabularyPlan plan;
    for (const ModelVocabulary& model : known) {
      plan.models.push_back(model.model);
      plan.model_rows.push_back(model.rows);
    }
    plan.rows = plan.model_rows.front();
    return std::make_shared<const VocabularyPlan>(std::move(plan));
  }

  // The tokens of a GGUF file go with its other metadata, which are the base's.
  void check_can_be_written(const VocabularyPlan& plan) const {
    if (plan.tokenizer->form() != Tokenizer::Form::list) return;
    if (!plan.tokenizer->changed() && recipe_.pad_vocabulary == 0 &&
        plan.tokenizer->same_tokens(*base_tokenizer_)) {
      return;
    }
    throw InputError(
        "{}: the vocabulary of a GGUF file can be kept (tokenizer_source: base), but no other one "
        "is written; merge the models' original folders, or leave 'union', 'tokens' and "
        "'pad_to_multiple_of' out",
        recipe_.label);
  }

  const Recipe& recipe_;
  const std::vector<VocabularyModel>& models_;
  const VocabularyModel& base_;
  std::shared_ptr<const Tokenizer> base_tokenizer_;
};

std::string shown_token(const std::vector<std::string>& tokens, std::size_t number) {
  return number < tokens.size() ? "'" + tokens[number] + "'" : std::string("none");
}

}  // namespace

fs::path tokenizer_folder(const ModelReference& model) {
  if (!model.adapter.empty() && has_tokenizer(model.adapter)) return model.adapter;
  fs::path folder = model.path;
  while (const std::optional<AdaptedPath> adapted = split_adapted_path(folder)) {
    if (has_tokenizer(adapted->adapter)) return adapted->adapter;
    folder = adapted->base;
  }
  return folder;
}

std::shared_ptr<const VocabularyPlan> plan_recipe_vocabulary(
    const Recipe& recipe, const std::vector<VocabularyModel>& models) {
  if (models.empty()) throw Error("{}: a vocabulary of no models", recipe.label);
  return VocabularyReader(recipe, models).run();
}

void check_gguf_vocabularies(const Recipe& recipe, const std::vector<VocabularyModel>& models) {
  const auto first = std::find_if(models.begin(), models.end(), gguf_tokens);
  if (first == models.end()) return;
  const GgufValue& expected = *gguf_tokens(*first);
  for (auto model = first + 1; model != models.end(); ++model) {
    const GgufValue* found = gguf_tokens(*model);
    if (found == nullptr || *found == expected) continue;
    const std::vector<std::string> theirs = token_list(*found, model->model.text());
    const std::vector<std::string> ours = token_list(expected, first->model.text());
    const auto differs = std::mismatch(ours.begin(), ours.end(), theirs.begin(), theirs.end());
    const auto number = static_cast<std::size_t>(differs.first - ours.begin());
    throw InputError(
        "{}: its {} tokens are not the {} of '{}' (number {} is {}, there {}), so rows of "
        "different "
        "tokens would be mixed; a recipe with 'tokenizer_source: base' ({}) moves them to where "
        "'{}' has the token",
        model->model.text(), theirs.size(), ours.size(), first->model.text(), number,
        shown_token(theirs, number), shown_token(ours, number), recipe.label, first->model.text());
  }
}

}  // namespace amalgam
