#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/csv_output.hpp"
#include "amalgam/labels/abstentions.hpp"
#include "amalgam/labels/label_files.hpp"
#include "amalgam/labels/multilabel.hpp"
#include "amalgam/labels/multilabel_state.hpp"
#include "cli/label_commands.hpp"
#include "cli/label_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

struct MultilabelOptions {
  AnnotationOptions annotations;
  std::string method;  ///< empty: the state's, or dawid-skene
  std::vector<std::string> parameters;
  StateOptions states;
  bool has_seed = false;
  bool refine = false;
  std::string none;
  bool has_none = false;
  std::string out;
  std::string soft;
  CommonOptions common;
};

// A row per task and label that applies.
std::size_t write_labels(const std::string& path, const labels::AnnotationTable& table,
                         const labels::SoftLabels& probabilities) {
  CsvOutput lines(path);
  lines.field("task").field("label").end();
  std::size_t count = 0;
  for (const labels::Task task : table.appearance) {
    for (std::size_t k = 0; k < probabilities.classes; ++k) {
      if (!(probabilities.row(task)[k] > 0.5)) continue;
      lines.field(table.task_names[task]).field(table.label_names[k]).end();
      ++count;
    }
  }
  lines.commit();
  return count;
}

labels::AnnotationTable read_answers(const MultilabelOptions& options,
                                     std::uint64_t& empty_answers) {
  AnnotationOptions annotations = options.annotations;
  annotations.duplicates = "all";
  const std::vector<std::filesystem::path> paths(annotations.paths.begin(),
                                                 annotations.paths.end());
  labels::AnnotationFormat format = format_of(annotations);
  format.several_labels = true;
  format.empty_labels = options.has_none && options.none.empty();
  if (options.has_none && options.none == annotations.abstain && !options.none.empty()) {
    throw InputError("--none and --abstain are the same label '{}'", printable(options.none));
  }
  labels::AnnotationTable table = labels::read_annotations(paths, format);
  if (!annotations.abstain.empty()) {
    table =
        labels::with_abstentions(std::move(table), annotations.abstain, labels::Abstained::dropped);
  }
  if (options.has_none) {
    table = labels::with_empty_answers(std::move(table), options.none, empty_answers);
    if (empty_answers == 0) {
      log::warn("no answer says that no label applies (--none '{}')", printable(options.none));
    }
  }
  return table;
}

/// The answers and what was found of them.
struct Found {
  std::string method;
  labels::AnnotationTable answers;
  labels::SoftLabels probabilities;
  std::vector<std::string> warnings;
  std::optional<labels::MultilabelState> state;
  std::optional<labels::MultilabelReport> report;  // of the state
};

Found find_at_once(const MultilabelOptions& options, labels::AnnotationTable answers) {
  Found found;
  found.method = options.method.empty() ? "dawid-skene" : options.method;
  found.answers = std::move(answers);
  labels::FitContext context;
  context.seed = options.common.seed;
  context.parallel = options.common.parallel();
  found.probabilities = labels::binary_relevance(found.method, found.answers, options.parameters,
                                                 context, &found.warnings);
  return found;
}

labels::MultilabelState start_of(const MultilabelOptions& options) {
  if (options.states.from.empty()) {
    return {options.method.empty() ? "dawid-skene" : options.method, options.parameters,
            options.common.seed};
  }
  labels::MultilabelState state{labels::ColumnReader(options.states.from)};
  check_state_options(options.states, state.method(), options.method, options.parameters,
                      options.has_seed);
  return state;
}

Found find_by_state(const MultilabelOptions& options, const labels::AnnotationTable& answers) {
  Found found;
  labels::MultilabelState& state = found.state.emplace(start_of(options));
  labels::AbsorbOptions absorb;
  absorb.parallel = options.common.parallel();
  found.method = state.method();
  labels::MultilabelReport report = state.absorb(answers, absorb);
  if (options.refine) report.converged = state.refine(options.common.parallel());
  if (!report.converged) {
    log::warn("not every label had settled (at most {} sweeps)", report.sweeps);
  }
  found.report = report;
  found.answers = state.answers();
  found.probabilities = state.probabilities(&found.warnings);
  return found;
}

