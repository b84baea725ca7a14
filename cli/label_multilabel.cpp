#include <fmt/format.h>

#include <memory>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/csv_output.hpp"
#include "amalgam/labels/abstentions.hpp"
#include "amalgam/labels/label_files.hpp"
#include "amalgam/labels/multilabel.hpp"
#include "cli/label_commands.hpp"
#include "cli/label_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

struct MultilabelOptions {
  AnnotationOptions annotations;
  std::string method = "dawid-skene";
  std::vector<std::string> parameters;
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

void run(const MultilabelOptions& options) {
  check_outputs(options.annotations.paths, {options.out, options.soft});
  if (options.common.json && options.out == "-") {
    throw InputError("--json and --out - both want the standard output");
  }
  const labels::LabelModelInfo& info = labels::find_label_model(options.method).info();
  parameters_from_arguments(info.name, info.parameters, options.parameters);
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
  std::uint64_t empty_answers = 0;
  if (options.has_none) {
    table = labels::with_empty_answers(std::move(table), options.none, empty_answers);
    if (empty_answers == 0) {
      log::warn("no answer says that no label applies (--none '{}')", printable(options.none));
    }
  }
  labels::FitContext context;
  context.seed = options.common.seed;
  context.parallel = options.common.parallel();
  std::vector<std::string> warnings;
  const labels::SoftLabels probabilities =
      labels::binary_relevance(options.method, table, options.parameters, context, &warnings);
  for (const std::string& warning : warnings) log::warn("{}", warning);
  const std::size_t count = write_labels(options.out, table, probabilities);
  if (!options.soft.empty()) labels::write_soft_labels(options.soft, table, probabilities);
  if (options.common.json) {
    print_json({{"method", options.method},
                {"tasks", table.task_count()},
                {"workers", table.worker_count()},
                {"labels", table.label_count()},
                {"empty_answers", empty_answers},
                {"labels_found", count},
                {"warnings", warnings}});
  } else if (options.out != "-") {
    print(fmt::format("{}: {} labels of {} tasks\n", options.method, count, table.task_count()));
  }
}

}  // namespace

void register_label_multilabel(CLI::App& label) {
  CLI::App* app = label.add_subcommand(
      "multilabel", "Find which labels apply to each task, each by itself (binary relevance).");
  app->footer(example(
      "amalgam label multilabel annotations.csv --out labels.csv --soft probabilities.csv"));
  auto options = std::make_shared<MultilabelOptions>();
  add_annotation_options(*app, options->annotations);
  app->remove_option(app->get_option("--duplicates"));
  app->remove_option(app->get_option("--time"));
  app->add_option("--method", options->method, "See 'amalgam label methods'")
      ->capture_default_str();
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
  add_common_options(*app, options->common,
                     {Common::json, Common::quiet, Common::seed, Common::threads});
  app->callback([options, none] {
    options->has_none = none->count() > 0;
    run(*options);
  });
}

}  // namespace amalgam::cli
