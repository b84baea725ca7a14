#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "amalgam/core/error.hpp"
#include "amalgam/core/string_pool.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/csv_output.hpp"
#include "amalgam/data/table_cells.hpp"
#include "amalgam/labels/text/rover.hpp"
#include "cli/label_commands.hpp"
#include "cli/label_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

struct TextOptions {
  std::string path;
  std::string task = "task";
  std::string worker = "worker";
  std::string text = "text";
  std::string out;
  CommonOptions common;
};

/// The texts of each task, in the order of the workers' names.
struct Texts {
  StringPool tasks;
  std::vector<std::vector<std::pair<std::string, std::string>>> of_task;  // worker and text
};

Texts read_texts(const TextOptions& options) {
  TableRows rows(options.path);
  const std::size_t task_column = rows.column(options.task);
  const std::size_t worker_column = rows.column(options.worker);
  const std::size_t text_column = rows.column(options.text);
  Texts texts;
  while (rows.next()) {
    for (const std::size_t column : {task_column, worker_column}) {
      if (rows.cell(column).empty()) throw InputError("{}: the cell is empty", rows.place(column));
    }
    if (!is_utf8(rows.cell(text_column))) {
      throw InputError("{}: the text is not UTF-8", rows.place(text_column));
    }
    const std::uint32_t task = texts.tasks.add(rows.cell(task_column));
    if (task == texts.of_task.size()) texts.of_task.emplace_back();
    texts.of_task[task].emplace_back(rows.cell(worker_column), rows.cell(text_column));
  }
  if (texts.of_task.empty()) throw InputError("{}: it has no text", options.path);
  for (auto& annotations : texts.of_task) std::ranges::sort(annotations);
  return texts;
}

void run(const TextOptions& options) {
  check_outputs({options.path}, {options.out});
  if (options.common.json && options.out == "-") {
    throw InputError("--json and --out - both want the standard output");
  }
  const Texts texts = read_texts(options);
  std::vector<labels::Transcription> results(texts.of_task.size());
  parallel_for(options.common.parallel(), results.size(), [&](std::size_t task, std::size_t) {
    std::vector<std::string_view> of_task;
    for (const auto& [worker, text] : texts.of_task[task]) of_task.push_back(text);
    results[task] = labels::rover(of_task);
  });
  CsvOutput lines(options.out);
  lines.field("task").field("text").field("agreement").end();
  double agreement = 0;
  std::size_t annotations = 0;
  for (std::size_t task = 0; task < results.size(); ++task) {
    lines.field(texts.tasks[task]).field(results[task].text).field(results[task].agreement).end();
    agreement += results[task].agreement / static_cast<double>(results.size());
    annotations += texts.of_task[task].size();
  }
  lines.commit();
  if (options.common.json) {
    print_json({{"method", "rover"},
                {"tasks", results.size()},
                {"annotations", annotations},
                {"agreement", agreement}});
  } else if (options.out != "-") {
    print(fmt::format("rover: {} texts of {} tasks; agreement {:.4f}\n", annotations,
                      results.size(), agreement));
  }
}

}  // namespace

void register_label_text(CLI::App& label) {
  CLI::App* app = label.add_subcommand(
      "text", "Make one text of several transcriptions, by aligned words (ROVER).");
  app->footer(example("amalgam label text transcriptions.csv --out texts.csv"));
  auto options = std::make_shared<TextOptions>();
  app->add_option("texts", options->path,
                  "Comma- or tab-separated values with a header: who wrote what of which task")
      ->required()
      ->type_name("TEXTS");
  app->add_option("--task", options->task, "Column of the task")->capture_default_str();
  app->add_option("--worker", options->worker, "Column of who wrote it")->capture_default_str();
  app->add_option("--text", options->text, "Column of the text")->capture_default_str();
  app->add_option("--out", options->out, "Write task,text,agreement; - is the standard output")
      ->required()
      ->type_name("OUT.csv");
  add_common_options(*app, options->common, {Common::json, Common::quiet, Common::threads});
  app->callback([options] { run(*options); });
}

}  // namespace amalgam::cli
