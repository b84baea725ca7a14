#include "cli/rank_options.hpp"

#include <charconv>
#include <cmath>
#include <filesystem>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "cli/separator_option.hpp"

namespace amalgam::cli {
namespace fs = std::filesystem;

namespace {

// "TASK=VALUE": the last '=' parts them, for names may hold some.
std::pair<std::string, std::string> assignment(const std::string& text, std::string_view option) {
  const std::size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    throw InputError("{} is '{}'; expected TASK=VALUE", option, text);
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
}

double number_of(const std::string& text, std::string_view option) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    throw InputError("{}: '{}' is not a finite number", option, text);
  }
  return value;
}

scores::ScoreForm form_of(const ScoreOptions& options) {
  using scores::ScoreForm;
  const ScoreForm form = scores::score_form_of_name(options.form);
  const int flags =
      (options.wide ? 1 : 0) + (options.long_form ? 1 : 0) + (options.battles ? 1 : 0);
  if (flags + (form == ScoreForm::automatic ? 0 : 1) > 1) {
    throw InputError("--wide, --long, --battles and --format exclude each other; expected one");
  }
  if (options.wide) return ScoreForm::wide;
  if (options.long_form) return ScoreForm::long_form;
  if (options.battles) return ScoreForm::battles;
  return form;
}

void add_column_options(CLI::App& command, ScoreOptions& options) {
  command.add_option("--system", options.system, "Column of the system (wide: the first one)")
      ->type_name("COLUMN");
  command.add_option("--task", options.task, "Long: column of the task")->type_name("COLUMN");
  command
      .add_option("--instance", options.instance,
                  "Column of the instance (long: 'instance' and the like, if there is one)")
      ->type_name("COLUMN");
  command.add_option("--score", options.score, "Long: column of the value")->type_name("COLUMN");
  command
      .add_option("--metric-column", options.metric,
                  "Long: column of the metric; tasks are then named task:metric")
      ->type_name("COLUMN");
  command
      .add_option("--columns", options.columns,
                  "Wide: the columns that are tasks (default: all numeric ones but those called "
                  "Score, Average, Overall or Rank)")
      ->delimiter(',')
      ->type_name("A,B,...");
  command
      .add_option("--first", options.first,
                  "Battles: column of the first system (default: model_a)")
      ->type_name("COLUMN");
  command
      .add_option("--second", options.second,
                  "Battles: column of the second system (default: model_b)")
      ->type_name("COLUMN");
  command.add_option("--winner", options.winner, "Battles: column of who won (default: winner)")
      ->type_name("COLUMN");
  command
      .add_option("--cluster", options.cluster,
                  "Battles: column of what belongs together (a prompt, a judge) where uncertainty "
                  "is judged")
      ->type_name("COLUMN");
  command
      .add_option("--time", options.time,
                  "Battles: column of seconds that orders them (default: tstamp or timestamp, if "
                  "all have one)")
      ->type_name("COLUMN");
  command
      .add_option("--covariate", options.covariates,
                  "Battles: what to control for, such as length: a column of differences, or two "
                  "columns NAME_a and NAME_b")
      ->delimiter(',')
      ->type_name("NAME,...");
  command.add_flag("--relative-covariates", options.relative_covariates,
                   "Covariates of two columns are (a - b) / (a + b) instead of a - b");
  command.add_option("--weight", options.weight, "Column of how much a row counts")
      ->type_name("COLUMN");
}

void add_task_options(CLI::App& command, ScoreOptions& options) {
  command.add_option("--lower-is-better", options.lower_is_better, "Tasks on which less is better")
      ->delimiter(',')
      ->type_name("TASK,...");
  command
      .add_option("--higher-is-better", options.higher_is_better,
                  "Tasks on which more is better, whatever the file says")
      ->delimiter(',')
      ->type_name("TASK,...");
  command.add_option("--task-weight", options.task_weights, "How much a task counts (default: 1)")
      ->type_name("TASK=W");
  command
      .add_option("--kind", options.task_kinds,
                  "What a task's numbers are: cardinal, binary or ordinal")
      ->type_name("TASK=KIND");
}

}  // namespace

