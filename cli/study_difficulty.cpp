// `amalgam study difficulty`: the bits of inductive bias that a task needs, from data or constants.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <memory>
#include <mutex>
#include <numbers>
#include <optional>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/data/table_cells.hpp"
#include "amalgam/scores/studies/difficulty.hpp"
#include "amalgam/scores/studies/task_constants.hpp"
#include "cli/common_options.hpp"
#include "cli/output.hpp"
#include "cli/study_commands.hpp"

namespace amalgam::cli {
namespace {

using scores::Difficulty;
using scores::LabelledPoints;
using scores::SphereTask;
using scores::TaskConstants;
using scores::TorusTask;

struct DifficultyCommand {
  std::string data;
  std::string label;
  std::string labels;
  std::vector<std::string> features;
  std::vector<std::string> ignore;
  std::string split = "train";
  std::size_t limit = 0;
  bool standardise = false;

  std::string kind = "classification";
  std::vector<double> errors{0.1, 0.01, 0.001};
  std::optional<double> count;
  std::optional<double> dimension;
  std::optional<double> radius;
  std::optional<double> resolution;
  std::optional<double> classes;
  std::optional<double> outputs;
  std::optional<double> bound;
  std::optional<double> ways;
  std::optional<double> dimension_within;
  std::string beside;

  std::string dimension_by = "likelihood";
  bool keep_fraction = false;
  std::size_t neighbours = 5;
  std::size_t queries = 10'000;
  std::string resolution_by = "closest";
  std::size_t sample = 30'000;
  std::size_t pairs = 4'000'000;
  std::size_t tail = 2'000;
  double ignore_below = 0;
  CommonOptions common;
};

// A task whose dimension can be looked at again as it was estimated.
struct Task {
  SphereTask sphere;
  TorusTask torus;
  bool on_torus = false;
  std::optional<double> estimated_dimension;  // before rounding
  double rounded_off = 0;                     // that less what the task has of it

