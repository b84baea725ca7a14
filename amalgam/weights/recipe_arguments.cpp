#include "amalgam/weights/recipe_arguments.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/rule.hpp"

namespace amalgam {
namespace {

constexpr std::string_view kLabel = "command line";

// `name:FILTER=value` taken apart.
struct Argument {
  std::string name;
  std::string filter;
  std::string value;
};

Argument take_apart(const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::size_t colon = text.substr(0, equals).find(':');
  Argument argument;
  if (equals != std::string::npos) {
    argument.value = text.substr(equals + 1);
    argument.name = text.substr(0, std::min(colon, equals));
    if (colon != std::string::npos) argument.filter = text.substr(colon + 1, equals - colon - 1);
  }
  if (argument.name.empty() || argument.value.empty() ||
      (colon != std::string::npos && argument.filter.empty())) {
    throw InputError("-p '{}': expected name=value, name=v1,v2, name=[v0,v1] or name:FILTER=value",
                     text);
  }
  return argument;
}

const ParameterInfo& find_parameter(const RuleInfo& info, const std::string& name) {
  std::vector<std::string> names;
  for (const ParameterInfo& parameter : info.parameters) {
    if (parameter.name == name) return parameter;
    names.push_back(parameter.name);
  }
  throw InputError("-p: {} has no parameter '{}'{}", info.name, name, did_you_mean(name, names));
}

ParameterValue parse_value(std::string_view text, const ParameterInfo& parameter) {
  const bool is_text =
      parameter.kind == ParameterInfo::Kind::path || parameter.kind == ParameterInfo::Kind::choice;
  if (!is_text || parameter.kind == ParameterInfo::Kind::choice) {
    if (text == "true") return true;
    if (text == "false") return false;
  }
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (!is_text && error == std::errc{} && end == text.data() + text.size()) return number;
  return std::string(text);
}

std::vector<ParameterValue> parse_gradient(std::string_view text, const ParameterInfo& parameter) {
  std::vector<ParameterValue> values;
  for (std::string_view part : split(text.substr(1, text.size() - 2), ',')) {
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    values.push_back(parse_value(part, parameter));
  }
  return values;
}

void add_entry(ParameterSettings& settings, const Argument& argument,
               std::vector<ParameterValue> values) {
  auto& entries = settings[argument.name].entries;
  const bool last_is_general = !entries.empty() && entries.back().filter.empty();
  if (argument.filter.empty() && last_is_general) {
    throw InputError("-p: '{}' is given twice", argument.name);
  }
  entries.insert(last_is_general ? entries.end() - 1 : entries.end(),
                 {argument.filter, std::move(values)});
}

void add_argument(Recipe& recipe, const Argument& argument, const ParameterInfo& parameter) {
  if (argument.value.front() == '[' && argument.value.back() == ']') {
    add_entry(recipe.parameters, argument, parse_gradient(argument.value, parameter));
    return;
  }
  const std::vector<std::string> values = split(argument.value, ',');
  if (values.size() == 1) {
    add_entry(recipe.parameters, argument, {parse_value(values.front(), parameter)});
    return;
  }
  if (!parameter.per_member) {
    throw InputError(
        "-p '{}={}': {} values, but '{}' is one value for the merge ('[...]' is a gradient over "
        "layers)",
        argument.name, argument.value, values.size(), argument.name);
  }
  if (values.size() != recipe.models.size()) {
    throw InputError("-p '{}={}': {} values for {} members (the base has none); expected one each",
                     argument.name, argument.value, values.size(), recipe.models.size());
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    add_entry(recipe.models[i].parameters, argument, {parse_value(values[i], parameter)});
  }
}

}  // namespace

Recipe recipe_from_arguments(const std::string& method, const std::optional<std::string>& base,
                             std::span<const std::string> members,
                             std::span<const std::string> parameters) {
  const RuleInfo& info = find_merge_rule(method).info();
  Recipe recipe;
  recipe.label = kLabel;
  recipe.merge_method = method;
  if (base) recipe.base_model = parse_model_reference(*base, kLabel);
  for (const std::string& member : members) {
    recipe.models.push_back({.model = parse_model_reference(member, kLabel),
                             .layers = {},
                             .parameters = {},
                             .line = {}});
  }
  if (members.empty()) throw InputError("merge: --method {} has no members; name them", method);
  for (const std::string& text : parameters) {
    const Argument argument = take_apart(text);
    add_argument(recipe, argument, find_parameter(info, argument.name));
  }
  return recipe;
}

}  // namespace amalgam
