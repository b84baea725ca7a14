#include "amalgam/weights/plan_cast.hpp"

#include <algorithm>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/plan_parameters.hpp"

namespace amalgam {
namespace {

PlanSection make_section(const std::vector<RecipeSource>& models,
                         const std::vector<RecipeSlice>& slices) {
  PlanSection section{.slices = slices, .whole = slices.empty()};
  if (section.whole) {
    section.slices.push_back({.sources = models, .base_model = {}, .parameters = {}, .line = {}});
  }
  return section;
}

// Of rules that count the base among the members: see RuleInfo::base_comes_first.
void move_first(PlanCast& cast, const PlanRole& base, const RuleInfo& rule,
                const PlanModels& models, const std::string& place) {
  const auto listed =
      std::find_if(cast.members.begin(), cast.members.end(), [&](const PlanRole& member) {
        return member.model == base.model && member.first_layer == base.first_layer;
      });
  if (listed == cast.members.end()) {
    throw InputError(
        "{}: method '{}' merges its base model like the others; expected '{}' among the models, "
        "with parameters of its own",
        place, rule.name, models.name(base.model));
  }
  std::rotate(cast.members.begin(), listed, listed + 1);
}

void check_member_count(const PlanCast& cast, const RuleInfo& rule, const PlanModels& models,
                        const std::string& place) {
  const std::size_t count = cast.members.size();
  if (count >= rule.min_members && count <= rule.max_members) return;
  const bool exactly = rule.min_members == rule.max_members;
  const std::size_t bound = count > rule.max_members ? rule.max_members : rule.min_members;
  std::vector<std::string> names;
  names.reserve(count);
  for (const PlanRole& role : cast.members) names.push_back(models.name(role.model));
  const std::string_view how = exactly ? "exactly" : (count > bound ? "at most" : "at least");
  throw InputError("{}: method '{}' merges {} {} model{}{}; found {}{}", place, rule.name, how,
                   bound, bound == 1 ? "" : "s",
                   cast.base ? fmt::format(" besides the base '{}'", models.name(cast.base->model))
                             : std::string(),
                   count, names.empty() ? std::string() : ": " + join(names, ", "));
}

}  // namespace

std::string recipe_place(const Recipe& recipe, RecipeLine line) {
  return line.number == 0 ? recipe.label : fmt::format("{}:{}", recipe.label, line.number);
}

std::vector<PlanSection> make_sections(const Recipe& recipe) {
  std::vector<PlanSection> sections;
  if (recipe.modules.empty()) sections.push_back(make_section(recipe.models, recipe.slices));
  for (std::size_t i = 0; i < recipe.modules.size(); ++i) {
    const RecipeModule& module = recipe.modules[i];
    sections.push_back(make_section(module.models, module.slices));
    sections.back().parameters = &module.parameters;
    sections.back().module = i;
  }
  return sections;
}

PlanCast make_cast(const Recipe& recipe, const RuleInfo& rule, const PlanSection& section,
                   const RecipeSlice& slice, PlanModels& models) {
  PlanCast cast{.slice = &slice, .section = &section, .members = {}, .base = {}, .unused_base = {}};
  const std::optional<ModelReference>& base =
      slice.base_model ? slice.base_model : recipe.base_model;
  const std::string place = recipe_place(recipe, slice.line.number != 0 ? slice.line : recipe.line);
  if (rule.base == BaseUse::required && !base) {
    throw InputError("{}: method '{}' needs a base model: set 'base_model' (--base)", place,
                     rule.name);
  }
  const bool uses_base = rule.base != BaseUse::ignored && base.has_value();

  // The checkpoints that a member's path parameters name.
  const auto open_paths = [&](PlanRole& role) {
    for (const ParameterInfo& parameter : rule.parameters) {
      if (parameter.kind != ParameterInfo::Kind::path || !parameter.per_member) continue;
      const RuleInfo only{
          .name = rule.name, .summary = {}, .source = {}, .parameters = {parameter}};
      const Parameters resolved = resolve_parameters(
          only, true,
          {&role.source->parameters, &slice.parameters, section.parameters, &recipe.parameters},
          {recipe.label, models.name(role.model), "*", 0});
      if (!resolved.has(parameter.name)) continue;
      const std::string where = recipe_place(recipe, role.source->line) + ": " + parameter.name;
      role.paths.emplace_back(parameter.name, models.number(parse_model_reference(
                                                  resolved.text(parameter.name), where)));
    }
  };

  for (const RecipeSource& source : slice.sources) {
    PlanRole role{.model = models.number(source.model),
                  .source = &source,
                  .first_layer = source.range().first,
                  .paths = {}};
    if (uses_base && source.model == *base &&
        (!cast.base || cast.base->first_layer == role.first_layer)) {
      cast.base = std::move(role);
      continue;
    }
    open_paths(role);
    cast.members.push_back(std::move(role));
  }
  if (base && !cast.base) {
    PlanRole unlisted{.model = models.number(*base),
                      .source = nullptr,
                      .first_layer = slice.sources.front().range().first,
                      .paths = {}};
    if (rule.base_comes_first) move_first(cast, unlisted, rule, models, place);
    (uses_base ? cast.base : cast.unused_base) = std::move(unlisted);
  }
  check_member_count(cast, rule, models, place);
  return cast;
}

}  // namespace amalgam
