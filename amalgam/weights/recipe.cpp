#include "amalgam/weights/recipe.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "amalgam/core/error.hpp"
#include "amalgam/weights/block_weights.hpp"
#include "amalgam/weights/recipe_models.hpp"

namespace amalgam {
namespace {

// Whether a name is what a pattern with * and ? says. Takes at most the product of their lengths.
bool matches_pattern(std::string_view pattern, std::string_view name) {
  std::size_t at = 0;
  std::size_t star = std::string_view::npos;  // the last one passed, and where its text ends
  std::size_t resume = 0;
  std::size_t i = 0;
  while (i < name.size()) {
    if (at < pattern.size() && (pattern[at] == '?' || pattern[at] == name[i]) &&
        pattern[at] != '*') {
      ++at;
      ++i;
    } else if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      resume = i;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      i = ++resume;
    } else {
      return false;
    }
  }
  return pattern.substr(at).find_first_not_of('*') == std::string_view::npos;
}

bool matches(std::string_view filter, std::string_view name) {
  if (filter.find_first_of("*?") != std::string_view::npos) return matches_pattern(filter, name);
  return name.find(filter) != std::string_view::npos;
}

bool is_number(const ParameterValue& value) { return std::holds_alternative<double>(value); }

// The value of a gradient, or the only one.
ParameterValue at_position(const std::vector<ParameterValue>& values, double t) {
  const std::size_t last = values.size() - 1;
  const double s = t * static_cast<double>(last);
  const std::size_t i = std::min(static_cast<std::size_t>(s), last);
  if (i == last || !std::all_of(values.begin(), values.end(), is_number)) return values[i];
  const double f = s - static_cast<double>(i);
  return (1 - f) * std::get<double>(values[i]) + f * std::get<double>(values[i + 1]);
}

}  // namespace

std::string ModelReference::text() const { return adapter.empty() ? path : path + "+" + adapter; }

ModelReference parse_model_reference(std::string_view text, std::string_view where) {
  ModelReference reference;
  const std::size_t plus = text.rfind('+');
  reference.path = text.substr(0, plus);
  if (plus != std::string_view::npos) {
    reference.adapter = text.substr(plus + 1);
    if (reference.adapter.empty()) {
      throw InputError("{}: '{}' ends in '+'; expected the path of an adapter after it", where,
                       text);
    }
  }
  if (reference.path.empty()) throw InputError("{}: the path of a model is empty", where);
  const std::string_view path = reference.path;
  const bool is_local = path.front() == '/' || path.front() == '.' || path.front() == '~';
  if (!is_local && path.substr(path.rfind('/') + 1).find('@') != std::string_view::npos) {
    throw InputError(
        "{}: '{}' asks for a revision of a model on a hub, but Amalgam reads local files; download "
        "that revision and give the folder (write './{}' if the '@' is part of its name)",
        where, text, path);
  }
  return reference;
}

std::optional<ParameterValue> ParameterSetting::evaluate(std::string_view name, double t) const {
  for (const Entry& entry : entries) {
    if (!matches(entry.filter, name)) continue;
    if (entry.blocks.empty()) return at_position(entry.values, t);
    const BlockLayout* layout = find_block_layout(entry.blocks);
    if (layout == nullptr) throw Error("no blocks '{}'", entry.blocks);
    if (auto value = block_weight(*layout, entry.values, name)) return value;
  }
  return std::nullopt;
}

bool Recipe::operator==(const Recipe& other) const {
  return name == other.name && merge_method == other.merge_method &&
         base_model == other.base_model && models == other.models && slices == other.slices &&
         modules == other.modules && parts == other.parts && parameters == other.parameters &&
         data == other.data && tasks == other.tasks && search == other.search &&
         search_by == other.search_by && evaluate == other.evaluate && dtype == other.dtype &&
         out_dtype == other.out_dtype && tokenizer_source == other.tokenizer_source &&
         tokens == other.tokens && pad_vocabulary == other.pad_vocabulary &&
         chat_template == other.chat_template;
}

const ModelReference& Recipe::reference() const {
  const ModelReference* first = nullptr;
  visit_models(*this, [&](const ModelReference& model, RecipeLine) {
    if (first == nullptr) first = &model;
  });
  if (first == nullptr) throw Error("{}: the recipe has no model", label);
  return *first;
}

std::vector<ModelReference> Recipe::all_models() const {
  std::vector<ModelReference> models_seen;
  visit_models(*this, [&](const ModelReference& model, RecipeLine) {
    if (std::find(models_seen.begin(), models_seen.end(), model) == models_seen.end()) {
      models_seen.push_back(model);
    }
  });
  return models_seen;
}

void check_stages(const std::vector<Recipe>& documents) {
  std::map<std::string, std::size_t> stages;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    const Recipe& document = documents[i];
    if (document.looks_at_data() && i + 1 < documents.size()) {
      throw InputError(
          "{}:{}: document {} has 'data', 'search' or 'evaluate'; expected them in the last "
          "document"
          " only",
          document.label, document.line.number, i + 1);
    }
    if (document.name.empty()) {
      if (i + 1 == documents.size()) continue;
      throw InputError(
          "{}:{}: document {} has no 'name'; with several documents each but the last "
          "needs one",
          document.label, document.line.number, i + 1);
    }
    const auto [other, is_new] = stages.emplace(document.name, i);
    if (!is_new) {
      throw InputError("{}:{}: the name '{}' is that of document {} already", document.label,
                       document.line.number, document.name, other->second + 1);
    }
  }
  // uses[i]: the stages that document i names.
  std::vector<std::set<std::size_t>> uses(documents.size());
  const auto reaches = [&](std::size_t from, std::size_t to) {
    std::vector<std::size_t> open{from};
    std::set<std::size_t> seen{from};
    while (!open.empty()) {
      const std::size_t at = open.back();
      open.pop_back();
      if (at == to) return true;
      for (const std::size_t next : uses[at]) {
        if (seen.insert(next).second) open.push_back(next);
      }
    }
    return false;
  };
  for (const bool collecting : {true, false}) {
    for (std::size_t i = 0; i < documents.size(); ++i) {
      visit_models(documents[i], [&](const ModelReference& model, RecipeLine line) {
        const auto stage = stages.find(model.path);
        if (stage == stages.end()) return;
        const std::size_t used = stage->second;
        if (collecting) {
          uses[i].insert(used);
        } else if (used == i) {
          throw InputError("{}:{}: a cycle: '{}' is merged from itself", documents[i].label,
                           line.number, model.path);
        } else if (reaches(used, i)) {
          throw InputError("{}:{}: a cycle: '{}' is merged from '{}', which is merged from '{}'",
                           documents[i].label, line.number, documents[i].name, model.path,
                           documents[i].name);
        } else if (used > i) {
          throw InputError("{}:{}: '{}' is the name of a later document; expected an earlier one",
                           documents[i].label, line.number, model.path);
        }
      });
    }
  }
}

}  // namespace amalgam
