#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "amalgam/weights/data_methods.hpp"
#include "amalgam/weights/rule.hpp"
#include "cli/command.hpp"
#include "cli/common_options.hpp"
#include "cli/output.hpp"
#include "cli/parameter_text.hpp"

namespace amalgam::cli {
namespace {

struct MethodsOptions {
  std::string name;
  CommonOptions common;
};

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

// Rules and the methods that look at data.
std::vector<const RuleInfo*> all_methods() {
  std::vector<const RuleInfo*> all;
  for (const MergeRule* rule : merge_rules()) all.push_back(&rule->info());
  for (const RuleInfo& method : data_methods()) all.push_back(&method);
  return all;
}

bool needs_data(const RuleInfo& info) { return find_data_method(info.name) != nullptr; }

Json json_of(const RuleInfo& info) {
  return {{"name", info.name},
          {"summary", info.summary},
          {"source", info.source},
          {"base", base_text(info)},
          {"needs_data", needs_data(info)},
          {"min_members", info.min_members},
          {"parameters", parameters_json(info.parameters)}};
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
    table.add_row({info.name, members_text(info), std::string(base_text(info)),
                   needs_data(info) ? "yes" : "no", parameter_names(info.parameters), info.summary,
                   info.source});
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
