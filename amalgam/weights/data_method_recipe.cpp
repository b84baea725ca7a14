// What a recipe may say to a method that looks at data.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/weights/data_methods.hpp"
#include "amalgam/weights/plan_parameters.hpp"

namespace amalgam {

void check_data_recipe(const RuleInfo& method, const Recipe& recipe) {
  const auto fail = [&](RecipeLine line, std::string_view what) {
    const std::string place =
        line.number == 0 ? recipe.label : fmt::format("{}:{}", recipe.label, line.number);
    throw InputError("{}: {}", place, what);
  };
  if (recipe.models.empty()) {
    fail(recipe.line,
         fmt::format("method '{}' merges whole models; expected 'models'", method.name));
  }
  const std::pair<const char*, const std::string*> keys[] = {
      {"dtype", &recipe.dtype},
      {"out_dtype", &recipe.out_dtype},
      {"tokenizer_source", &recipe.tokenizer_source},
      {"chat_template", &recipe.chat_template}};
  for (const auto& [key, value] : keys) {
    if (value->empty()) continue;
    fail(recipe.line, fmt::format("method '{}' writes a network as its members are, without '{}'",
                                  method.name, key));
  }
  const auto check = [&](const ParameterSettings& settings) {
    for (const auto& [name, setting] : settings) {
      const auto info = std::ranges::find(method.parameters, name, &ParameterInfo::name);
      const bool by_group = info != method.parameters.end() && info->by_group;
      for (const ParameterSetting::Entry& entry : setting.entries) {
        if (entry.values.size() == 1 && (by_group || entry.filter.empty() || entry.filter == "*")) {
          continue;
        }
        fail(setting.line, fmt::format("parameter '{}' of method '{}' takes one value, no {}", name,
                                       method.name, entry.values.size() > 1 ? "list" : "filter"));
      }
    }
  };
  check(recipe.parameters);
  for (const RecipeSource& source : recipe.models) {
    check(source.parameters);
    if (!source.model.adapter.empty()) {
      fail(source.line, fmt::format("'{}': adapters are not available for method '{}'",
                                    source.model.text(), method.name));
    }
  }
  if (method.base == BaseUse::required && !recipe.base_model) {
    fail(recipe.line, fmt::format("method '{}' needs a base (base_model, or --base)", method.name));
  }
  if (method.base == BaseUse::ignored && recipe.base_model) {
    fail(recipe.line, fmt::format("method '{}' has no use for a base", method.name));
  }
}

std::vector<std::size_t> data_method_members(const RuleInfo& method, const Recipe& recipe) {
  std::vector<std::size_t> members;
  for (std::size_t i = 0; i < recipe.models.size(); ++i) {
    const bool is_base = method.base != BaseUse::ignored && recipe.base_model &&
                         recipe.models[i].model == *recipe.base_model;
    if (!is_base) members.push_back(i);
  }
  return members;
}

Parameters data_method_parameters(const RuleInfo& method, const Recipe& recipe,
                                  std::string_view group) {
  check_data_recipe(method, recipe);
  check_parameters(recipe, method);
  const std::size_t count = data_method_members(method, recipe).size();
  if (count < method.min_members || count > method.max_members) {
    throw InputError("{}: method '{}' merges {} {} models; found {}", recipe.label, method.name,
                     count < method.min_members ? "at least" : "at most",
                     count < method.min_members ? method.min_members : method.max_members, count);
  }
  return resolve_parameters(method, false, {.document = &recipe.parameters},
                            {.recipe = recipe.label, .model = {}, .tensor = group});
}

Parameters data_method_member_parameters(const RuleInfo& method, const Recipe& recipe,
                                         std::size_t model) {
  const RecipeSource& source = recipe.models.at(model);
  return resolve_parameters(method, true,
                            {.source = &source.parameters, .document = &recipe.parameters},
                            {.recipe = recipe.label, .model = source.model.path, .tensor = {}});
}

}  // namespace amalgam
