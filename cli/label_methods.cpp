#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "amalgam/labels/label_model.hpp"
#include "amalgam/labels/other_methods.hpp"
#include "cli/common_options.hpp"
#include "cli/label_commands.hpp"
#include "cli/output.hpp"
#include "cli/parameter_text.hpp"

namespace amalgam::cli {
namespace {

struct MethodsOptions {
  std::string name;
  CommonOptions common;
};

std::string gold_text(const labels::LabelModelInfo& info) {
  if (info.needs_gold) return "needed";
  return info.uses_gold ? "taken as known" : "not used";
}

Json json_of(const labels::LabelModelInfo& info) {
  Json json = {{"name", info.name},
               {"summary", info.summary},
               {"source", info.source},
               {"skill", info.skill.empty() ? Json() : Json(info.skill)},
               {"gold", gold_text(info)},
               {"random", info.random},
               {"most_labels", nullptr},
               {"fewest_workers", info.fewest_workers},
               {"parameters", parameters_json(info.parameters)}};
  if (info.most_classes < labels::kMostLabels) json["most_labels"] = info.most_classes;
  return json;
}

void show_one(const labels::LabelModelInfo& info) {
  print(fmt::format(
      "{}: {}\n\nworkers  {}\nlabels   {}\ngold     {}\nskill    {}\nseed     {}\n"
      "source   {}\n",
      info.name, info.summary,
      info.fewest_workers > 1 ? fmt::format("at least {}", info.fewest_workers)
                              : std::string("any"),
      info.most_classes < labels::kMostLabels ? fmt::format("at most {}", info.most_classes)
                                              : std::string("any"),
      gold_text(info), info.skill.empty() ? "none" : info.skill,
      info.random ? "the result depends on it" : "not used", info.source));
  print(parameter_table(info.parameters));
}

Json json_of(const labels::OtherMethod& method) {
  return {{"command", "label " + method.command},
          {"name", method.name},
          {"summary", method.summary},
          {"source", method.source},
          {"parameters", parameters_json(method.parameters)}};
}

void show_one(const labels::OtherMethod& method) {
  print(fmt::format("{}: {}\n\ncommand  amalgam label {}\nsource   {}\n", method.name,
                    method.summary, method.command, method.source));
  if (!method.parameters.empty()) print(parameter_table(method.parameters));
}

const labels::OtherMethod* other_method(std::string_view name) {
  const auto all = labels::other_methods();
  const auto found = std::ranges::find(all, name, &labels::OtherMethod::name);
  return found == all.end() ? nullptr : &*found;
}

void show_others() {
  Table table({{"command"}, {"method"}, {"parameters (default)"}, {"what it does"}, {"source"}});
  for (const labels::OtherMethod& method : labels::other_methods()) {
    table.add_row({"label " + method.command, method.name, parameter_names(method.parameters),
                   method.summary, method.source});
  }
  print("\nCommands of their own:\n\n" + table.text());
}

void methods(const MethodsOptions& options) {
  if (const labels::OtherMethod* other = other_method(options.name)) {
    if (options.common.json) return print_json(json_of(*other));
    return show_one(*other);
  }
  if (!options.name.empty()) {
    const labels::LabelModelInfo& info = labels::find_label_model(options.name).info();
    if (options.common.json) return print_json(json_of(info));
    return show_one(info);
  }
  if (options.common.json) {
    Json all = Json::array();
    for (const labels::LabelModel* model : labels::label_models()) {
      all.push_back(json_of(model->info()));
    }
    Json others = Json::array();
    for (const labels::OtherMethod& method : labels::other_methods()) {
      others.push_back(json_of(method));
    }
    return print_json({{"methods", std::move(all)}, {"other_methods", std::move(others)}});
  }
  Table table({{"method"}, {"gold"}, {"parameters (default)"}, {"what it does"}, {"source"}});
  for (const labels::LabelModel* model : labels::label_models()) {
    const labels::LabelModelInfo& info = model->info();
    table.add_row(
        {info.name, gold_text(info), parameter_names(info.parameters), info.summary, info.source});
  }
  print(table.text());
  show_others();
}

}  // namespace

void register_label_methods(CLI::App& label) {
  CLI::App* app = label.add_subcommand("methods", "List the label methods, or show one.");
  app->footer(example("amalgam label methods\namalgam label methods dawid-skene --json"));
  auto options = std::make_shared<MethodsOptions>();
  app->add_option("name", options->name, "Show this method with its parameters");
  add_common_options(*app, options->common, {Common::json});
  app->callback([options] { methods(*options); });
}

}  // namespace amalgam::cli
