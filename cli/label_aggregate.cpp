#include <fmt/format.h>

#include <chrono>
#include <memory>

#include "amalgam/core/cluster.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/labels/column_file.hpp"
#include "amalgam/labels/confusion_file.hpp"
#include "amalgam/labels/label_files.hpp"
#include "amalgam/labels/label_metrics.hpp"
#include "amalgam/labels/label_predictor.hpp"
#include "amalgam/labels/label_state.hpp"
#include "cli/label_commands.hpp"
#include "cli/label_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

struct AggregateOptions {
  AnnotationOptions annotations;
  std::string method = "dawid-skene";
  std::vector<std::string> parameters;
  std::size_t iterations = 0;
  double tolerance = 0;
  bool has_iterations = false;
  bool has_tolerance = false;
  std::string gold;
  bool new_gold_labels = false;
  bool use_gold = false;
  std::string initial_confusion;
  double initial_weight = 0;
  std::string out;
  std::string soft;
  std::string workers;
  std::string confusion;
  std::string tasks;
  std::string state;
  std::string model;
  double settle = labels::kSettled;
  CommonOptions common;
};

std::vector<std::string> parameters_of(const AggregateOptions& options) {
  std::vector<std::string> parameters = options.parameters;
  if (options.has_iterations)
    parameters.push_back(fmt::format("iterations={}", options.iterations));
  if (options.has_tolerance) parameters.push_back(fmt::format("tolerance={}", options.tolerance));
  return parameters;
}

struct Aggregated {
  labels::AnnotationTable table;
  labels::TableNotes notes;
  std::optional<labels::GoldFile> gold;
  labels::LabelFit fit;
  labels::HardLabels hard;
  double seconds = 0;  // of the fit
};

std::uint64_t tasks_without_annotations(const labels::AnnotationTable& table) {
  std::uint64_t count = 0;
  for (std::size_t task = 0; task < table.task_count(); ++task) {
    const auto [begin, end] = table.rows_of(static_cast<labels::Task>(task));
    double weight = 0;
    for (std::size_t row = begin; row < end; ++row) weight += table.weight(row);
    count += weight > 0 ? 0 : 1;
  }
  return count;
}

// Gold labels beyond those of the table cannot be taken as known.
void check_usable(const labels::GoldFile& gold) {
  if (gold.new_labels > 0) {
    throw InputError(
        "{} gold labels are none that the annotations have; a method that learns from "
        "gold cannot use them",
        gold.new_labels);
  }
}

void check_initial_confusion(const AggregateOptions& options) {
  if (options.initial_confusion.empty()) {
    if (options.initial_weight == 0) return;
    throw InputError("--initial-weight needs --initial-confusion");
  }
  if (options.method != "dawid-skene") {
    throw InputError(
        "method '{}' cannot start from confusion matrices (--initial-confusion); dawid-skene can",
        options.method);
  }
}

labels::ConfusionFile read_initial_confusion(const AggregateOptions& options,
                                             const labels::AnnotationTable& table) {
  labels::ConfusionFile file =
      labels::read_confusion(options.initial_confusion, table, options.initial_weight);
  if (file.elsewhere > 0) {
    log::warn(
        "{}: {} of {} rows are of workers or labels that the annotations do not have; they say "
        "nothing",
        options.initial_confusion, file.elsewhere, file.elsewhere + file.used);
  }
  return file;
}

// Figures of no task are none; most often the names of tasks are spelled differently.
void warn_of_gold_elsewhere(const Aggregated& result) {
  if (!result.gold || result.gold->uncovered < result.gold->tasks) return;
  log::warn("none of the {} gold tasks has annotations: nothing can be judged by them",
            result.gold->tasks);
}

