// `amalgam label weak`: label models of a matrix of labelling functions' votes.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <memory>
#include <optional>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/string_pool.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/labels/annotation_files.hpp"
#include "amalgam/labels/column_file.hpp"
#include "amalgam/labels/label_files.hpp"
#include "amalgam/labels/label_predictor.hpp"
#include "amalgam/labels/weak/vote_matrix.hpp"
#include "cli/label_commands.hpp"
#include "cli/label_options.hpp"
#include "cli/label_weak_result.hpp"

namespace amalgam::cli {
namespace {

using namespace labels;

struct WeakOptions {
  std::string matrix;
  std::string method;  ///< empty: the state's, or generative
  std::vector<std::string> parameters;
  std::string gold;
  std::size_t classes = 0;
  std::string item_column = "task";
  std::string balance;
  std::string out;
  std::string soft;
  std::string functions;
  std::string analysis;
  std::string model;
  StateOptions states;
  bool has_seed = false;
  bool refine = false;
  CommonOptions common;
};

std::vector<double> numbers_of(const std::string& text) {
  std::vector<double> numbers;
  if (text.empty()) return numbers;
  for (const std::string& part : split(text, ',')) {
    double value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (error != std::errc() || end != part.data() + part.size()) {
      throw InputError("--balance {}: '{}'; expected a number for each class, with commas between",
                       text, part);
    }
    numbers.push_back(value);
  }
  return numbers;
}

std::optional<VoteState> start_of(const WeakOptions& options) {
  if (options.states.from.empty()) return std::nullopt;
  VoteState state{ColumnReader(options.states.from)};
  check_state_options(options.states, state.votes().method(), options.method, options.parameters,
                      options.has_seed);
  if (!options.balance.empty() || options.classes > 0) {
    throw InputError("--balance and --classes are those of the state {}, which stay",
                     options.states.from);
  }
  return state;
}

// Where the numbers of items without names go on: behind all that are names.
std::uint64_t next_number(const LabelState& votes) {
  const AnnotationTable table = votes.table();
  std::int64_t next = 0;
  for (std::size_t task = 0; task < table.task_count(); ++task) {
    std::int64_t number = 0;
    if (is_whole_number(table.task_names[task], number)) next = std::max(next, number + 1);
  }
  return static_cast<std::uint64_t>(next);
}

AnnotationTable read_votes(const WeakOptions& options, const std::optional<VoteState>& state) {
  Progress progress("reading votes", 0, Progress::Unit::items, options.common.progress_mode());
  AnnotationTable table =
      read_vote_matrix(options.matrix, {.classes = state ? state->classes() : options.classes,
                                        .item_column = options.item_column,
                                        .first_item = state ? next_number(state->votes()) : 0});
  progress.finish();
  return table;
}

const GoldLabels* read_gold_into(WeakResult& result, const WeakOptions& options,
                                 const AnnotationTable& table) {
  if (options.gold.empty()) return nullptr;
  return &result.gold.emplace(read_gold(options.gold, table, {})).gold;
}

// Everything that the state and the new votes are.
void take_in(WeakResult& result, VoteState& state, const WeakOptions& options) {
  AbsorbOptions absorb;
  absorb.parallel = options.common.parallel();
  if (find_label_model(result.method).info().needs_gold && !options.gold.empty()) {
    absorb.gold = [&](const AnnotationTable& all) { return *read_gold_into(result, options, all); };
  }
  const std::size_t functions = result.table.worker_count();
  const AbsorbReport report = state.absorb(result.table, absorb);
  if (!report.converged) {
    log::warn("the update had not settled after {} sweeps", report.sweeps);
  }
  if (report.new_workers == functions && functions > 0) {
    log::warn("none of the {} functions was there before: are they those of the state?", functions);
  }
  result.report = report;
}

void take_result(WeakResult& result, VoteState& state, const WeakOptions& options) {
  RefineReport settled = state.settled();
  if (result.report) {
    settled = {.sweeps = result.report->sweeps, .converged = result.report->converged};
  }
  if (options.refine) settled = state.refine(options.common.parallel());
  LabelState::Result all = state.result(!options.model.empty());
  result.table = std::move(all.table);
  result.fit = std::move(all.fit);
  result.fit.iterations = settled.sweeps;
  result.fit.converged = settled.converged;
  read_gold_into(result, options, result.table);
}

WeakResult label(const WeakOptions& options) {
  WeakResult result;
  result.state = start_of(options);
  result.method = result.state             ? result.state->votes().method()
                  : options.method.empty() ? "generative"
                                           : options.method;
  const LabelModelInfo& info = find_label_model(result.method).info();
  parameters_from_arguments(info.name, info.parameters, options.parameters);
  if (info.needs_gold && options.gold.empty() && !result.state) {
    throw InputError("method '{}' needs gold labels (--gold)", info.name);
  }
  const std::vector<double> balance = numbers_of(options.balance);
  result.table = read_votes(options, result.state);
  FitContext context;
  context.seed = options.common.seed;
  context.parallel = options.common.parallel();
  context.keep_evidence = !options.model.empty();
  const auto start = std::chrono::steady_clock::now();
  if (result.state) {
    take_in(result, *result.state, options);
    take_result(result, *result.state, options);
  } else {
    const GoldLabels* gold = read_gold_into(result, options, result.table);
    if (info.needs_gold) context.gold = gold;
    if (options.states.state.empty() && !options.refine) {
      result.fit = fit_votes(result.method, result.table, balance, options.parameters, context);
    } else {
      take_result(
          result,
          result.state.emplace(result.method, result.table, balance, options.parameters, context),
          options);
    }
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.analysis =
      analyse_functions(result.table, result.gold ? &result.gold->gold : nullptr, context.parallel);
  for (const std::string& warning : result.fit.warnings) log::warn("{}", warning);
  result.hard = hard_labels(result.fit.posterior);
  return result;
}

void run(const WeakOptions& options) {
  check_state_run(options.states,
                  {.inputs = {options.matrix, options.gold},
                   .out = options.out,
                   .outputs = {options.soft, options.functions, options.analysis, options.model}},
                  options.common);
  if (!options.model.empty()) check_state_name(options.model);
  const WeakResult result = label(options);
  write_hard_labels(options.out, result.table, result.hard.labels);
  if (!options.soft.empty()) write_soft_labels(options.soft, result.table, result.fit.posterior);
  if (!options.functions.empty()) {
    write_workers(options.functions, result.table, result.fit,
                  result.gold ? &result.gold->gold : nullptr);
  }
  if (!options.analysis.empty()) write_function_analysis(options.analysis, result);
  if (!options.model.empty()) {
    LabelPredictor(result.method, result.table, result.fit).save(options.model);
  }
  if (result.state && !options.states.state.empty()) result.state->save(options.states.state);
  if (options.common.json) return print_json(weak_json(result));
  if (options.out == "-") {
    fmt::print(stderr, "{}", weak_summary(result));
  } else {
    print(weak_summary(result));
  }
}

}  // namespace

void register_label_weak(CLI::App& label) {
  CLI::App* app = label.add_subcommand(
      "weak", "Join the votes of labelling functions, a row per item, into one label each.");
  app->footer(
      example("amalgam label weak votes.npy --method generative --out labels.csv --soft soft.csv\n"
              "amalgam label weak votes.csv --method flying-squid --classes 2 --balance 0.8,0.2 "
              "--out labels.csv\n"
              "amalgam label weak votes.npy --gold gold.csv --analysis functions.csv --out l.csv\n"
              "amalgam label weak votes.npy --out labels.csv --state state.safetensors\n"
              "amalgam label weak today.npy --from state.safetensors --state state.safetensors "
              "--out labels.csv"));
  auto options = std::make_shared<WeakOptions>();
  app->add_option("matrix", options->matrix,
                  "Votes, a row per item and a column per function: a .npy array or CSV with or "
                  "without a header; class numbers, -1 = abstains")
      ->required()
      ->type_name("MATRIX");
  app->add_option("--method", options->method, "See 'amalgam label methods' (default: generative)");
  app->add_option("-p,--parameter", options->parameters, "Parameter of the method")
      ->type_name("NAME=VALUE");
  app->add_option("--classes", options->classes,
                  "How many classes there are (default: up to the largest vote)")
      ->check(whole_number());
  app->add_option("--balance", options->balance,
                  "Share of each class, with commas between: the prior of methods that take one, "
                  "and what items without a vote get")
      ->type_name("P0,P1,...");
  app->add_option("--item-column", options->item_column,
                  "Column of a CSV file with the items' names; without it items are numbered")
      ->capture_default_str()
      ->type_name("COLUMN");
  app->add_option(
         "--gold", options->gold,
         "True labels of some items (columns task and label): prints accuracy and macro-F1")
      ->type_name("GOLD.csv");
  app->add_option("--out", options->out, "Write task,label; - is the standard output")
      ->required()
      ->type_name("LABELS.csv");
  app->add_option("--soft", options->soft, "Write the probability of each class")
      ->type_name("SOFT.csv");
  app->add_option("--workers", options->functions, "Write what the method says of each function")
      ->type_name("WORKERS.csv");
  app->add_option(
         "--analysis", options->analysis,
         "Write each function's coverage, overlap, conflict, the classes it votes for, and "
         "with gold its accuracy")
      ->type_name("ANALYSIS.csv");
  app->add_option("--model", options->model,
                  "Write what was learned of the functions, by which 'label predict' labels new "
                  "items")
      ->type_name("MODEL.safetensors");
  add_state_options(*app, options->states);
  add_refine_option(*app, options->refine);
  add_common_options(*app, options->common,
                     {Common::json, Common::quiet, Common::seed, Common::threads});
  app->callback([options, seed = app->get_option("--seed")] {
    options->has_seed = seed->count() > 0;
    run(*options);
  });
}

}  // namespace amalgam::cli