void add_report(Json& json, const labels::MultilabelReport& report) {
  json["added"] = report.annotations;
  json["new_tasks"] = report.new_tasks;
  json["new_workers"] = report.new_workers;
  json["new_labels"] = report.new_labels;
  json["tasks_updated"] = report.tasks_updated;
  json["stale_mass"] = report.stale_mass;
}

void run(const MultilabelOptions& options) {
  check_state_run(
      options.states,
      {.inputs = options.annotations.paths, .out = options.out, .outputs = {options.soft}},
      options.common);
  if (options.states.from.empty()) {
    const labels::LabelModelInfo& info =
        labels::find_label_model(options.method.empty() ? "dawid-skene" : options.method).info();
    parameters_from_arguments(info.name, info.parameters, options.parameters);
  }
  std::uint64_t empty_answers = 0;
  labels::AnnotationTable answers = read_answers(options, empty_answers);
  const bool by_state =
      !options.states.from.empty() || !options.states.state.empty() || options.refine;
  const Found found =
      by_state ? find_by_state(options, answers) : find_at_once(options, std::move(answers));
  for (const std::string& warning : found.warnings) log::warn("{}", warning);
  const std::size_t count = write_labels(options.out, found.answers, found.probabilities);
  if (!options.soft.empty()) {
    labels::write_soft_labels(options.soft, found.answers, found.probabilities);
  }
  if (found.state && !options.states.state.empty()) found.state->save(options.states.state);
  if (options.common.json) {
    Json json = {{"method", found.method},
                 {"tasks", found.answers.task_count()},
                 {"workers", found.answers.worker_count()},
                 {"labels", found.answers.label_count()},
                 {"empty_answers", empty_answers},
                 {"labels_found", count},
                 {"warnings", found.warnings}};
    if (found.report) add_report(json, *found.report);
    print_json(json);
  } else if (options.out != "-") {
    if (found.report && !options.states.from.empty()) {
      print(fmt::format(
          "{} answers taken in ({} new tasks, {} new workers, {} new labels): {} of {} tasks "
          "looked at\n",
          found.report->annotations, found.report->new_tasks, found.report->new_workers,
          found.report->new_labels, found.report->tasks_updated, found.answers.task_count()));
    }
    print(fmt::format("{}: {} labels of {} tasks\n", found.method, count,
                      found.answers.task_count()));
  }
}

}  // namespace

void register_label_multilabel(CLI::App& label) {
  CLI::App* app = label.add_subcommand(
      "multilabel", "Find which labels apply to each task, each by itself (binary relevance).");
  app->footer(example(
      "amalgam label multilabel annotations.csv --out labels.csv --soft probabilities.csv\n"
      "amalgam label multilabel annotations.csv --out labels.csv --state state.safetensors\n"
      "amalgam label multilabel today.csv --from state.safetensors --state state.safetensors "
      "--out labels.csv"));
  auto options = std::make_shared<MultilabelOptions>();
  add_annotation_options(*app, options->annotations);
  app->remove_option(app->get_option("--duplicates"));
  app->remove_option(app->get_option("--time"));
  app->add_option("--method", options->method,
                  "See 'amalgam label methods' (default: dawid-skene)");
  app->add_option("-p,--parameter", options->parameters, "Parameter of the method")
      ->type_name("NAME=VALUE");
  CLI::Option* none =
      app->add_option("--none", options->none,
                      "A label that says that none applies: who gives it says no to every label; "
                      "'' is an empty label (in an export: an answer without labels)")
          ->type_name("LABEL");
  app->add_option("--out", options->out,
                  "Write task,label, a row per label that applies; - is the standard output")
      ->required()
      ->type_name("LABELS.csv");
  app->add_option("--soft", options->soft, "Write the probability of each label")
      ->type_name("SOFT.csv");
  add_state_options(*app, options->states);
  add_refine_option(*app, options->refine);
  add_common_options(*app, options->common,
                     {Common::json, Common::quiet, Common::seed, Common::threads});
  app->callback([options, none, seed = app->get_option("--seed")] {
    options->has_none = none->count() > 0;
    options->has_seed = seed->count() > 0;
    run(*options);
  });
}

}  // namespace amalgam::cli
