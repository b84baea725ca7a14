// `amalgam study subpopulations`: whether models that are better on the majority are better on the
// minority too.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/data/csv_output.hpp"
#include "amalgam/data/text_output.hpp"
#include "amalgam/scores/studies/subpopulation_study.hpp"
#include "amalgam/scores/studies/subpopulation_sweep.hpp"
#include "cli/common_options.hpp"
#include "cli/output.hpp"
#include "cli/study_commands.hpp"
#include "cli/subpopulation_output.hpp"

namespace amalgam::cli {
namespace {

using scores::SubpopulationStudy;
using scores::SubpopulationTable;

struct SubpopulationCommand {
  std::string path;
  scores::SubpopulationColumns columns;
  bool predictions = false;
  scores::PredictionColumns of_predictions;
  std::vector<std::string> tags;
  std::vector<double> training_counts;
  scores::SubpopulationOptions options;
  std::string reference;
  std::string strength;
  std::string configuration;
  std::string out;
  std::string html;
  CommonOptions common;
};

SubpopulationTable read_table(SubpopulationCommand& command) {
  if (command.predictions) {
    if (command.of_predictions.majority.empty()) {
      throw InputError("--predictions needs --majority-groups, the groups that are the majority");
    }
    if (!command.columns.model.empty()) command.of_predictions.model = command.columns.model;
    return scores::read_predictions(command.path, command.of_predictions);
  }
  // Every tag that is asked for somewhere is read.
  std::vector<std::string> tags = command.options.within;
  for (const std::string* tag : {&command.options.cluster, &command.options.reference_tag,
                                 &command.strength, &command.configuration}) {
    if (!tag->empty()) tags.push_back(*tag);
  }
  for (const std::string& tag : tags) {
    if (std::ranges::find(command.columns.tags, tag) == command.columns.tags.end()) {
      command.columns.tags.push_back(tag);
    }
  }
  return scores::read_subpopulation_table(command.path, command.columns);
}

void split_reference(SubpopulationCommand& command) {
  if (command.reference.empty()) return;
  const std::size_t at = command.reference.find('=');
  if (at == 0 || at == std::string::npos) {
    throw InputError("--reference '{}'; expected TAG=VALUE", command.reference);
  }
  command.options.reference_tag = command.reference.substr(0, at);
  command.options.reference_value = command.reference.substr(at + 1);
}

// The share of the majority in training, and a warning if it is none.
void use_training_counts(SubpopulationCommand& command, std::vector<std::string>& warnings) {
  const std::vector<double>& counts = command.training_counts;
  if (counts.empty()) return;
  if (counts.size() != 2 || !(counts[0] >= 0) || !(counts[1] >= 0) ||
      !(counts[0] + counts[1] > 0)) {
    throw InputError("--training-counts; expected MAJORITY,MINORITY, two counts");
  }
  command.options.train_share = counts[0] / (counts[0] + counts[1]);
  if (counts[1] > counts[0]) {
    warnings.push_back(
        fmt::format("the minority has more training examples ({}) than the majority"
                    " ({}): are the two swapped?",
                    format_number(counts[1]), format_number(counts[0])));
  }
}

void write_models(const std::string& path, const SubpopulationTable& table,
                  const SubpopulationStudy& study, const scores::SubpopulationOptions& options) {
  CsvOutput output(path);
  const bool gaps = !study.gaps.empty();
  const bool robust = !study.effective_robustness.empty();
  for (const char* name :
       {"model", "majority", "minority", "training_mixture", "shifted_mixture", "monotone"}) {
    output.field(name);
  }
  if (robust) output.field("effective_robustness");
  if (gaps) output.field("gap").field("explained_gap").field("rest_of_gap");
  output.end();
  for (std::size_t i = 0; i < table.count(); ++i) {
    const double majority = table.majority[i];
    const double minority = table.minority[i];
    output.field(table.models[i]).field(majority).field(minority);
    output.field(scores::mixture_accuracy(majority, minority, options.train_share));
    output.field(scores::mixture_accuracy(majority, minority, options.test_share));
    output.field(study.monotone[i]);
    if (robust) output.field(study.effective_robustness[i]);
    if (gaps) {
      output.field(study.gaps[i].observed).field(study.gaps[i].explained);
      output.field(study.gaps[i].rest());
    }
    output.end();
  }
  output.commit();
}

// Shares that were taken for per cent are all at most a hundredth.
void check_percent(const SubpopulationTable& table, std::vector<std::string>& warnings) {
  const auto tiny = [](double accuracy) { return accuracy <= 0.01; };
  if (std::ranges::all_of(table.majority, tiny) && std::ranges::all_of(table.minority, tiny)) {
    warnings.push_back("no accuracy is above 1 %: if they are from 0 to 1, leave out --percent");
  }
}

void run(SubpopulationCommand& command) {
  split_reference(command);
  if (command.strength.empty() && !command.configuration.empty()) {
    throw InputError("--configuration is for --strength");
  }
  check_outputs({command.path}, {command.out, command.html});
  std::vector<std::string> warnings;
  use_training_counts(command, warnings);
  command.options.seed = command.common.seed;
  const SubpopulationTable table = read_table(command);
  if (command.columns.percent) check_percent(table, warnings);
  SubpopulationReport report;
  report.table = &table;
  report.options = &command.options;
  report.study = study_subpopulations(table, command.options, command.common.parallel());
  if (!command.strength.empty()) {
    report.sweep = sweep_strengths(table, command.strength, command.configuration, command.options,
                                   command.common.parallel());
  }
  report.warnings = warnings;
  report.warnings.insert(report.warnings.end(), report.study.warnings.begin(),
                         report.study.warnings.end());
  for (const std::string& warning : report.warnings) log::warn("{}", warning);
  if (!command.out.empty()) write_models(command.out, table, report.study, command.options);
  if (!command.html.empty()) {
    TextOutput output(command.html);
    output.write(subpopulation_page(report));
    output.commit();
  }
  if (command.common.json) {
    print_json(subpopulation_json(report));
  } else {
    print(subpopulation_text(report));
  }
}

void add_table_options(CLI::App& app, SubpopulationCommand& command) {
  app.add_option("table", command.path,
                 "CSV with one row per model, or with --predictions per model and example")
      ->required();
  app.add_option("--model", command.columns.model, "Column of the models' names (the first)");
  app.add_option("--majority", command.columns.majority, "Column of accuracies on the majority")
      ->capture_default_str();
  app.add_option("--minority", command.columns.minority, "Column of accuracies on the minority")
      ->capture_default_str();
  app.add_flag("--percent", command.columns.percent, "Accuracies are from 0 to 100");
  app.add_flag("--counts", command.columns.counts,
               "The two columns count right answers; needs the totals");
  app.add_option("--majority-total", command.columns.majority_total,
                 "Test examples of the majority: a column, or a number for all models")
      ->type_name("COLUMN|N");
  app.add_option("--minority-total", command.columns.minority_total, "The same of the minority")
      ->type_name("COLUMN|N");
  app.add_option("--majority-confusion", command.columns.majority_confusion,
                 "Instead of accuracies: the columns P_tp, P_fn, P_tn and P_fp of the majority")
      ->type_name("P");
  app.add_option("--minority-confusion", command.columns.minority_confusion,
                 "The same of the minority")
      ->type_name("P");
  app.add_flag("--predictions", command.predictions,
               "The table has a row for each model and test example");
  app.add_option("--truth", command.of_predictions.truth, "Of predictions: column of true labels")
      ->capture_default_str();
  app.add_option("--prediction", command.of_predictions.prediction,
                 "Of predictions: column of predicted labels")
      ->capture_default_str();
  app.add_option("--group", command.of_predictions.group,
                 "Of predictions: column of subpopulations")
      ->capture_default_str();
  app.add_option("--weight", command.of_predictions.weight, "Of predictions: column of weights");
  app.add_option("--majority-groups", command.of_predictions.majority,
                 "Of predictions: the subpopulations that are the majority")
      ->delimiter(',')
      ->type_name("A,B,...");
}

void add_study_options(CLI::App& app, SubpopulationCommand& command) {
  scores::SubpopulationOptions& options = command.options;
  app.add_option("--bootstrap", options.resamples, "Resamples of models for intervals; 0: none")
      ->check(CLI::Range(0, 10'000'000))
      ->capture_default_str();
  app.add_option("--cluster", options.cluster,
                 "Column whose equal values are drawn together, such as the checkpoints of a run")
      ->type_name("COLUMN");
  app.add_option("--within", options.within,
                 "Columns within whose values the curves are fitted too")
      ->delimiter(',')
      ->type_name("A,B,...");
  app.add_option("--fewest", options.fewest, "Models from which on such a group is fitted")
      ->check(CLI::Range(4, 1'000'000'000))
      ->capture_default_str();
  app.add_option("--reference", command.reference,
                 "Models that effective robustness is measured from (all)")
      ->type_name("COLUMN=VALUE");
  app.add_option("--bins", options.bins,
                 "Edges of bins of majority accuracy (fifths of the models)")
      ->delimiter(',')
      ->type_name("E,...");
  app.add_option("--training-counts", command.training_counts,
                 "Training examples of both, for the mixture that models are chosen on (9,1)")
      ->delimiter(',')
      ->type_name("MAJORITY,MINORITY");
  app.add_option("--test-share", options.test_share,
                 "Share of the majority in the shifted test mixture")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--strength", command.strength,
                 "Column of how strongly label and subpopulation go together: one curve for each")
      ->type_name("COLUMN");
  app.add_option("--configuration", command.configuration,
                 "With --strength: column of what is the same model at several strengths")
      ->type_name("COLUMN");
  app.add_option("--out", command.out, "Write every model's mixtures, robustness and gap")
      ->type_name("MODELS.csv");
  app.add_option("--html", command.html, "Write a page with plots")->type_name("PAGE.html");
}

}  // namespace

void register_study_subpopulations(CLI::App& study) {
  CLI::App* app = study.add_subcommand(
      "subpopulations",
      "Whether models that are better on the majority are better on the minority too.");
  app->footer(
      example("amalgam study subpopulations models.csv --majority acc_maj --minority acc_min\n"
              "amalgam study subpopulations models.csv --majority-total 800 --minority-total 200"
              " --cluster run --html curve.html\n"
              "amalgam study subpopulations predictions.csv --predictions --majority-groups land"));
  auto command = std::make_shared<SubpopulationCommand>();
  add_table_options(*app, *command);
  add_study_options(*app, *command);
  add_common_options(*app, command->common,
                     {Common::json, Common::quiet, Common::threads, Common::seed});
  app->callback([command] { run(*command); });
}

}  // namespace amalgam::cli
