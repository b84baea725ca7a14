// `amalgam study difficulty`: the bits of inductive bias that a task needs, from data or constants.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/data/table_cells.hpp"
#include "amalgam/data/text_output.hpp"
#include "amalgam/scores/studies/difficulty.hpp"
#include "amalgam/scores/studies/task_constants.hpp"
#include "cli/output.hpp"
#include "cli/study_commands.hpp"
#include "cli/study_difficulty_options.hpp"
#include "cli/study_difficulty_output.hpp"

namespace amalgam::cli {
namespace {

using scores::Difficulty;
using scores::LabelledPoints;
using scores::SphereTask;
using scores::TaskConstants;

double required(const std::optional<double>& value, const char* option, const char* kind) {
  if (!value) throw InputError("a task of {} by its constants needs {}", kind, option);
  return *value;
}

LabelledPoints read_points(const DifficultyCommand& command) {
  const std::filesystem::path path(command.data);
  LabelledPoints points;
  if (path.extension() == ".npy") {
    if (command.labels.empty()) {
      throw InputError("{}: features in a .npy file need --labels LABELS.npy", command.data);
    }
    points = scores::read_point_arrays(path, command.labels);
  } else if (std::filesystem::is_regular_file(path)) {
    if (command.label.empty()) {
      throw InputError("{}: a table needs --label COLUMN, which holds the class", command.data);
    }
    points = scores::read_point_table(
        path, {.label = command.label, .features = command.features, .ignore = command.ignore});
  } else {
    points = scores::read_point_images(command.data, parse_split(command.split));
  }
  if (command.limit > 0) points = scores::first_points(points, command.limit);
  if (command.standardise) scores::standardise(points);
  return points;
}

// Shows one bar after the other.
class MeasuringProgress {
 public:
  explicit MeasuringProgress(const CommonOptions& common) : mode_(common.progress_mode()) {}
  void operator()(const char* what, std::size_t done, std::size_t all) {
    const std::lock_guard lock(mutex_);
    if (what_ != what) {
      bar_.reset();
      bar_ = std::make_unique<Progress>(what, all, Progress::Unit::items, mode_);
      what_ = what;
    }
    bar_->advance(done);
  }

