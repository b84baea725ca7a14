// `amalgam label predict`: new tasks by a label model that was fitted before.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/labels/label_files.hpp"
#include "amalgam/labels/label_metrics.hpp"
#include "amalgam/labels/label_predictor.hpp"
#include "amalgam/labels/weak/vote_matrix.hpp"
#include "cli/label_commands.hpp"
#include "cli/label_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

using namespace labels;

struct PredictOptions {
  std::string model;
  AnnotationOptions annotations;
  std::string matrix;
  std::string item_column = "task";
  std::string gold;
  std::string out;
  std::string soft;
  CommonOptions common;
};

AnnotationTable read_rows(const PredictOptions& options, const LabelPredictor& model) {
  if (options.matrix.empty()) return read_annotations(options.annotations, options.common);
  return read_vote_matrix(
      options.matrix, {.classes = model.label_names().size(), .item_column = options.item_column});
}

Json json_of(const PredictOptions& options, const LabelPredictor& model,
             const AnnotationTable& table, const LabelPrediction& prediction, std::uint64_t ties) {
  return {{"model", options.model},
          {"method", model.method()},
          {"tasks", table.task_count()},
          {"annotations", prediction.used},
          {"of_unknown_workers", prediction.of_unknown_workers},
          {"uncovered", prediction.uncovered},
          {"ties", ties}};
}

void run(const PredictOptions& options) {
  std::vector<std::string> inputs = options.annotations.paths;
  inputs.insert(inputs.end(), {options.model, options.matrix, options.gold});
  check_outputs(inputs, {options.out, options.soft});
  if (options.annotations.paths.empty() == options.matrix.empty()) {
    throw InputError("expected either ANNOTATIONS or --matrix VOTES");
  }
  if (options.common.json && options.out == "-") {
    throw InputError("--json and --out - both want the standard output");
  }
  const LabelPredictor model = LabelPredictor::load(options.model);
  AnnotationTable table = read_rows(options, model);
  const LabelPrediction prediction = model.predict(table, options.common.parallel());
  if (prediction.of_unknown_workers > 0) {
    log::warn(
        "{} of {} annotations are of workers whom the model does not know ({}{}): they say "
        "nothing",
        prediction.of_unknown_workers, table.rows(), fmt::join(prediction.unknown, ", "),
        prediction.unknown.size() < 3 ? "" : ", ...");
  }
  set_label_names(table, model.label_names());
  HardLabels hard = hard_labels(prediction.soft);
  write_hard_labels(options.out, table, hard.labels);
  if (!options.soft.empty()) write_soft_labels(options.soft, table, prediction.soft);
  Json json = json_of(options, model, table, prediction, hard.ties);
  std::string text =
      fmt::format("{}: {} tasks by {} annotations; {} without any, {} ties\n", model.method(),
                  table.task_count(), prediction.used, prediction.uncovered, hard.ties);
  if (!options.gold.empty()) {
    const GoldFile gold = read_gold(options.gold, table, format_of(options.annotations), false);
    const LabelQuality quality = label_quality(hard.labels, gold.gold.labels);
    json["gold_tasks"] = quality.tasks;
    json["accuracy"] = quality.accuracy;
    json["macro_f1"] = quality.macro_f1;
    text += fmt::format("against gold ({} tasks): accuracy {:.4f}, macro-F1 {:.4f}\n",
                        quality.tasks, quality.accuracy, quality.macro_f1);
  }
  if (options.common.json) return print_json(json);
  if (options.out == "-") {
    fmt::print(stderr, "{}", text);
  } else {
    print(text);
  }
}

}  // namespace

void register_label_predict(CLI::App& label) {
  CLI::App* app = label.add_subcommand(
      "predict", "Label new tasks by what a fit learned of its workers, without fitting again.");
  app->footer(example(
      "amalgam label weak votes.npy --method generative --out l.csv --model m.safetensors\n"
      "amalgam label predict m.safetensors --matrix new.npy --out labels.csv --soft soft.csv\n"
      "amalgam label predict state.safetensors today.csv --out labels.csv"));
  auto options = std::make_shared<PredictOptions>();
  app->add_option("model", options->model,
                  "What --model of 'label aggregate' or 'label weak' wrote, or a --state")
      ->required()
      ->type_name("MODEL");
  add_annotation_options(*app, options->annotations);
  app->get_option("annotations")->required(false);
  app->add_option("--matrix", options->matrix,
                  "Votes of labelling functions instead of annotations, as 'label weak' reads them")
      ->type_name("VOTES");
  app->add_option("--item-column", options->item_column,
                  "Column of a CSV file of votes with the items' names")
      ->capture_default_str()
      ->type_name("COLUMN");
  app->add_option(
         "--gold", options->gold,
         "True labels of some tasks (columns task and label): prints accuracy and macro-F1")
      ->type_name("GOLD.csv");
  app->add_option("--out", options->out, "Write task,label; - is the standard output")
      ->required()
      ->type_name("LABELS.csv");
  app->add_option("--soft", options->soft, "Write the probability of each label")
      ->type_name("SOFT.csv");
  add_common_options(*app, options->common, {Common::json, Common::quiet, Common::threads});
  app->callback([options] { run(*options); });
}

}  // namespace amalgam::cli
