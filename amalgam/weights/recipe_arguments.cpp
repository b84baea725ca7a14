#include "amalgam/weights/recipe_arguments.hpp"

#include <algorithm>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/block_weights.hpp"
#include "amalgam/weights/yaml.hpp"

namespace amalgam {
namespace {

constexpr const char* kLabel = "command line";
// Before the name of a block layout in the place of a filter.
constexpr std::string_view kBlocks = "blocks:";

// One -p, taken apart.
struct Argument {
  std::string name;
  std::string filter;
  std::string blocks;
  const ParameterInfo* info = nullptr;
  std::vector<std::vector<ParameterValue>> values;  // per member, or one for all
};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// A path may look like a number.
ParameterValue parse_value(std::string_view text, const ParameterInfo& info,
                           std::string_view given) {
  text = trimmed(text);
  if (text.empty()) throw InputError("-p {}: a value is empty", given);
  return info.kind == ParameterInfo::Kind::path ? ParameterValue(std::string(text))
                                                : parse_parameter_value(text);
}

// The parts between commas outside of brackets.
std::vector<std::string_view> split_values(std::string_view text, std::string_view given) {
  std::vector<std::string_view> parts;
  bool inside = false;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '[' || text[i] == ']') {
      if (inside == (text[i] == '[')) {
        throw InputError("-p {}: '{}' without its counterpart", given, text[i]);
      }
      inside = text[i] == '[';
    } else if (text[i] == ',' && !inside) {
      parts.push_back(text.substr(begin, i - begin));
      begin = i + 1;
    }
  }
  if (inside) throw InputError("-p {}: '[' without its counterpart", given);
  parts.push_back(text.substr(begin));
  return parts;
}

std::vector<ParameterValue> parse_values(std::string_view text, const ParameterInfo& info,
                                         std::string_view given) {
  text = trimmed(text);
  if (!text.starts_with('[')) return {parse_value(text, info, given)};
  if (!text.ends_with(']')) {
    throw InputError("-p {}: '{}' goes on after the gradient", given, text);
  }
  std::vector<ParameterValue> values;
  for (const std::string& part : split(text.substr(1, text.size() - 2), ',')) {
    values.push_back(parse_value(part, info, given));
  }
  return values;
}

const ParameterInfo& find_parameter(const RuleInfo& rule, const std::string& name) {
  std::vector<std::string> names;
  for (const ParameterInfo& info : rule.parameters) {
    if (info.name == name) return info;
    names.push_back(info.name);
  }
  throw InputError("-p {}: method '{}' has no parameter '{}'{}; it has {}", name, rule.name, name,
                   did_you_mean(name, names), names.empty() ? "none" : join(names, ", "));
}

Argument parse_argument(std::string_view given, const RuleInfo& rule) {
  const std::size_t equals = given.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    throw InputError("-p {}: expected name=value", given);
  }
  Argument argument;
  const std::string_view target = given.substr(0, equals);
  const std::size_t colon = target.find(':');
  argument.name = target.substr(0, colon);
  if (colon != std::string_view::npos) {
    argument.filter = target.substr(colon + 1);
    if (argument.filter.empty()) throw InputError("-p {}: the filter after ':' is empty", given);
    if (argument.filter == "*") argument.filter.clear();
    if (argument.filter.starts_with(kBlocks)) {
      argument.blocks = argument.filter.substr(kBlocks.size());
      argument.filter.clear();
    }
  }
  argument.info = &find_parameter(rule, argument.name);
  for (const std::string_view part : split_values(given.substr(equals + 1), given)) {
    argument.values.push_back(parse_values(part, *argument.info, given));
  }
  return argument;
}

void add_entry(ParameterSettings& settings, const Argument& argument,
               const std::vector<ParameterValue>& values, std::string_view text) {
  auto& entries = settings[argument.name].entries;
  const bool taken = std::any_of(entries.begin(), entries.end(), [&](const auto& entry) {
    return entry.filter == argument.filter && entry.blocks == argument.blocks;
  });
  if (taken) throw InputError("-p {}: the same parameter was given before", text);
  // One without a filter would hide what comes after it.
  const bool hides =
      !entries.empty() && entries.back().filter.empty() && entries.back().blocks.empty();
  ParameterSetting::Entry entry{argument.filter, values, argument.blocks};
  if (!entry.blocks.empty()) {
    try {
      check_block_list(entry);
    } catch (const InputError& error) {
      throw InputError("-p {}: {}", text, error.what());
    }
  }
  entries.insert(hides ? entries.end() - 1 : entries.end(), std::move(entry));
}

}  // namespace

Recipe recipe_from_arguments(const RuleInfo& rule, const RecipeArguments& arguments) {
  Recipe recipe;
  recipe.label = kLabel;
  recipe.merge_method = rule.name;
  if (!arguments.base.empty()) {
    recipe.base_model = parse_model_reference(arguments.base, "--base");
  }
  if (arguments.members.empty()) throw InputError("no models given; expected paths to merge");
  for (const std::string& member : arguments.members) {
    RecipeSource source;
    source.model = parse_model_reference(member, kLabel);
    recipe.models.push_back(std::move(source));
  }
  add_parameters(recipe, rule, arguments.parameters);
  return recipe;
}

void add_parameters(Recipe& recipe, const RuleInfo& rule, std::span<const std::string> parameters) {
  std::vector<std::size_t> counted;  // the models that values are given for
  for (std::size_t i = 0; i < recipe.models.size(); ++i) {
    if (!recipe.base_model || !(recipe.models[i].model == *recipe.base_model) ||
        rule.base == BaseUse::ignored) {
      counted.push_back(i);
    }
  }
  for (const std::string& text : parameters) {
    const Argument argument = parse_argument(text, rule);
    if (argument.info->kind == ParameterInfo::Kind::path && argument.info->per_member &&
        argument.values.size() != counted.size()) {
      throw InputError("-p {}: {} file{} for {} models; expected one for each", text,
                       argument.values.size(), argument.values.size() == 1 ? "" : "s",
                       counted.size());
    }
    if (argument.values.size() == 1) {
      add_entry(recipe.parameters, argument, argument.values.front(), text);
      continue;
    }
    if (!argument.info->per_member) {
      throw InputError(
          "-p {}: '{}' holds for the whole merge and takes one value, not {} (a "
          "list, such as a gradient over layers, is written in brackets: '{}=[...]')",
          text, argument.name, argument.values.size(), argument.name);
    }
    if (argument.values.size() != counted.size()) {
      throw InputError("-p {}: {} values for {} model{}{}; expected one for each", text,
                       argument.values.size(), counted.size(), counted.size() == 1 ? "" : "s",
                       recipe.base_model ? " (the base is not counted)" : "");
    }
    for (std::size_t i = 0; i < counted.size(); ++i) {
      add_entry(recipe.models[counted[i]].parameters, argument, argument.values[i], text);
    }
  }
}

}  // namespace amalgam