Aggregated aggregate(const AggregateOptions& options) {
  const labels::LabelModelInfo& info = labels::find_label_model(options.method).info();
  const std::vector<std::string> parameters = parameters_of(options);
  // Before the files are read.
  const Parameters values = parameters_from_arguments(info.name, info.parameters, parameters);
  if (info.needs_gold && options.gold.empty()) {
    throw InputError("method '{}' needs gold labels (--gold)", info.name);
  }
  if (options.use_gold && !info.uses_gold && !info.needs_gold) {
    throw InputError("method '{}' cannot take gold labels as known (--use-gold)", info.name);
  }
  if (options.use_gold && options.gold.empty()) {
    throw InputError("--use-gold needs --gold");
  }
  if (options.use_gold && !options.state.empty() && !labels::holds_gold(options.method)) {
    throw InputError(
        "a state (--state) of '{}' cannot hold gold labels as known (--use-gold); those of other "
        "methods can, such as glad or bcc",
        options.method);
  }
  check_initial_confusion(options);
  AnnotationOptions annotations = options.annotations;
  annotations.marks_abstentions =
      values.has("abstentions") && values.text("abstentions") == "marked";
  Aggregated result;
  result.table = read_annotations(annotations, options.common, &result.notes);
  if (!options.gold.empty()) {
    result.gold = labels::read_gold(options.gold, result.table, format_of(options.annotations),
                                    options.new_gold_labels);
  }
  labels::FitContext context;
  context.seed = options.common.seed;
  context.parallel = options.common.parallel();
  context.cluster = joined_cluster();
  context.keep_evidence = !options.model.empty();
  if (options.use_gold || info.needs_gold) {
    check_usable(*result.gold);
    context.gold = &result.gold->gold;
  }
  labels::ConfusionFile initial;
  if (!options.initial_confusion.empty()) {
    initial = read_initial_confusion(options, result.table);
    context.initial_confusion = &initial.confusion;
  }
  Progress progress(options.method, 0, Progress::Unit::items, options.common.progress_mode());
  context.on_iteration = [&](std::size_t iteration, std::optional<double> objective) {
    progress.advance(1);
    progress.describe(objective
                          ? fmt::format("iteration {}, objective {:.6g}", iteration, *objective)
                          : fmt::format("iteration {}", iteration));
  };
  const auto start = std::chrono::steady_clock::now();
  if (!options.state.empty()) {
    const std::unique_ptr<labels::LabelState> state =
        labels::make_label_state(result.table, options.method, parameters, context);
    const labels::RefineReport settled =
        state->refine(options.settle, labels::kSettlingSweeps, context.parallel);
    if (!settled.converged) {
      log::warn(
          "the state had not settled after {} sweeps: the largest change of a probability "
          "was {:.2g}",
          settled.sweeps, settled.largest_change);
    }
    result.fit = state->result(context.keep_evidence).fit;
    state->save(options.state);
    result.fit.iterations = settled.sweeps;
    result.fit.converged = result.fit.converged && settled.converged;
  } else {
    result.fit = labels::fit_labels(options.method, result.table, parameters, context);
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  progress.finish();
  for (const std::string& warning : result.fit.warnings) log::warn("{}", warning);
  if (!result.fit.converged) {
    log::warn("{} had not converged after {} iterations (--max-iter)", options.method,
              result.fit.iterations);
  }
  result.hard = labels::hard_labels(result.fit.posterior);
  warn_of_gold_elsewhere(result);
  return result;
}

void write_files(const AggregateOptions& options, const Aggregated& result) {
  using namespace labels;
  write_hard_labels(options.out, result.table, result.hard.labels);
  if (!options.soft.empty()) write_soft_labels(options.soft, result.table, result.fit.posterior);
  if (!options.workers.empty()) {
    write_workers(options.workers, result.table, result.fit,
                  result.gold ? &result.gold->gold : nullptr);
  }
  if (!options.confusion.empty()) write_confusion(options.confusion, result.table, result.fit);
  if (!options.tasks.empty()) write_task_columns(options.tasks, result.table, result.fit);
  if (!options.model.empty()) {
    LabelPredictor(options.method, result.table, result.fit).save(options.model);
  }
}

// Tasks without an annotation have the prior's label; they count as uncovered, not as right.
std::vector<labels::Label> covered_labels(const Aggregated& result) {
  std::vector<labels::Label> covered = result.hard.labels;
  for (std::size_t task = 0; task < covered.size(); ++task) {
    const auto [begin, end] = result.table.rows_of(static_cast<labels::Task>(task));
    if (begin == end) covered[task] = labels::kNoLabel;
  }
  return covered;
}

Json json_of(const AggregateOptions& options, const Aggregated& result) {
  Json names = Json::array();
  for (std::size_t k = 0; k < result.table.label_count(); ++k) {
    names.push_back(std::string(result.table.label_names[k]));
  }
  Json json = {{"method", options.method},
               {"tasks", result.table.task_count()},
               {"workers", result.table.worker_count()},
               {"annotations", result.table.rows()},
               {"labels", std::move(names)},
               {"duplicates", result.notes.duplicates},
               {"ties", result.hard.ties},
               {"uncovered", tasks_without_annotations(result.table)},
               {"iterations", result.fit.iterations},
               {"converged", result.fit.converged},
               {"trace", result.fit.trace},
               {"seconds", result.seconds},
               {"warnings", result.fit.warnings}};
  if (!result.fit.prior.empty()) json["prior"] = result.fit.prior;
  if (result.fit.mean_diagonal) json["mean_diagonal"] = *result.fit.mean_diagonal;
  if (!result.gold) return json;
  const labels::LabelQuality quality =
      labels::label_quality(covered_labels(result), result.gold->gold.labels);
  const labels::SoftQuality soft =
      labels::soft_quality(result.fit.posterior, result.gold->gold.labels);
  json["gold_tasks"] = quality.tasks;
  json["gold_uncovered"] = result.gold->uncovered;
  json["accuracy"] = quality.accuracy;
  json["macro_f1"] = quality.macro_f1;
  json["nll"] = soft.nll;
  json["brier"] = soft.brier;
  json["ece"] = soft.ece;
  return json;
}

void show(const AggregateOptions& options, const Aggregated& result) {
  std::string text =
      fmt::format("{}: {} tasks, {} workers, {} annotations, {} labels; {} ties\n", options.method,
                  result.table.task_count(), result.table.worker_count(), result.table.rows(),
                  result.table.label_count(), result.hard.ties);
  if (result.fit.iterations > 0) {
    text += fmt::format("{} iterations in {:.2f} s{}\n", result.fit.iterations, result.seconds,
                        result.fit.converged ? "" : " (not converged)");
  }
  if (result.fit.mean_diagonal) {
    text += fmt::format("mean probability of being right, over workers and labels: {:.4f}\n",
                        *result.fit.mean_diagonal);
  }
  if (result.gold) {
    const labels::LabelQuality quality =
        labels::label_quality(covered_labels(result), result.gold->gold.labels);
    const labels::SoftQuality soft =
        labels::soft_quality(result.fit.posterior, result.gold->gold.labels);
    text += fmt::format(
        "against gold ({} tasks, {} more without annotations): accuracy {:.4f}, "
        "macro-F1 {:.4f}, NLL {:.4f}, Brier {:.4f}, ECE {:.4f}\n",
        quality.tasks, result.gold->uncovered, quality.accuracy, quality.macro_f1, soft.nll,
        soft.brier, soft.ece);
  }
  // Labels on the standard output stay a file of labels.
  if (options.out == "-") {
    fmt::print(stderr, "{}", text);
  } else {
    print(text);
  }
}

void run(const AggregateOptions& options) {
  std::vector<std::string> inputs = options.annotations.paths;
  inputs.insert(inputs.end(), {options.gold, options.initial_confusion});
  check_outputs(inputs, {options.out, options.soft, options.workers, options.confusion,
                         options.tasks, options.state, options.model});
  if (options.common.json && options.out == "-") {
    throw InputError("--json and --out - both want the standard output");
  }
  if (!options.state.empty()) labels::check_state_name(options.state);
  if (!options.model.empty()) labels::check_state_name(options.model);
  const Aggregated result = aggregate(options);
  // All processes of a job have the same result.
  if (const Cluster* cluster = joined_cluster(); cluster != nullptr && cluster->rank() > 0) return;
  write_files(options, result);
  if (options.common.json) {
    print_json(json_of(options, result));
  } else {
    show(options, result);
  }
}

}  // namespace