void add_score_options(CLI::App& command, ScoreOptions& options) {
  command
      .add_option("table", options.paths,
                  "Files or folders of measurements: comma- or tab-separated values, JSON, or what "
                  "evaluation tools write")
      ->required()
      ->type_name("TABLE");
  command.add_flag("--wide", options.wide, "One row per system, one column per task");
  command.add_flag("--long", options.long_form, "One row per value: system, task, instance, score");
  command.add_flag("--battles", options.battles,
                   "One row per comparison of two systems: model_a, model_b, winner");
  command.add_option("--format", options.form, "What the files are, where it cannot be found out")
      ->check(CLI::IsMember(
          {"automatic", "wide", "long", "battles", "arena", "lm-eval", "helm", "inspect"}))
      ->capture_default_str();
  add_column_options(command, options);
  add_task_options(command, options);
  command
      .add_option("--metric", options.metrics,
                  "lm-eval, HELM, Inspect: the metrics that count (default: each task's usual one)")
      ->delimiter(',')
      ->type_name("NAME,...");
  command
      .add_option(
          "--repeats", options.repeats,
          "Several values of one system on one instance of a task: an error, or their mean, "
          "the first or the last counts")
      ->check(CLI::IsMember({"error", "mean", "first", "last"}))
      ->capture_default_str();
  add_separator_option(command, options.separator);
}

scores::ScoreFormat format_of(const ScoreOptions& options) {
  scores::ScoreFormat format{.form = form_of(options),
                             .system = options.system,
                             .task = options.task,
                             .instance = options.instance,
                             .score = options.score,
                             .metric = options.metric,
                             .weight = options.weight,
                             .columns = options.columns,
                             .first = options.first,
                             .second = options.second,
                             .winner = options.winner,
                             .cluster = options.cluster,
                             .time = options.time,
                             .covariates = options.covariates,
                             .relative_covariates = options.relative_covariates,
                             .metrics = options.metrics,
                             .lower_is_better = options.lower_is_better,
                             .higher_is_better = options.higher_is_better,
                             .repeats = scores::repeats_of_name(options.repeats)};
  for (const std::string& text : options.task_weights) {
    auto [task, value] = assignment(text, "--task-weight");
    const double weight = number_of(value, "--task-weight");
    if (weight < 0) throw InputError("--task-weight: '{}' is negative; expected 0 or more", text);
    format.weights.emplace_back(std::move(task), weight);
  }
  for (const std::string& text : options.task_kinds) {
    auto [task, kind] = assignment(text, "--kind");
    format.kinds.emplace_back(std::move(task), scores::score_kind_of_name(kind));
  }
  format.separator = separator_of(options.separator);
  return format;
}

scores::ScoreTable read_scores(const ScoreOptions& options, const CommonOptions& common,
                               scores::ScoreNotes* notes) {
  const std::vector<fs::path> paths(options.paths.begin(), options.paths.end());
  scores::ScoreFormat format = format_of(options);
  Progress progress("read", scores::total_size(paths), Progress::Unit::bytes,
                    common.progress_mode());
  format.on_bytes = [&](std::uint64_t bytes) { progress.advance(bytes); };
  scores::ScoreNotes found;
  scores::ScoreTable table = scores::read_scores(paths, format, &found);
  progress.finish();
  for (const std::string& warning : found.warnings) log::warn("{}", warning);
  if (notes != nullptr) *notes = std::move(found);
  return table;
}

void add_method_options(CLI::App& command, MethodOptions& options) {
  command
      .add_option("--method", options.method,
                  "See 'amalgam rank methods' (default: borda; bradley-terry where there are only "
                  "comparisons)")
      ->type_name("NAME");
  command.add_option("-p,--parameter", options.parameters, "Parameter of the method")
      ->type_name("NAME=VALUE");
  command
      .add_option("--missing", options.missing,
                  "What a task or instance says of systems it did not measure: nothing (observed), "
                  "any place with equal probability (complete), or it is left out (drop); default: "
                  "as the method does")
      ->check(CLI::IsMember({"observed", "complete", "drop"}));
}

const scores::RankAggregator& method_of(const MethodOptions& options,
                                        const scores::ScoreTable& table) {
  if (!options.method.empty()) return scores::find_rank_aggregator(options.method);
  return scores::find_rank_aggregator(table.ballot_count() > 0 ? "borda" : "bradley-terry");
}

scores::RankContext context_of(const MethodOptions& options, const scores::RankAggregator& method,
                               const CommonOptions& common) {
  std::optional<scores::Missing> missing;
  if (!options.missing.empty()) missing = scores::missing_of_name(options.missing);
  scores::RankContext context = scores::rank_context(method, options.parameters, missing);
  context.seed = common.seed;
  context.parallel = common.parallel();
  return context;
}

void check_method(const MethodOptions& options) {
  if (options.method.empty()) return;
  context_of(options, scores::find_rank_aggregator(options.method), {});
}

}  // namespace amalgam::cli