 private:
  Progress::Mode mode_;
  std::mutex mutex_;
  std::string what_;
  std::unique_ptr<Progress> bar_;
};

TaskConstants measure(const DifficultyCommand& command, const LabelledPoints& points) {
  using Way = scores::SeparationOptions::Way;
  const scores::SeparationOptions separation{
      .way = command.resolution_by == "closest" ? Way::closest : Way::extreme_value,
      .sample = command.sample,
      .pairs = command.pairs,
      .tail = command.tail,
      .at_least = command.ignore_below,
      .seed = command.common.seed};
  MeasuringProgress progress(command.common);
  return measure_task(
      points,
      {.neighbours = command.neighbours,
       .queries = command.queries,
       .separation = command.resolution ? nullptr : &separation,
       .seed = command.common.seed},
      command.common.parallel(),
      [&](const char* what, std::size_t done, std::size_t all) { progress(what, done, all); });
}

double estimated_dimension(const DifficultyCommand& command, const TaskConstants& found) {
  if (command.dimension_by == "two-nearest") return found.two_nearest_dimension;
  if (command.dimension_by == "participation") return found.participation_ratio;
  if (command.dimension_by == "components") {
    return static_cast<double>(found.principal_components);
  }
  return found.likelihood_dimension;
}

SphereTask task_beside(const std::string& text) {
  const std::vector<std::string> parts = split(text, ',');
  std::vector<double> numbers;
  for (const std::string& part : parts) {
    if (const auto number = cell_number(trimmed_cell(part))) numbers.push_back(*number);
  }
  if (parts.size() != 4 || numbers.size() != 4) {
    throw InputError("--beside '{}'; expected COUNT,DIMENSION,RADIUS,CLASSES", text);
  }
  return scores::classification_task(numbers[0], numbers[1], numbers[2], 1, numbers[3]);
}

DifficultTask classification(const DifficultyCommand& command, const TaskConstants* found) {
  const char* const kind = "classification";
  DifficultTask task;
  double dimension = 0;
  if (command.dimension || found == nullptr) {
    dimension = required(command.dimension, "--dimension", kind);
  } else {
    task.estimated_dimension = estimated_dimension(command, *found);
    dimension =
        command.keep_fraction ? *task.estimated_dimension : std::round(*task.estimated_dimension);
    task.rounded_off = *task.estimated_dimension - dimension;
    if (!(dimension >= 1)) {
      throw InputError("{}: the dimension is estimated as {}, below 1", command.data,
                       *task.estimated_dimension);
    }
  }
  const auto constant = [&](const std::optional<double>& given, const char* option,
                            double measured) {
    return given || found == nullptr ? required(given, option, kind) : measured;
  };
  task.sphere = scores::classification_task(
      constant(command.count, "--count", found ? static_cast<double>(found->examples) : 0),
      dimension, constant(command.radius, "--radius", found ? found->radius : 0),
      constant(command.resolution, "--resolution", found ? found->separation.distance : 0),
      constant(command.classes, "--classes", found ? static_cast<double>(found->classes) : 0));
  if (command.outputs) task.sphere.log_outputs = portable_log(*command.outputs);
  if (command.bound) task.sphere.bound = *command.bound;
  if (!command.beside.empty()) {
    task.sphere = scores::shown_together(task.sphere, task_beside(command.beside));
  }
  return task;
}

DifficultTask task_by_constants(const DifficultyCommand& command) {
  DifficultTask task;
  if (command.kind == "control") {
    task.on_torus = true;
    task.torus = {.log_examples = portable_log(required(command.count, "--count", "control")),
                  .dimension = required(command.dimension, "--dimension", "control"),
                  .resolution = required(command.resolution, "--resolution", "control"),
                  .outputs = command.outputs.value_or(1)};
  } else {
    const char* const kind = "few-shot classification";
    task.sphere = scores::sphere_task(
        {.log_examples = portable_log(required(command.count, "--count", kind)),
         .ways = required(command.ways, "--ways", kind),
         .dimension_within = required(command.dimension_within, "--dimension-within", kind),
         .dimension_across = required(command.dimension, "--dimension", kind),
         .radius = required(command.radius, "--radius", kind),
         .resolution = required(command.resolution, "--resolution", kind)});
  }
  return task;
}

std::vector<std::string> warnings_of(const DifficultyCommand& command,
                                     const DifficultyReport& report) {
  const std::optional<TaskConstants>& found = report.found;
  const DifficultTask& task = report.task;
  std::vector<std::string> warnings;
  if (found && found->distinct < found->examples) {
    warnings.push_back(
        fmt::format("{} of {} points are copies of others; neighbours are looked for"
                    " among the {} distinct ones",
                    found->examples - found->distinct, found->examples, found->distinct));
  }
  if (found && !command.resolution && !found->separation.all_pairs) {
    warnings.push_back(
        "the resolution is not from all pairs of points, and too large by what was"
        " not seen");
  }
  if (task.estimated_dimension && !command.keep_fraction) {
    warnings.push_back(
        fmt::format("the dimension {:.2f} is rounded to {}: bits change by decades"
                    " per unit of it",
                    *task.estimated_dimension, task.dimension()));
  }
  for (const Difficulty& result : report.results) {
    if (result.over_determined) {
      warnings.push_back("the training set leaves no freedom: 0 bits");
      break;
    }
    if (result.everything_general) {
      warnings.push_back(
          fmt::format("an error of {} allows every hypothesis: 0 bits", result.error));
      break;
    }
  }
  return warnings;
}

void check_command(const DifficultyCommand& command) {
  if (command.data.empty() && command.kind == "classification" && !command.count) {
    throw InputError(
        "a table, .npy file or folder of images is needed, or the constants of a task"
        " (--count, --dimension, --radius, --resolution, --classes)");
  }
  if (!command.data.empty() && command.kind != "classification") {
    throw InputError("a task of {} is told by its constants; '{}' would not be looked at",
                     command.kind, command.data);
  }
  const bool few_shot = command.kind == "few-shot";
  if (!few_shot && (command.ways || command.dimension_within)) {
    throw InputError("--ways and --dimension-within are for --kind few-shot");
  }
  if (command.kind != "classification" && (command.bound || !command.beside.empty())) {
    throw InputError("--bound and --beside are for --kind classification");
  }
  if ((command.kind == "control" && (command.radius || command.classes)) ||
      (few_shot && (command.classes || command.outputs))) {
    throw InputError("--kind {} has no {}", command.kind,
                     few_shot ? "--classes or --outputs" : "--radius or --classes");
  }
}

void run(const DifficultyCommand& command) {
  check_command(command);
  check_outputs({command.data, command.labels}, {command.out, command.html});
  if (command.html == "-" || command.out == "-") {
    throw InputError("{} - and the result both want the standard output",
                     command.html == "-" ? "--html" : "--out");
  }
  DifficultyReport report{.data = command.data,
                          .kind = command.kind,
                          .found = {},
                          .task = {},
                          .results = {},
                          .warnings = {}};
  if (!command.data.empty()) report.found = measure(command, read_points(command));
  report.task = command.kind == "classification"
                    ? classification(command, report.found ? &*report.found : nullptr)
                    : task_by_constants(command);
  for (const double error : command.errors) report.results.push_back(report.task.at(error));
  report.warnings = warnings_of(command, report);
  for (const std::string& warning : report.warnings) log::warn("{}", warning);
  if (!command.out.empty()) write_difficulty(command.out, report);
  if (!command.html.empty()) {
    TextOutput output(command.html);
    output.write(difficulty_page(report));
    output.commit();
  }
  if (command.common.json) {
    print_json(difficulty_json(report));
  } else {
    print(difficulty_text(report));
  }
}

}  // namespace

void register_study_difficulty(CLI::App& study) {
  CLI::App* app = study.add_subcommand(
      "difficulty", "How many bits of inductive bias a task needs, whatever learns it.");
  app->footer(
      example("amalgam study difficulty digits.csv --label class --error 0.01\n"
              "amalgam study difficulty features.npy --labels labels.npy --json\n"
              "amalgam study difficulty --count 60000 --dimension 14 --radius 17.18"
              " --resolution 2.4 --classes 10\n"
              "amalgam study difficulty --kind control --count 1e4 --dimension 2"
              " --resolution 0.001 --error 0.001"));
  auto command = std::make_shared<DifficultyCommand>();
  add_difficulty_options(*app, *command);
  app->callback([command] { run(*command); });
}

}  // namespace amalgam::cli
