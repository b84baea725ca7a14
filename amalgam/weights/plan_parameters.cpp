#include "amalgam/weights/plan_parameters.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/plan_cast.hpp"

namespace amalgam {
namespace {

constexpr std::string_view kIgnored = "int8_mask";

const ParameterInfo* find_info(const RuleInfo& rule, std::string_view name) {
  const auto found = std::find_if(rule.parameters.begin(), rule.parameters.end(),
                                  [&](const ParameterInfo& info) { return info.name == name; });
  return found == rule.parameters.end() ? nullptr : &*found;
}

class Checker {
 public:
  Checker(const Recipe& recipe, const RuleInfo& rule) : recipe_(recipe), rule_(rule) {
    for (const ParameterInfo& info : rule.parameters) names_.push_back(info.name);
  }

  // `model`: whose own parameters these are, null if they are not of one model.
  void check(const ParameterSettings& settings, const ModelReference* model) const {
    for (const auto& [name, setting] : settings) {
      const ParameterInfo* info = find_info(rule_, name);
      if (info == nullptr) {
        if (name == kIgnored) continue;
        fail(setting, fmt::format("method '{}' has no parameter '{}'{}{}", rule_.name, name,
                                  did_you_mean(name, names_), known_names()));
      }
      if (model != nullptr && !info->per_member) {
        fail(setting,
             fmt::format("parameter '{}' of method '{}' holds for the whole merge, not for "
                         "one model ('{}'); set it under the recipe's own 'parameters'",
                         name, rule_.name, model->text()));
      }
      check_values(*info, setting);
    }
  }

  void check_sources(const std::vector<RecipeSource>& sources) const {
    for (const RecipeSource& source : sources) check(source.parameters, &source.model);
  }

  void check_slices(const std::vector<RecipeSlice>& slices) const {
    for (const RecipeSlice& slice : slices) {
      check(slice.parameters, nullptr);
      check_sources(slice.sources);
    }
  }

 private:
  [[noreturn]] void fail(const ParameterSetting& setting, std::string_view what) const {
    if (setting.line.number == 0) throw InputError("{}: {}", recipe_.label, what);
    throw InputError("{}:{}: {}", recipe_.label, setting.line.number, what);
  }

  std::string known_names() const {
    return names_.empty() ? "; it has none" : "; it has " + join(names_, ", ");
  }

  void check_values(const ParameterInfo& info, const ParameterSetting& setting) const {
    for (const ParameterSetting::Entry& entry : setting.entries) {
      for (const ParameterValue& value : entry.values) {
        if (!converted_value(info, value)) {
          fail(setting, fmt::format("parameter '{}' of method '{}' is {}; expected {}", info.name,
                                    rule_.name, shown_value(value), expected_value(info)));
        }
      }
      if (info.kind == ParameterInfo::Kind::path &&
          (entry.values.size() > 1 || !entry.filter.empty())) {
        fail(setting,
             fmt::format("parameter '{}' of method '{}' names one checkpoint per model; it "
                         "takes no filter and no list",
                         info.name, rule_.name));
      }
      if (info.kind == ParameterInfo::Kind::integer && entry.values.size() > 1) {
        fail(setting, fmt::format("parameter '{}' of method '{}' is a whole number and takes no "
                                  "gradient over layers",
                                  info.name, rule_.name));
      }
    }
  }

  const Recipe& recipe_;
  const RuleInfo& rule_;
  std::vector<std::string> names_;
};

// Filters that match no name, each once for a parameter.
class IdleFilters {
 public:
  IdleFilters(const Recipe& recipe, const MergePlan& plan) : recipe_(recipe), plan_(plan) {}

  void warn(const ParameterSettings& settings) {
    for (const auto& [name, setting] : settings) {
      for (const ParameterSetting::Entry& entry : setting.entries) {
        if (entry.filter.empty() || matches_any(entry.filter)) continue;
        if (!seen_.emplace(name, entry.filter).second) continue;
        log::warn("{}: parameter '{}': no tensor has a name that the filter '{}' matches",
                  recipe_place(recipe_, setting.line), name, entry.filter);
      }
    }
  }

  void warn(const std::vector<RecipeSource>& sources) {
    for (const RecipeSource& source : sources) warn(source.parameters);
  }

  void warn(const std::vector<RecipeSlice>& slices) {
    for (const RecipeSlice& slice : slices) {
      warn(slice.parameters);
      warn(slice.sources);
    }
  }

 private:
  bool matches_any(const std::string& filter) const {
    const ParameterSetting probe{{{filter, {0.0}}}, {}};
    const auto matches = [&](const std::string& name) {
      return probe.evaluate(name, 0).has_value();
    };
    const auto is_output = [&](const PlanTensor& tensor) { return matches(tensor.output.name); };
    const auto is_input = [&](const auto& source) {
      return std::ranges::any_of(source->tensors(),
                                 [&](const TensorInfo& info) { return matches(info.name); });
    };
    return std::ranges::any_of(plan_.tensors, is_output) ||
           std::ranges::any_of(plan_.sources, is_input);
  }

  const Recipe& recipe_;
  const MergePlan& plan_;
  std::set<std::pair<std::string, std::string>> seen_;
};

}  // namespace

void warn_of_idle_filters(const Recipe& recipe, const MergePlan& plan) {
  IdleFilters idle(recipe, plan);
  idle.warn(recipe.parameters);
  idle.warn(recipe.models);
  idle.warn(recipe.slices);
  for (const RecipeModule& module : recipe.modules) {
    idle.warn(module.parameters);
    idle.warn(module.models);
    idle.warn(module.slices);
  }
}

void check_parameters(const Recipe& recipe, const RuleInfo& rule) {
  const Checker checker(recipe, rule);
  checker.check(recipe.parameters, nullptr);
  checker.check_sources(recipe.models);
  checker.check_slices(recipe.slices);
  for (const RecipeModule& module : recipe.modules) {
    checker.check(module.parameters, nullptr);
    checker.check_sources(module.models);
    checker.check_slices(module.slices);
  }
}

Parameters resolve_parameters(const RuleInfo& rule, bool per_member, const ParameterLevels& levels,
                              const ParameterPlace& place) {
  Parameters resolved;
  for (const ParameterInfo& info : rule.parameters) {
    if (info.per_member != per_member) continue;
    std::optional<ParameterValue> value;
    for (const ParameterSettings* level :
         {levels.source, levels.slice, levels.module, levels.document}) {
      if (level == nullptr || value) continue;
      const auto setting = level->find(info.name);
      if (setting == level->end()) continue;
      value = setting->second.evaluate(place.tensor, place.position);
      if (value) value = converted_value(info, *value);
    }
    if (!value) value = info.default_value;
    if (value) {
      resolved.set(info.name, *std::move(value));
    } else if (!info.optional) {
      std::string where;
      if (!place.model.empty()) where += fmt::format(" for model '{}'", place.model);
      if (!place.tensor.empty()) {
        where += fmt::format("{} tensor '{}'", where.empty() ? " for" : ",", place.tensor);
      }
      throw InputError("{}: parameter '{}' of method '{}' has no value{}; expected {}",
                       place.recipe, info.name, rule.name, where, expected_value(info));
    }
  }
  return resolved;
}

}  // namespace amalgam
