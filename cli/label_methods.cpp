#include <fmt/format.h>

#include <memory>

#include "amalgam/labels/label_model.hpp"
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

void methods(const MethodsOptions& options) {
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
    return print_json({{"methods", std::move(all)}});
  }
  Table table({{"method"}, {"gold"}, {"parameters (default)"}, {"what it does"}, {"source"}});
  for (const labels::LabelModel* model : labels::label_models()) {
    const labels::LabelModelInfo& info = model->info();
    table.add_row(
        {info.name, gold_text(info), parameter_names(info.parameters), info.summary, info.source});
  }
  print(table.text());
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