  Difficulty at(double error) const {
    return on_torus ? difficulty(torus, error) : difficulty(sphere, error);
  }
  double dimension() const { return on_torus ? torus.dimension : sphere.dimension; }
};

Json finite_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(); }

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

Task classification(const DifficultyCommand& command, const TaskConstants* found) {
  const char* const kind = "classification";
  Task task;
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

Task task_by_constants(const DifficultyCommand& command) {
  Task task;
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
                                     const std::optional<TaskConstants>& found, const Task& task,
                                     const std::vector<Difficulty>& results) {
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
  for (const Difficulty& result : results) {
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

// log10 of the bits at the dimension as it was estimated.
std::optional<double> log10_bits_unrounded(const Task& task, double error) {
  if (!task.estimated_dimension || !(*task.estimated_dimension >= 1)) return std::nullopt;
  Task exact = task;
  exact.sphere.dimension += task.rounded_off;
  return exact.at(error).log10_bits;
}

double log10_of(double log_value) { return log_value / std::numbers::ln10; }

Json estimates_json(const TaskConstants& found) {
  Json json = {{"examples", found.examples},
               {"distinct", found.distinct},
               {"classes", found.classes},
               {"radius", found.radius},
               {"queries", found.queries},
               {"likelihood_dimension", finite_or_null(found.likelihood_dimension)},
               {"two_nearest_dimension", finite_or_null(found.two_nearest_dimension)},
               {"participation_ratio", found.participation_ratio},
               {"principal_components_95", found.principal_components}};
  if (found.separation.looked_at > 0) {
    json["separation"] = {
        {"distance", found.separation.distance},
        {"observed", found.separation.observed.distance},
        {"rows", {found.separation.observed.first, found.separation.observed.second}},
        {"looked_at", found.separation.looked_at},
        {"all_pairs", found.separation.all_pairs}};
  }
  return json;
}

Json json_of(const DifficultyCommand& command, const std::optional<TaskConstants>& found,
             const Task& task, const std::vector<Difficulty>& results,
             const std::vector<std::string>& warnings) {
  Json json = {{"data", command.data.empty() ? Json() : Json(command.data)},
               {"kind", command.kind}};
  if (task.on_torus) {
    json["task"] = {{"log_examples", task.torus.log_examples},
                    {"dimension", task.torus.dimension},
                    {"resolution", task.torus.resolution},
                    {"outputs", task.torus.outputs}};
  } else {
    json["task"] = {{"log_examples", task.sphere.log_examples},
                    {"dimension", task.sphere.dimension},
                    {"radius", task.sphere.radius},
                    {"resolution", task.sphere.resolution},
                    {"combinations", task.sphere.combinations},
                    {"log10_outputs", log10_of(task.sphere.log_outputs)},
                    {"bound", task.sphere.bound}};
  }
  json["estimates"] = found ? estimates_json(*found) : Json();
  const Difficulty& any = results.front();
  json["parts"] = {{"frequency", any.frequency},
                   {"degree", any.degree},
                   {"log10_functions", log10_of(any.log_functions)},
                   {"log10_dimensions", log10_of(any.log_dimensions)},
                   {"log10_consistent_dimensions", finite_or_null(log10_of(any.log_consistent))},
                   {"log_distance", finite_or_null(any.log_distance)}};
  Json list = Json::array();
  for (const Difficulty& result : results) {
    const std::optional<double> unrounded = log10_bits_unrounded(task, result.error);
    list.push_back({{"error", result.error},
                    {"bits", finite_or_null(result.bits)},
                    {"log10_bits", finite_or_null(result.log10_bits)},
                    {"log10_bits_unrounded", unrounded ? finite_or_null(*unrounded) : Json()},
                    {"bits_per_dimension", result.log2_ratio},
                    {"over_determined", result.over_determined},
                    {"everything_general", result.everything_general}});
  }
  json["results"] = std::move(list);
  json["warnings"] = warnings;
  return json;
}

std::string log10_text(double log10_bits) {
  return std::isfinite(log10_bits) ? fmt::format("{:.3f}", log10_bits) : "-";
}

std::string bits_text(const Difficulty& result) {
  if (result.bits == 0) return "0";
  if (result.log10_bits < 5) return fmt::format("{:.1f}", result.bits);
  const double decades = std::floor(result.log10_bits);
  return fmt::format("{:.3f}e{}", std::pow(10.0, result.log10_bits - decades), decades);
}

void show_task(std::string& text, const Task& task) {
  if (task.on_torus) {
    text +=
        fmt::format("m {} dimensions, resolution {}, {} outputs", format_number(task.dimension()),
                    format_number(task.torus.resolution), format_number(task.torus.outputs));
  } else {
    text += fmt::format(
        "m {} dimensions, R {} radius, delta {} resolution, {} combinations of"
        " discrete features",
        format_number(task.dimension()), format_number(task.sphere.radius),
        format_number(task.sphere.resolution), format_number(task.sphere.combinations));
  }
  const double log_examples = task.on_torus ? task.torus.log_examples : task.sphere.log_examples;
  text += fmt::format(", n {} examples\n\n", format_number(portable_exp(log_examples)));
}

void show(const std::optional<TaskConstants>& found, const Task& task,
          const std::vector<Difficulty>& results) {
  std::string text;
  using Align = Table::Align;
  if (found) {
    Table dimensions({{"dimension of the data"}, {"estimate", Align::right}});
    dimensions.add_row({"maximum likelihood", fmt::format("{:.2f}", found->likelihood_dimension)});
    dimensions.add_row({"two nearest", fmt::format("{:.2f}", found->two_nearest_dimension)});
    dimensions.add_row({"participation ratio", fmt::format("{:.2f}", found->participation_ratio)});
    dimensions.add_row(
        {"components of 95 % of the variance", fmt::to_string(found->principal_components)});
    text += dimensions.text() + "\n";
  }
  show_task(text, task);
  const bool unrounded = task.estimated_dimension.has_value();
  std::vector<Table::Column> columns = {
      {"error", Align::right}, {"bits", Align::right}, {"log10", Align::right}};
  if (unrounded) {
    columns.push_back({fmt::format("log10 at m {:.2f}", *task.estimated_dimension), Align::right});
  }
  columns.push_back({"bits per dimension", Align::right});
  Table table(columns);
  for (const Difficulty& result : results) {
    std::vector<std::string> cells = {format_number(result.error), bits_text(result),
                                      log10_text(result.log10_bits)};
    if (unrounded) {
      const auto log10_bits = log10_bits_unrounded(task, result.error);
      cells.push_back(log10_bits ? log10_text(*log10_bits) : "-");
    }
    cells.push_back(fmt::format("{:.3f}", result.log2_ratio));
    table.add_row(cells);
  }
  print(text + table.text());
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
  std::optional<TaskConstants> found;
  if (!command.data.empty()) found = measure(command, read_points(command));
  const Task task = command.kind == "classification"
                        ? classification(command, found ? &*found : nullptr)
                        : task_by_constants(command);
  std::vector<Difficulty> results;
  for (const double error : command.errors) results.push_back(task.at(error));
  const std::vector<std::string> warnings = warnings_of(command, found, task, results);
  for (const std::string& warning : warnings) log::warn("{}", warning);
  if (command.common.json) {
    print_json(json_of(command, found, task, results, warnings));
  } else {
    show(found, task, results);
  }
}

void add_data_options(CLI::App& app, DifficultyCommand& command) {
  app.add_option("data", command.data,
                 "Table (CSV), features (.npy), folder of images in IDX format, or fashion-mnist");
  app.add_option("--label", command.label, "Of a table: the column of classes")
      ->type_name("COLUMN");
  app.add_option("--labels", command.labels, "Of a .npy file: the classes, whole numbers")
      ->type_name("LABELS.npy");
  app.add_option("--features", command.features,
                 "Of a table: the columns of features (default: all others)")
      ->delimiter(',')
      ->type_name("A,B,...");
  app.add_option("--ignore", command.ignore, "Of a table: columns that are not features")
      ->delimiter(',')
      ->type_name("A,B,...");
  app.add_option("--split", command.split, "Of images: train, validation or test")
      ->capture_default_str();
  app.add_option("--limit", command.limit, "Look at the first points only; 0: all")
      ->check(whole_number())
      ->capture_default_str();
  app.add_flag("--standardise", command.standardise,
               "Scale each feature to mean 0 and deviation 1, where units differ");
}

void add_estimate_options(CLI::App& app, DifficultyCommand& command) {
  app.add_option("--dimension-by", command.dimension_by, "Which estimate is the dimension")
      ->check(CLI::IsMember({"likelihood", "two-nearest", "participation", "components"}))
      ->capture_default_str();
  app.add_flag("--keep-fraction", command.keep_fraction,
               "Take the estimated dimension as it is, not rounded");
  app.add_option("--neighbours", command.neighbours, "Nearest points for the dimension")
      ->check(CLI::Range(2, 1000))
      ->capture_default_str();
  app.add_option("--queries", command.queries, "Points whose neighbours are looked for, at random")
      ->check(CLI::Range(1, 100'000'000))
      ->capture_default_str();
  app.add_option("--resolution-by", command.resolution_by,
                 "How the smallest distance between classes is found")
      ->check(CLI::IsMember({"closest", "extreme-value"}))
      ->capture_default_str();
  app.add_option("--sample", command.sample,
                 "Of closest: points among which all pairs are looked at; 0: all")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--pairs", command.pairs, "Of extreme-value: random pairs of different classes")
      ->check(CLI::Range(3, 1'000'000'000))
      ->capture_default_str();
  app.add_option("--tail", command.tail, "Of extreme-value: how many of them are the tail")
      ->check(CLI::Range(2, 1'000'000'000))
      ->capture_default_str();
  app.add_option("--ignore-below", command.ignore_below,
                 "Smaller distances between classes are taken for errors of labels")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

void add_constant_options(CLI::App& app, DifficultyCommand& command) {
  app.add_option("--kind", command.kind, "What the constants are of")
      ->check(CLI::IsMember({"classification", "control", "few-shot"}))
      ->capture_default_str();
  app.add_option("--error", command.errors,
                 "Desired errors; with a model's test error, the bits that the model supplied")
      ->delimiter(',')
      ->type_name("E,...")
      ->capture_default_str();
  app.add_option("--count", command.count, "n, training examples (of few-shot: inputs)");
  app.add_option("--dimension", command.dimension,
                 "m, intrinsic dimension (of few-shot: across all classes)");
  app.add_option("--radius", command.radius, "R, the largest norm of an input");
  app.add_option("--resolution", command.resolution,
                 "delta, the smallest distance that makes a difference");
  app.add_option("--classes", command.classes, "d, number of classes");
  app.add_option("--outputs", command.outputs,
                 "D, output dimension (classification: classes - 1; control: 1)");
  app.add_option("--bound", command.bound, "b, the largest absolute value of an output (1)");
  app.add_option("--beside", command.beside, "Another task whose examples are shown together")
      ->type_name("COUNT,DIMENSION,RADIUS,CLASSES");
  app.add_option("--ways", command.ways, "Of few-shot: classes to tell apart");
  app.add_option("--dimension-within", command.dimension_within,
                 "Of few-shot: intrinsic dimension within a family of classes");
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
  add_data_options(*app, *command);
  add_constant_options(*app, *command);
  add_estimate_options(*app, *command);
  add_common_options(*app, command->common,
                     {Common::json, Common::quiet, Common::threads, Common::seed});
  app->callback([command] { run(*command); });
}

}  // namespace amalgam::cli
