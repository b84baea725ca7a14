// `amalgam study robustness`: accuracies at several resolutions as one number per model.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/progress.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/table_cells.hpp"
#include "amalgam/data/text_output.hpp"
#include "cli/common_options.hpp"
#include "cli/study_commands.hpp"
#include "cli/study_robustness_output.hpp"

namespace amalgam::cli {
namespace {

struct RobustnessCommand {
  std::string table;
  scores::AccuracyFormat format;
  std::vector<std::string> class_counts;
  std::vector<std::string> chance;
  scores::RobustnessOptions options;
  std::string weights = "equal";
  std::string optimise;
  std::vector<std::string> importance;
  std::string at;
  std::size_t starts = 64;
  std::string properties;
  std::string out;
  std::string html;
  CommonOptions common;
};

// "NAME=NUMBER"; names may hold '='.
std::pair<std::string, double> named_number(const std::string& text, const char* option) {
  const std::size_t at = text.rfind('=');
  const std::optional<double> value =
      at == std::string::npos ? std::nullopt : cell_number(text.substr(at + 1));
  if (!value || !std::isfinite(*value) || at == 0) {
    throw InputError("{} '{}'; expected NAME=NUMBER", option, amalgam::printable(text));
  }
  return {text.substr(0, at), *value};
}

scores::AccuracyTable read_table(const RobustnessCommand& command) {
  scores::AccuracyFormat format = command.format;
  for (const std::string& text : command.class_counts) {
    format.class_counts.insert(named_number(text, "--class-count"));
  }
  for (const std::string& text : command.chance) {
    format.chance.insert(named_number(text, "--chance"));
  }
  return scores::read_accuracies(command.table, format);
}

std::size_t find_resolution(const RobustnessCommand& command, const scores::AccuracyTable& table) {
  if (command.at.empty()) return table.resolutions.size() - 1;
  const auto found = std::ranges::find(table.resolutions, command.at);
  if (found == table.resolutions.end()) {
    throw InputError("--at {}: the table has no such resolution; it has {}", command.at,
                     join(table.resolutions, ", "));
  }
  return static_cast<std::size_t>(found - table.resolutions.begin());
}

std::vector<double> chosen_weights(const RobustnessCommand& command,
                                   const scores::AccuracyTable& table) {
  if (command.weights == "equal") return {};
  if (command.weights == "published") return scores::published_weights(table.datasets);
  return scores::read_weights(command.weights, table.datasets);
}

// The robustness of the models that have all of it.
scores::RobustnessMatrix complete_models(const RobustnessStudy& study) {
  const std::size_t datasets = study.table.datasets.size();
  const std::size_t resolutions = study.table.resolutions.size();
  scores::RobustnessMatrix matrix{.datasets = datasets};
  for (std::size_t m = 0; m < study.table.models.size(); ++m) {
    std::vector<double> row;
    for (std::size_t d = 0; d < datasets; ++d) {
      row.push_back(study.result.improved_gamma[(m * datasets + d) * resolutions + study.at]);
    }
    if (std::ranges::any_of(row, [](double value) { return std::isnan(value); })) continue;
    matrix.values.insert(matrix.values.end(), row.begin(), row.end());
    ++matrix.models;
  }
  return matrix;
}

void optimise(const RobustnessCommand& command, RobustnessStudy& study) {
  scores::WeightOptions options{
      .starts = command.starts, .seed = command.common.seed, .parallel = command.common.parallel()};
  options.objective = command.optimise == "maximin" ? scores::WeightOptions::Objective::maximin
                                                    : scores::WeightOptions::Objective::sum;
  if (!command.importance.empty()) {
    options.importance.assign(study.table.datasets.size(), 1);
    for (const std::string& text : command.importance) {
      const auto [name, value] = named_number(text, "--importance");
      const auto found = std::ranges::find(study.table.datasets, name);
      if (found == study.table.datasets.end()) {
        throw InputError("--importance {}: the table has no data set '{}'", text, name);
      }
      options.importance[static_cast<std::size_t>(found - study.table.datasets.begin())] = value;
    }
  }
  const scores::RobustnessMatrix matrix = complete_models(study);
  if (matrix.models < study.table.models.size()) {
    study.warnings.push_back(
        fmt::format("weights are optimised over the {} of {} models that were measured everywhere",
                    matrix.models, study.table.models.size()));
  }
  Progress progress("weights", scores::search_steps(matrix, options), Progress::Unit::items,
                    command.common.progress_mode());
  options.on_step = [&] { progress.advance(1); };
  study.optimised = scores::optimise_weights(matrix, options);
  progress.finish();
  study.options.weights = study.optimised->weights;
  study.weights = "optimised (" + command.optimise + ") at " + study.table.resolutions[study.at];
  study.result = scores::robustness(study.table, study.options);
}

void add_flag_warnings(RobustnessStudy& study) {
  std::vector<std::string> not_comparable;
  std::size_t at_chance = 0;
  std::size_t above = 0;
  for (std::size_t m = 0; m < study.table.models.size(); ++m) {
    const scores::RobustnessFlags& flags = study.result.flags[m];
    if (!flags.comparable()) not_comparable.push_back(study.table.models[m]);
    at_chance += flags.at_chance;
    above += flags.above_native;
  }
  if (!not_comparable.empty()) {
    study.warnings.push_back(
        fmt::format("not comparable with the others, since cells are missing or a native accuracy "
                    "is 0: {}",
                    join(not_comparable, ", ")));
  }
  if (at_chance > 0) {
    study.warnings.push_back(fmt::format(
        "{} native accuracies are no better than chance; their robustness counts 0", at_chance));
  }
  if (above > 0) {
    study.warnings.push_back(fmt::format("{} accuracies are above the native ones{}", above,
                                         study.options.clip ? ", and count as equal" : ""));
  }
}

// Columns of numbers of a table of models.
void add_properties(const std::string& path, RobustnessStudy& study) {
  TableRows rows(path);
  const std::size_t model = rows.column("model");
  std::vector<std::vector<double>> columns(
      rows.names().size(), std::vector<double>(study.table.models.size(), std::nan("")));
  while (rows.next()) {
    const auto found = std::ranges::find(study.table.models, rows.cell(model));
    if (found == study.table.models.end()) continue;
    const auto m = static_cast<std::size_t>(found - study.table.models.begin());
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const std::string_view cell = rows.cell(c);
      if (c == model || is_missing_cell(cell)) continue;
      const std::optional<double> value = cell_number(cell);
      if (!value || !std::isfinite(*value)) {
        throw InputError("{}: '{}'; expected a number", rows.place(c), amalgam::printable(cell));
      }
      columns[c][m] = *value;
    }
  }
  for (std::size_t c = 0; c < columns.size(); ++c) {
    if (c == model) continue;
    for (std::size_t r = 0; r < study.table.resolutions.size(); ++r) {
      std::vector<double> sar;
      std::vector<double> war;
      for (std::size_t m = 0; m < study.table.models.size(); ++m) {
        sar.push_back(study.sar(m, r));
        war.push_back(study.war(m, r));
      }
      study.properties.push_back({rows.names()[c], study.table.resolutions[r],
                                  scores::rank_agreement(columns[c], sar),
                                  scores::rank_agreement(columns[c], war)});
    }
  }
}

void run(const RobustnessCommand& command) {
  check_outputs({command.table, command.properties}, {command.out, command.html});
  if (!command.importance.empty() && command.optimise != "sum") {
    throw InputError("--importance belongs to --optimise sum");
  }
  if (!command.optimise.empty() && command.weights != "equal") {
    throw InputError("--optimise finds the weights: give no --weights");
  }
  RobustnessStudy study{.table = read_table(command), .options = command.options};
  study.at = find_resolution(command, study.table);
  study.weights = command.weights;
  study.options.weights = chosen_weights(command, study.table);
  study.result = scores::robustness(study.table, study.options);
  if (!command.optimise.empty()) optimise(command, study);
  add_flag_warnings(study);
  if (!command.properties.empty()) add_properties(command.properties, study);
  for (const std::string& warning : study.warnings)
    log::warn("{}", amalgam::printable(warning, 1000));
  if (!command.out.empty()) write_robustness(command.out, study);
  if (!command.html.empty()) {
    TextOutput output(command.html);
    output.write(robustness_page(study));
    output.commit();
  }
  if (command.common.json) {
    print_json(robustness_json(study));
  } else {
    print(robustness_text(study));
  }
}

void add_columns(CLI::App& app, scores::AccuracyFormat& format) {
  const auto add = [&](const char* name, std::string& column, const char* text) {
    app.add_option(name, column, text)->type_name("COLUMN")->capture_default_str();
  };
  add("--model", format.model, "Column of the model");
  add("--dataset", format.dataset, "Column of the data set");
  add("--resolution", format.resolution, "Column of the resolution, or another degradation");
  add("--accuracy", format.accuracy,
      "Column of the accuracy; without it, columns correct and total are counts that add up");
  add("--classes", format.classes, "Column of the data set's number of classes");
}

}  // namespace

