#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "amalgam/core/error.hpp"
#include "amalgam/data/csv_output.hpp"
#include "amalgam/labels/masks/mask_state.hpp"
#include "cli/label_commands.hpp"
#include "cli/label_options.hpp"
#include "cli/label_task_texts.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

struct MaskOptions {
  TaskTextFile file{.path = {}, .text = "mask"};
  std::string method;  ///< empty: the state's, or em
  StateOptions states;
  std::string out;
  std::string workers;
  CommonOptions common;
};

labels::MaskState start_of(const MaskOptions& options) {
  using Keep = labels::MaskState::Keep;
  if (options.states.from.empty()) {
    return labels::MaskState(options.method.empty() ? "em" : options.method,
                             options.states.state.empty() ? Keep::results : Keep::masks);
  }
  labels::MaskState state{labels::ColumnReader(options.states.from)};
  check_state_options(options.states, state.method(), options.method, {});
  return state;
}

/// Takes in the masks of the file. Images are only read when their task's turn comes.
labels::AbsorbReport absorb(labels::MaskState& state, const MaskOptions& options) {
  std::vector<std::string> places;
  labels::TaskTexts added =
      read_task_texts(options.file, [&](const TableRows& rows, std::size_t mask) {
        if (rows.cell(mask).empty()) throw InputError("{}: the cell is empty", rows.place(mask));
        places.push_back(rows.place(mask));
      });
  if (added.rows().empty()) throw InputError("{}: it has no mask", options.file.path);
  const std::filesystem::path folder = std::filesystem::path(options.file.path).parent_path();
  return state.absorb(std::move(added), {.mask =
                                             [&](std::string_view text, std::size_t row) {
                                               return text.ends_with(".npy")
                                                          ? labels::read_npy_mask(folder / text)
                                                          : labels::parse_mask(text, places[row]);
                                             },
                                         .where = options.file.path,
                                         .parallel = options.common.parallel()});
}

void write_skills(const std::string& path, const labels::MaskState& state) {
  CsvOutput lines(path);
  lines.field("task").field("worker").field("skill").end();
  const StringPool& tasks = state.masks().task_names();
  for (std::size_t task = 0; task < tasks.size(); ++task) {
    for (const labels::TaskText& mask : state.masks().of_task(static_cast<std::uint32_t>(task))) {
      lines.field(tasks[task]).field(mask.worker).field(state.skills()[mask.row]).end();
    }
  }
  lines.commit();
}

void run(const MaskOptions& options) {
  check_state_run(options.states,
                  {.inputs = {options.file.path}, .out = options.out, .outputs = {options.workers}},
                  options.common);
  labels::MaskState state = start_of(options);
  if (!options.workers.empty() && !state.judges_workers()) {
    throw InputError("--workers: method '{}' judges no worker; expected --method em",
                     state.method());
  }
  const labels::AbsorbReport report = absorb(state, options);
  warn_of_repeated(report);
  const std::vector<std::string>& results = state.results();
  CsvOutput lines(options.out);
  lines.field("task").field("mask").end();
  for (std::size_t task = 0; task < results.size(); ++task) {
    lines.field(state.masks().task_names()[task]).field(results[task]).end();
  }
  lines.commit();
  if (!options.workers.empty()) write_skills(options.workers, state);
  if (!options.states.state.empty()) state.save(options.states.state);
  const std::size_t annotations = state.masks().rows().size();
  if (options.common.json) {
    Json json = {
        {"method", state.method()}, {"tasks", results.size()}, {"annotations", annotations}};
    add_taken_in(json, report);
    print_json(json);
  } else if (options.out != "-") {
    if (!options.states.from.empty()) print(taken_in(report, results.size()));
    print(fmt::format("{}: {} masks of {} tasks\n", state.method(), annotations, results.size()));
  }
}

}  // namespace

void register_label_masks(CLI::App& label) {
  CLI::App* app = label.add_subcommand("masks", "Make one mask of several of the same image.");
  app->footer(
      example("amalgam label masks masks.csv --out masks-of-all.csv\n"
              "amalgam label masks masks.csv --method majority --out masks-of-all.csv\n"
              "amalgam label masks masks.csv --out masks-of-all.csv --state state.safetensors\n"
              "amalgam label masks today.csv --from state.safetensors --state state.safetensors "
              "--out masks-of-all.csv"));
  auto options = std::make_shared<MaskOptions>();
  app->add_option("masks", options->file.path,
                  "Comma- or tab-separated values with a header; a mask is the name of an .npy "
                  "file of 0 and 1, relative to this file, or ROWSxCOLUMNS:a,b,c,..., row by row a "
                  "pixels outside, b inside, c outside, and so on (in quotes where commas part "
                  "cells)")
      ->required()
      ->type_name("MASKS");
  app->add_option("--task", options->file.task, "Column of the task")->capture_default_str();
  app->add_option("--worker", options->file.worker, "Column of who drew it")->capture_default_str();
  app->add_option("--mask", options->file.text, "Column of the mask")->capture_default_str();
  app->add_option("--method", options->method,
                  "em: weighs workers by how often they are right (default); majority")
      ->check(CLI::IsMember({"em", "majority"}));
  app->add_option("--out", options->out, "Write task,mask, masks as runs; - is the standard output")
      ->required()
      ->type_name("OUT.csv");
  app->add_option("--workers", options->workers, "Write task,worker,skill (em)")
      ->type_name("WORKERS.csv");
  add_state_options(*app, options->states);
  add_common_options(*app, options->common, {Common::json, Common::quiet, Common::threads});
  app->callback([options] { run(*options); });
}

}  // namespace amalgam::cli
