#include <fmt/format.h>

#include <memory>

#include "amalgam/core/error.hpp"
#include "amalgam/data/csv_output.hpp"
#include "amalgam/labels/text/transcription_state.hpp"
#include "cli/label_commands.hpp"
#include "cli/label_options.hpp"
#include "cli/label_task_texts.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

struct TextOptions {
  TaskTextFile file{.path = {}, .text = "text"};
  StateOptions states;
  std::string out;
  CommonOptions common;
};

labels::TranscriptionState start_of(const TextOptions& options) {
  if (options.states.from.empty()) return {};
  return labels::TranscriptionState(labels::ColumnReader(options.states.from));
}

void run(const TextOptions& options) {
  check_state_run(options.states, {.inputs = {options.file.path}, .out = options.out},
                  options.common);
  labels::TranscriptionState state = start_of(options);
  labels::TaskTexts added = read_task_texts(options.file);
  if (added.rows().empty()) throw InputError("{}: it has no text", options.file.path);
  const labels::AbsorbReport report = state.absorb(std::move(added), options.common.parallel());
  warn_of_repeated(report);
  const std::vector<labels::Transcription>& results = state.results();
  CsvOutput lines(options.out);
  lines.field("task").field("text").field("agreement").end();
  double agreement = 0;
  for (std::size_t task = 0; task < results.size(); ++task) {
    lines.field(state.texts().task_names()[task])
        .field(results[task].text)
        .field(results[task].agreement)
        .end();
    agreement += results[task].agreement / static_cast<double>(results.size());
  }
  lines.commit();
  if (!options.states.state.empty()) state.save(options.states.state);
  const std::size_t annotations = state.texts().rows().size();
  if (options.common.json) {
    Json json = {{"method", "rover"}, {"tasks", results.size()}, {"annotations", annotations}};
    add_taken_in(json, report);
    json["agreement"] = agreement;
    print_json(json);
  } else if (options.out != "-") {
    if (!options.states.from.empty()) print(taken_in(report, results.size()));
    print(fmt::format("rover: {} texts of {} tasks; agreement {:.4f}\n", annotations,
                      results.size(), agreement));
  }
}

}  // namespace

void register_label_text(CLI::App& label) {
  CLI::App* app = label.add_subcommand(
      "text", "Make one text of several transcriptions, by aligned words (ROVER).");
  app->footer(
      example("amalgam label text transcriptions.csv --out texts.csv\n"
              "amalgam label text transcriptions.csv --out texts.csv --state state.safetensors\n"
              "amalgam label text today.csv --from state.safetensors --state state.safetensors "
              "--out texts.csv"));
  auto options = std::make_shared<TextOptions>();
  app->add_option("texts", options->file.path,
                  "Comma- or tab-separated values with a header: who wrote what of which task")
      ->required()
      ->type_name("TEXTS");
  app->add_option("--task", options->file.task, "Column of the task")->capture_default_str();
  app->add_option("--worker", options->file.worker, "Column of who wrote it")
      ->capture_default_str();
  app->add_option("--text", options->file.text, "Column of the text")->capture_default_str();
  app->add_option("--out", options->out, "Write task,text,agreement; - is the standard output")
      ->required()
      ->type_name("OUT.csv");
  add_state_options(*app, options->states);
  add_common_options(*app, options->common, {Common::json, Common::quiet, Common::threads});
  app->callback([options] { run(*options); });
}

}  // namespace amalgam::cli