void register_study_robustness(CLI::App& study) {
  CLI::App* app = study.add_subcommand(
      "robustness", "Accuracies at several resolutions as one figure of robustness per model.");
  app->footer(example(
      "amalgam study robustness accuracies.csv --weights published --percent\n"
      "amalgam study robustness accuracies.csv --optimise maximin --at 16 --html page.html\n"
      "amalgam study robustness accuracies.csv --class-count digits=10 --properties "
      "models.csv --json"));
  auto command = std::make_shared<RobustnessCommand>();
  app->add_option("table", command->table,
                  "CSV: a row per model, data set and resolution, the native one among them")
      ->required()
      ->type_name("TABLE.csv");
  add_columns(*app, command->format);
  app->add_flag("--percent", command->format.percent, "Accuracies are from 0 to 100");
  app->add_option("--native", command->format.native,
                  "The native resolution (default: HR, native, original or clean, or else each "
                  "model's largest)")
      ->type_name("NAME");
  app->add_option("--class-count", command->class_counts,
                  "Classes of a data set; chance is 1 by that (repeatable)")
      ->type_name("DATASET=N")
      ->allow_extra_args(false);
  app->add_option("--chance", command->chance,
                  "Accuracy of guessing, where it is another (repeatable)")
      ->type_name("DATASET=SHARE")
      ->allow_extra_args(false);
  app->add_option("--steepness", command->options.steepness,
                  "Of the factor 1 - exp(-steepness * E^exponent), E being native accuracy above "
                  "chance")
      ->capture_default_str();
  app->add_option("--exponent", command->options.exponent, "Of the same")->capture_default_str();
  app->add_flag("--clip", command->options.clip, "Robustness above 1 counts as 1");
  app->add_option("--weights", command->weights,
                  "Weights of data sets: equal, published (the authors', for their 15 data sets), "
                  "or a CSV file with columns dataset and weight")
      ->capture_default_str();
  app->add_option("--optimise", command->optimise,
                  "Find weights under which the ranking agrees best with those of the data sets: "
                  "by the sum of Spearman's correlations, or by the smallest")
      ->check(CLI::IsMember({"sum", "maximin"}));
  app->add_option("--importance", command->importance,
                  "Of --optimise sum: factor of a data set's correlation (repeatable)")
      ->type_name("DATASET=FACTOR")
      ->allow_extra_args(false);
  app->add_option("--at", command->at,
                  "Resolution to optimise at and to rank by (default: the lowest)")
      ->type_name("RESOLUTION");
  app->add_option("--starts", command->starts, "Starts of the search for weights")
      ->check(CLI::Range(std::size_t{1}, std::size_t{10'000}))
      ->capture_default_str();
  app->add_option("--properties", command->properties,
                  "CSV with a column model and columns of numbers, such as parameters: how they go "
                  "with robustness")
      ->type_name("MODELS.csv");
  app->add_option("--out", command->out, "Write the robustness of every cell")
      ->type_name("CELLS.csv");
  app->add_option("--html", command->html, "Write a page with plots")->type_name("PAGE.html");
  add_common_options(*app, command->common,
                     {Common::json, Common::quiet, Common::threads, Common::seed});
  app->callback([command] { run(*command); });
}

}  // namespace amalgam::cli