void register_label_aggregate(CLI::App& label) {
  CLI::App* app = label.add_subcommand("aggregate",
                                       "Find the label of each task, and how good each worker is.");
  app->footer(example(
      "amalgam label aggregate annotations.csv --method dawid-skene --out labels.csv\n"
      "amalgam label aggregate votes.tsv --method glad --out labels.csv --soft soft.csv "
      "--workers workers.csv\n"
      "amalgam label aggregate annotations.csv --method mace --gold gold.csv --json --out l.csv\n"
      "amalgam label aggregate votes.csv --abstain unsure -p abstentions=marked --out labels.csv"));
  auto options = std::make_shared<AggregateOptions>();
  add_annotation_options(*app, options->annotations);
  app->add_option("--method", options->method, "See 'amalgam label methods'")
      ->capture_default_str();
  app->add_option("-p,--parameter", options->parameters, "Parameter of the method")
      ->type_name("NAME=VALUE");
  CLI::Option* iterations =
      app->add_option("--max-iter", options->iterations, "Most iterations")->check(whole_number());
  CLI::Option* tolerance = app->add_option("--tolerance", options->tolerance,
                                           "End when the objective rises by less per annotation");
  app->add_option(
      "--gold", options->gold,
      "True labels of some tasks (columns task and label): prints accuracy and macro-F1");
  app->add_flag("--use-gold", options->use_gold, "Let the method take the gold labels as known");
  app->add_flag("--new-gold-labels", options->new_gold_labels,
                "Accept gold labels that no annotation has: they are never found");
  app->add_option("--initial-confusion", options->initial_confusion,
                  "Start from these confusion matrices, as --confusion writes them, instead of the "
                  "votes' (dawid-skene)")
      ->type_name("CONFUSION.csv");
  app->add_option("--initial-weight", options->initial_weight,
                  "Add them to the votes' first counts, as N annotations of each true label, "
                  "instead of taking them in place (workers may be missing then)")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  app->add_option("--out", options->out, "Write task,label; - is the standard output")
      ->required()
      ->type_name("LABELS.csv");
  app->add_option("--soft", options->soft, "Write the probability of each label")
      ->type_name("SOFT.csv");
  app->add_option("--workers", options->workers,
                  "Write each worker's skill, and how often he gave the label that was found")
      ->type_name("WORKERS.csv");
  app->add_option("--confusion", options->confusion, "Write each worker's confusion matrix")
      ->type_name("CONFUSION.csv");
  app->add_option(
         "--tasks", options->tasks,
         "Write of each task the number of annotations, the label's probability, entropy, whether "
         "labels are tied, and what else the method says")
      ->type_name("TASKS.csv");
  app->add_option(
         "--state", options->state,
         "Write a state that 'label update' takes further annotations into; Dawid-Skene and "
         "its kin are fitted until no probability changes by --settle")
      ->type_name("STATE.safetensors");
  app->add_option(
         "--model", options->model,
         "Write what was learned of the workers, by which 'label predict' labels new tasks")
      ->type_name("MODEL.safetensors");
  app->add_option("--settle", options->settle, "See --state")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  add_common_options(*app, options->common,
                     {Common::json, Common::quiet, Common::seed, Common::threads});
  app->callback([options, iterations, tolerance] {
    options->has_iterations = iterations->count() > 0;
    options->has_tolerance = tolerance->count() > 0;
    run(*options);
  });
}

}  // namespace amalgam::cli
