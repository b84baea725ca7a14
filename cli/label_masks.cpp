#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "amalgam/core/error.hpp"
#include "amalgam/core/string_pool.hpp"
#include "amalgam/data/csv_output.hpp"
#include "amalgam/data/table_cells.hpp"
#include "amalgam/labels/masks/segmentation.hpp"
#include "cli/label_commands.hpp"
#include "cli/label_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

struct MaskOptions {
  std::string path;
  std::string task = "task";
  std::string worker = "worker";
  std::string mask = "mask";
  std::string method = "em";
  std::string out;
  std::string workers;
  CommonOptions common;
};

struct MaskAnnotation {
  std::string worker;
  std::string mask;   // as in the file
  std::string place;  // for errors
};

/// The masks of each task as texts, in the order of the workers' names: images are only read when
/// their task's turn comes.
struct MaskTexts {
  StringPool tasks;
  std::vector<std::vector<MaskAnnotation>> of_task;
};

MaskTexts read_rows(const MaskOptions& options) {
  TableRows rows(options.path);
  const std::size_t task_column = rows.column(options.task);
  const std::size_t worker_column = rows.column(options.worker);
  const std::size_t mask_column = rows.column(options.mask);
  MaskTexts texts;
  while (rows.next()) {
    for (const std::size_t column : {task_column, worker_column, mask_column}) {
      if (rows.cell(column).empty()) throw InputError("{}: the cell is empty", rows.place(column));
    }
    const std::uint32_t task = texts.tasks.add(rows.cell(task_column));
    if (task == texts.of_task.size()) texts.of_task.emplace_back();
    texts.of_task[task].push_back({std::string(rows.cell(worker_column)),
                                   std::string(rows.cell(mask_column)), rows.place(mask_column)});
  }
  if (texts.of_task.empty()) throw InputError("{}: it has no mask", options.path);
  for (auto& annotations : texts.of_task) {
    std::ranges::stable_sort(annotations, {}, &MaskAnnotation::worker);
  }
  return texts;
}

labels::Mask mask_of(const MaskOptions& options, const MaskAnnotation& annotation) {
  if (!annotation.mask.ends_with(".npy")) {
    return labels::parse_mask(annotation.mask, annotation.place);
  }
  return labels::read_npy_mask(std::filesystem::path(options.path).parent_path() / annotation.mask);
}

struct OneTask {
  std::string mask;            // as run lengths
  std::vector<double> skills;  // of the annotations, by EM
};

OneTask aggregate(const MaskOptions& options, std::string_view task,
                  const std::vector<MaskAnnotation>& annotations) {
  std::vector<labels::Mask> masks;
  masks.reserve(annotations.size());
  for (const MaskAnnotation& annotation : annotations) {
    masks.push_back(mask_of(options, annotation));
  }
  const std::string where =
      fmt::format("{}: task '{}'", options.path, printable(std::string(task)));
  if (options.method == "majority") {
    return {labels::mask_text(labels::majority_mask(masks, where)), {}};
  }
  labels::Segmentation found = labels::segmentation_em(masks, where);
  return {labels::mask_text(found.mask), std::move(found.skills)};
}

void write_skills(const MaskOptions& options, const MaskTexts& texts,
                  const std::vector<OneTask>& results) {
  CsvOutput lines(options.workers);
  lines.field("task").field("worker").field("skill").end();
  for (std::size_t task = 0; task < results.size(); ++task) {
    for (std::size_t i = 0; i < results[task].skills.size(); ++i) {
      lines.field(texts.tasks[task])
          .field(texts.of_task[task][i].worker)
          .field(results[task].skills[i])
          .end();
    }
  }
  lines.commit();
}

void run(const MaskOptions& options) {
  check_outputs({options.path}, {options.out, options.workers});
  if (options.common.json && options.out == "-") {
    throw InputError("--json and --out - both want the standard output");
  }
  if (!options.workers.empty() && options.method == "majority") {
    throw InputError("--workers: method 'majority' judges no worker; expected --method em");
  }
  const MaskTexts texts = read_rows(options);
  std::vector<OneTask> results(texts.of_task.size());
  parallel_for(options.common.parallel(), results.size(), [&](std::size_t task, std::size_t) {
    results[task] = aggregate(options, texts.tasks[task], texts.of_task[task]);
  });
  CsvOutput lines(options.out);
  lines.field("task").field("mask").end();
  std::size_t annotations = 0;
  for (std::size_t task = 0; task < results.size(); ++task) {
    lines.field(texts.tasks[task]).field(results[task].mask).end();
    annotations += texts.of_task[task].size();
  }
  lines.commit();
  if (!options.workers.empty()) write_skills(options, texts, results);
  if (options.common.json) {
    print_json(
        {{"method", options.method}, {"tasks", results.size()}, {"annotations", annotations}});
  } else if (options.out != "-") {
    print(fmt::format("{}: {} masks of {} tasks\n", options.method, annotations, results.size()));
  }
}

}  // namespace

void register_label_masks(CLI::App& label) {
  CLI::App* app = label.add_subcommand("masks", "Make one mask of several of the same image.");
  app->footer(
      example("amalgam label masks masks.csv --out masks-of-all.csv\n"
              "amalgam label masks masks.csv --method majority --out masks-of-all.csv"));
  auto options = std::make_shared<MaskOptions>();
  app->add_option("masks", options->path,
                  "Comma- or tab-separated values with a header; a mask is the name of an .npy "
                  "file of 0 and 1, relative to this file, or ROWSxCOLUMNS:a,b,c,..., row by row a "
                  "pixels outside, b inside, c outside, and so on (in quotes where commas part "
                  "cells)")
      ->required()
      ->type_name("MASKS");
  app->add_option("--task", options->task, "Column of the task")->capture_default_str();
  app->add_option("--worker", options->worker, "Column of who drew it")->capture_default_str();
  app->add_option("--mask", options->mask, "Column of the mask")->capture_default_str();
  app->add_option("--method", options->method,
                  "em: weighs workers by how often they are right; majority")
      ->check(CLI::IsMember({"em", "majority"}))
      ->capture_default_str();
  app->add_option("--out", options->out, "Write task,mask, masks as runs; - is the standard output")
      ->required()
      ->type_name("OUT.csv");
  app->add_option("--workers", options->workers, "Write task,worker,skill (em)")
      ->type_name("WORKERS.csv");
  add_common_options(*app, options->common, {Common::json, Common::quiet, Common::threads});
  app->callback([options] { run(*options); });
}

}  // namespace amalgam::cli
