#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/data/csv_output.hpp"
#include "amalgam/scores/uncertainty/next_measurements.hpp"
#include "cli/output.hpp"
#include "cli/rank_commands.hpp"
#include "cli/rank_options.hpp"

namespace amalgam::cli {
namespace {

using scores::NextMeasurement;
using scores::NextOptions;
using scores::NextPlan;
using scores::ScoreTable;

struct NextCommand {
  ScoreOptions scores;
  std::string measure = "automatic";
  std::size_t budget = 1000;
  std::size_t rounds = 50;
  double confidence = 0.95;
  double prior = NextOptions{}.prior;
  std::string out;
  CommonOptions common;
};

bool has_gaps(const ScoreTable& table) {
  return table.rows() < table.ballot_count() * table.system_count();
}

NextOptions::Unit unit_of(const NextCommand& command, const ScoreTable& table) {
  if (command.measure == "automatic") {
    return has_gaps(table) ? NextOptions::Unit::cells : NextOptions::Unit::pairs;
  }
  return command.measure == "cells" ? NextOptions::Unit::cells : NextOptions::Unit::pairs;
}

Json json_of(const ScoreTable& table, NextOptions::Unit unit, const NextPlan& plan) {
  const bool cells = unit == NextOptions::Unit::cells;
  Json measurements = Json::array();
  for (const NextMeasurement& one : plan.measurements) {
    Json entry = cells ? Json{{"system", table.systems[one.first]},
                              {"task", table.tasks[one.task]},
                              {"count", one.count},
                              {"possible", one.possible}}
                       : Json{{"first", table.systems[one.first]},
                              {"second", table.systems[one.second]},
                              {"count", one.count}};
    entry["measured"] = one.measured;
    entry["gain"] = one.gain;
    measurements.push_back(std::move(entry));
  }
  return {{"measure", cells ? "cells" : "pairs"},
          {"measurements", std::move(measurements)},
          {"open_neighbours", plan.before.open},
          {"open_neighbours_after", plan.after.open},
          {"neighbour_error", plan.before.mean_error},
          {"neighbour_error_after", plan.after.mean_error},
          {"pieces", plan.pieces},
          {"unused", plan.unused}};
}

void write_plan(const std::string& path, const ScoreTable& table, NextOptions::Unit unit,
                const NextPlan& plan) {
  const bool cells = unit == NextOptions::Unit::cells;
  CsvOutput out(path);
  out.field(cells ? "system" : "first").field(cells ? "task" : "second").field("count");
  out.field("measured").field("gain").end();
  for (const NextMeasurement& one : plan.measurements) {
    out.field(table.systems[one.first])
        .field(cells ? table.tasks[one.task] : table.systems[one.second])
        .field(fmt::to_string(one.count))
        .field(fmt::to_string(one.measured))
        .field(one.gain)
        .end();
  }
  out.commit();
}

void show(const ScoreTable& table, NextOptions::Unit unit, const NextPlan& plan) {
  constexpr std::size_t kMostShown = 40;
  const bool cells = unit == NextOptions::Unit::cells;
  using Align = Table::Align;
  Table shown({{"measure", Align::right},
               {"of system"},
               {cells ? "on task" : "and system"},
               {"measured so far", Align::right},
               {"worth each", Align::right}});
  for (std::size_t i = 0; i < std::min(kMostShown, plan.measurements.size()); ++i) {
    const NextMeasurement& one = plan.measurements[i];
    shown.add_row({fmt::to_string(one.count), std::string(table.systems[one.first]),
                   std::string(cells ? table.tasks[one.task] : table.systems[one.second]),
                   fmt::to_string(one.measured), fmt::format("{:.3g}", one.gain)});
  }
  std::string text = shown.text();
  if (plan.measurements.size() > kMostShown) {
    text += fmt::format("and {} more (--out, --json)\n", plan.measurements.size() - kMostShown);
  }
  text += fmt::format(
      "\nneighbours in rank that are not told apart: {} of {} now, {} expected after this\n"
      "mean standard error of their differences (log-odds): {:.4g} now, {:.4g} expected\n",
      plan.before.open, table.system_count() - 1, plan.after.open, plan.before.mean_error,
      plan.after.mean_error);
  if (plan.unused > 0) {
    text += fmt::format("{} of the budget are left: nothing else can be measured\n", plan.unused);
  }
  print(text);
}

void run(const NextCommand& command) {
  check_outputs(command.scores.paths, {command.out});
  const ScoreTable table = read_scores(command.scores, command.common);
  const NextOptions::Unit unit = unit_of(command, table);
  Progress progress("plan", command.rounds, Progress::Unit::items, command.common.progress_mode());
  const NextPlan plan =
      scores::plan_measurements(table,
                                {.unit = unit,
                                 .budget = command.budget,
                                 .rounds = command.rounds,
                                 .confidence = command.confidence,
                                 .prior = command.prior},
                                [&](std::size_t done) { progress.advance(done); });
  progress.finish();
  if (plan.pieces > 1) {
    log::warn(
        "nothing compares the systems of {} groups with each other: measurements that link "
        "them come first",
        plan.pieces);
  }
  if (!command.out.empty()) write_plan(command.out, table, unit, plan);
  if (command.common.json) {
    print_json(json_of(table, unit, plan));
  } else {
    show(table, unit, plan);
  }
}

}  // namespace

void register_rank_next(CLI::App& rank) {
  CLI::App* app = rank.add_subcommand(
      "next", "What to measure next, so that neighbours in rank can be told apart.");
  app->footer(
      example("amalgam rank next battles.csv --battles --budget 500\n"
              "amalgam rank next results.csv --long --measure cells --budget 200 --out plan.csv"));
  auto command = std::make_shared<NextCommand>();
  add_score_options(*app, command->scores);
  app->add_option("--measure", command->measure,
                  "pairs (a comparison, or a new instance for two systems) or cells (a value that "
                  "a system lacks); by default cells where some are missing")
      ->check(CLI::IsMember({"automatic", "pairs", "cells"}))
      ->capture_default_str();
  app->add_option("--budget", command->budget, "How many measurements there may be")
      ->check(whole_number() & CLI::Range(1, 1'000'000'000))
      ->capture_default_str();
  app->add_option("--rounds", command->rounds,
                  "Shares of the budget that are decided on one after the other")
      ->check(whole_number() & CLI::Range(1, 100'000))
      ->capture_default_str();
  app->add_option("--confidence", command->confidence,
                  "Neighbours that are told apart at it need no more measurements")
      ->check(CLI::Range(0.5, 0.9999))
      ->capture_default_str();
  app->add_option("--prior", command->prior,
                  "Comparisons that every pair is taken to have had, half of them won by each")
      ->check(CLI::Range(1e-6, 1e6))
      ->capture_default_str();
  app->add_option("--out", command->out, "Write the plan")->type_name("PLAN.csv");
  add_common_options(*app, command->common, {Common::json, Common::quiet});
  app->callback([command] { run(*command); });
}

}  // namespace amalgam::cli
