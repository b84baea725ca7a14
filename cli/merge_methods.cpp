#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "amalgam/weights/data_methods.hpp"
#include "amalgam/weights/rule.hpp"
#include "cli/command.hpp"
#include "cli/common_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

struct MethodsOptions {
  std::string name;
  CommonOptions common;
};

std::string value_text(const ParameterValue& value) {
  if (const bool* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const double* number = std::get_if<double>(&value)) return fmt::format("{}", *number);
  return std::get<std::string>(value);
}

std::string range_text(const ParameterInfo& parameter) {
  switch (parameter.kind) {
    case ParameterInfo::Kind::flag:
      return "true or false";
    case ParameterInfo::Kind::path:
      return "a checkpoint";
    case ParameterInfo::Kind::choice:
      return fmt::format("{}", fmt::join(parameter.choices, ", "));
    case ParameterInfo::Kind::number:
    case ParameterInfo::Kind::integer:
      break;
  }
  if (std::isinf(parameter.low) && std::isinf(parameter.high)) return "a number";
  if (std::isinf(parameter.high)) {
    return fmt::format("{} {}", parameter.low_open ? ">" : ">=", parameter.low);
  }
  return fmt::format("{}{}, {}{}", parameter.low_open || std::isinf(parameter.low) ? "(" : "[",
                     parameter.low, parameter.high, parameter.high_open ? ")" : "]");
}

std::string default_text(const ParameterInfo& parameter) {
  if (parameter.default_value) return value_text(*parameter.default_value);
  if (!parameter.optional) return "required";
  return parameter.default_text.empty() ? "none" : parameter.default_text;
}

std::string_view base_text(const RuleInfo& info) {
  switch (info.base) {
    case BaseUse::ignored:
      return info.base_comes_first ? "optional" : "ignored";
    case BaseUse::optional:
      return "optional";
    case BaseUse::required:
      break;
  }
  return "required";
}

std::string members_text(const RuleInfo& info) {
  if (info.max_members == info.min_members) return fmt::format("{}", info.min_members);
  return fmt::format(">= {}", info.min_members);
}

std::string_view kind_text(ParameterInfo::Kind kind) {
  switch (kind) {
    case ParameterInfo::Kind::number:
      return "number";
    case ParameterInfo::Kind::integer:
      return "integer";
    case ParameterInfo::Kind::flag:
      return "flag";
    case ParameterInfo::Kind::choice:
      return "choice";
    case ParameterInfo::Kind::path:
      break;
  }
  return "path";
}

Json json_value(const ParameterValue& value) {
  return std::visit([](const auto& held) { return Json(held); }, value);
}

// Rules and the methods that look at data.
std::vector<const RuleInfo*> all_methods() {
  std::vector<const RuleInfo*> all;
  for (const MergeRule* rule : merge_rules()) all.push_back(&rule->info());
  for (const RuleInfo& method : data_methods()) all.push_back(&method);
  return all;
}

bool needs_data(const RuleInfo& info) { return find_data_method(info.name) != nullptr; }

Json json_of(const RuleInfo& info) {
  Json parameters = Json::array();
  for (const ParameterInfo& parameter : info.parameters) {
    Json entry = {{"name", parameter.name},
                  {"kind", kind_text(parameter.kind)},
                  {"per_member", parameter.per_member},
                  {"required", !parameter.default_value && !parameter.optional},
                  {"default", nullptr},
                  {"range", range_text(parameter)},
                  {"doc", parameter.doc}};
    if (parameter.default_value) entry["default"] = json_value(*parameter.default_value);
    if (!parameter.default_text.empty()) entry["default_text"] = parameter.default_text;
    parameters.push_back(std::move(entry));
  }
  return {{"name", info.name},
          {"summary", info.summary},
          {"source", info.source},
          {"base", base_text(info)},
          {"needs_data", needs_data(info)},
          {"min_members", info.min_members},
          {"parameters", std::move(parameters)}};
}

void show_one(const RuleInfo& info) {
  print(fmt::format("{}: {}\n\nmembers  {}{}\nbase     {}{}\ndata     {}\nsource   {}\n", info.name,
                    info.summary, members_text(info), info.base_is_member ? " and the base" : "",
                    base_text(info),
                    info.base_comes_first ? " (comes first among the members)" : "",
                    needs_data(info) ? "looked at (--data, --split)" : "not used", info.source));
  if (info.parameters.empty()) return;
  Table table({{"parameter"}, {"default"}, {"range"}, {"of"}, {"meaning"}});
  for (const ParameterInfo& parameter : info.parameters) {
    table.add_row({parameter.name, default_text(parameter), range_text(parameter),
                   parameter.per_member ? "member" : "merge", parameter.doc});
  }
  print("\n" + table.text());
}

void show_all() {
  Table table({{"method"},
               {"members"},
               {"base"},
               {"data"},
               {"parameters (default)"},
               {"what it does"},
               {"source"}});
  for (const RuleInfo* method : all_methods()) {
    const RuleInfo& info = *method;
    std::vector<std::string> parameters;
    for (const ParameterInfo& parameter : info.parameters) {
      parameters.push_back(parameter.default_value || !parameter.default_text.empty()
                               ? fmt::format("{} ({})", parameter.name, default_text(parameter))
                               : parameter.name);
    }
    table.add_row({info.name, members_text(info), std::string(base_text(info)),
                   needs_data(info) ? "yes" : "no", fmt::format("{}", fmt::join(parameters, ", ")),
                   info.summary, info.source});
  }
  print(table.text());
}

void methods(const MethodsOptions& options) {
  if (!options.name.empty()) {
    const RuleInfo& info = find_method(options.name);
    if (options.common.json) {
      print_json(json_of(info));
    } else {
      show_one(info);
    }
    return;
  }
  if (!options.common.json) return show_all();
  Json all = Json::array();
  for (const RuleInfo* info : all_methods()) all.push_back(json_of(*info));
  print_json({{"methods", std::move(all)}});
}

}  // namespace

void register_merge_methods(CLI::App& merge) {
  CLI::App* app = merge.add_subcommand("methods", "List the merge methods, or show one.");
  app->footer(example("amalgam merge methods\namalgam merge methods dare_ties --json"));
  auto options = std::make_shared<MethodsOptions>();
  app->add_option("name", options->name, "Show this method with its parameters");
  add_common_options(*app, options->common, {Common::json});
  app->callback([options] { methods(*options); });
}

}  // namespace amalgam::cli
