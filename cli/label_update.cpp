#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <memory>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/labels/annotation_files.hpp"
#include "amalgam/labels/column_file.hpp"
#include "amalgam/labels/label_files.hpp"
#include "amalgam/labels/label_state.hpp"
#include "cli/label_commands.hpp"
#include "cli/label_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

struct UpdateCommand {
  std::string state;
  AnnotationOptions annotations;
  labels::AbsorbOptions absorb;
  std::string gold;
  bool refine = false;
  double refine_tolerance = 1e-6;
  std::size_t refine_sweeps = 1000;
  std::string save;
  std::string out;
  std::string soft;
  std::string workers;
  CommonOptions common;
};

labels::AbsorbOptions absorb_options(const UpdateCommand& command) {
  labels::AbsorbOptions options = command.absorb;
  options.parallel = command.common.parallel();
  if (command.gold.empty()) return options;
  options.gold = [&command](const labels::AnnotationTable& all) {
    return labels::read_gold(command.gold, all, format_of(command.annotations)).gold;
  };
  return options;
}

std::string summary_of(const labels::AbsorbReport& report, const labels::LabelState& fit,
                       double stale_mass) {
  const std::string taken =
      fmt::format("{} annotations taken in ({} new tasks, {} new workers): ", report.annotations,
                  report.new_tasks, report.new_workers);
  if (report.fits_everything) {
    const std::string change =
        std::isnan(report.largest_change)
            ? ""
            : fmt::format(", largest change of a probability {:.2g}", report.largest_change);
    return taken + fmt::format("all fitted again in {} sweeps{}\n", report.sweeps, change);
  }
  return taken + fmt::format("{} of {} tasks looked at, stale mass {:.2g}\n", report.tasks_updated,
                             fit.task_count(), stale_mass);
}

void run(const UpdateCommand& command) {
  const std::string save = command.save.empty() ? command.state : command.save;
  labels::check_state_name(save);
  std::vector<std::string> inputs = command.annotations.paths;
  inputs.push_back(command.gold);
  check_outputs(inputs, {save, command.out, command.soft, command.workers});
  check_outputs({command.state}, {command.out, command.soft, command.workers});
  const std::unique_ptr<labels::LabelState> fit = labels::load_label_state(command.state);
  labels::AbsorbReport report;
  const auto start = std::chrono::steady_clock::now();
  double seconds = 0;
  if (!command.annotations.paths.empty()) {
    AnnotationOptions annotations = command.annotations;
    annotations.marks_abstentions = fit->marks_abstentions();
    const labels::AnnotationTable added = read_annotations(annotations, command.common);
    const auto read = std::chrono::steady_clock::now();
    report = fit->absorb(added, absorb_options(command));
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - read).count();
    if (!report.converged) {
      log::warn("the update had not settled after {} sweeps", report.sweeps);
    }
  } else if (!command.refine) {
    throw InputError("expected annotations to take in, or --refine");
  } else if (!command.gold.empty()) {
    throw InputError("--gold needs annotations to take in, with which its labels are read");
  }
  labels::RefineReport refined;
  if (command.refine) {
    refined =
        fit->refine(command.refine_tolerance, command.refine_sweeps, command.common.parallel());
    if (!refined.converged) {
      log::warn(
          "{} sweeps over everything did not settle it: the largest change of a probability "
          "was {:.2g}",
          refined.sweeps, refined.largest_change);
    }
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  if (!command.out.empty() || !command.soft.empty() || !command.workers.empty()) {
    const labels::LabelState::Result result = fit->result();
    for (const std::string& warning : result.fit.warnings) log::warn("{}", warning);
    if (!command.out.empty()) {
      labels::write_hard_labels(command.out, result.table,
                                labels::hard_labels(result.fit.posterior).labels);
    }
    if (!command.soft.empty()) {
      labels::write_soft_labels(command.soft, result.table, result.fit.posterior);
    }
    if (!command.workers.empty()) {
      labels::write_workers(command.workers, result.table, result.fit);
    }
  }
  fit->save(save);
  if (command.common.json) {
    Json json = {{"state", save},
                 {"method", fit->method()},
                 {"annotations", fit->annotations()},
                 {"tasks", fit->task_count()},
                 {"workers", fit->worker_count()},
                 {"added", report.annotations},
                 {"new_tasks", report.new_tasks},
                 {"new_workers", report.new_workers},
                 {"sweeps", report.sweeps},
                 {"tasks_updated", report.tasks_updated},
                 {"workers_updated", report.workers_updated},
                 {"largest_change", report.largest_change},
                 {"stale_mass", command.refine ? 0.0 : report.stale_mass},
                 {"fits_everything", report.fits_everything},
                 {"refine_sweeps", refined.sweeps},
                 {"seconds", seconds}};
    print_json(json);
  } else if (command.out != "-") {
    std::string text;
    if (report.annotations > 0) {
      text = summary_of(report, *fit, command.refine ? 0.0 : report.stale_mass);
    }
    if (command.refine) text += fmt::format("{} sweeps over everything\n", refined.sweeps);
    print(text);
  }
}

}  // namespace

void register_label_update(CLI::App& label) {
  CLI::App* app = label.add_subcommand(
      "update",
      "Take more annotations into a state: in time proportional to what they change, or by another "
      "fit.");
  app->footer(
      example("amalgam label aggregate annotations.csv --out labels.csv --state state.safetensors\n"
              "amalgam label update state.safetensors today.csv --out labels.csv\n"
              "amalgam label update state.safetensors --refine --out labels.csv"));
  auto command = std::make_shared<UpdateCommand>();
  app->add_option("state", command->state, "What 'label aggregate --state' wrote")
      ->required()
      ->type_name("STATE");
  add_annotation_options(*app, command->annotations);
  app->get_option("annotations")->required(false);
  app->add_option(
         "--tolerance", command->absorb.tolerance,
         "End when no probability changes by more; this and the next one are of Dawid-Skene and "
         "its kin, other methods fit everything by their own parameters")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app->add_option("--spread", command->absorb.spread,
                  "Look again at all tasks of a worker once this share of his annotations is of "
                  "changed tasks; 0: everybody's")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app->add_option("--gold", command->gold,
                  "Take these labels (columns task and label) as known from now on, in place of "
                  "what the state knew of the same tasks; for methods that can")
      ->type_name("GOLD.csv");
  app->add_flag("--refine", command->refine,
                "Then sweep over everything until it settles, or fit everything anew");
  app->add_option("--refine-tolerance", command->refine_tolerance,
                  "End of --refine of Dawid-Skene and its kin: no probability changes by more")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app->add_option("--max-iter", command->refine_sweeps,
                  "Most sweeps of --refine of Dawid-Skene and its kin")
      ->check(whole_number())
      ->capture_default_str();
  app->add_option("--save", command->save, "Write the new state here (default: in place)")
      ->type_name("STATE");
  app->add_option("--out", command->out, "Write task,label")->type_name("LABELS.csv");
  app->add_option("--soft", command->soft, "Write the probability of each label")
      ->type_name("SOFT.csv");
  app->add_option("--workers", command->workers, "Write each worker's skill")
      ->type_name("WORKERS.csv");
  add_common_options(*app, command->common, {Common::json, Common::quiet, Common::threads});
  app->callback([command] { run(*command); });
}

}  // namespace amalgam::cli
