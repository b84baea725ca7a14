#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <optional>
#include <string>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/data/text_output.hpp"
#include "amalgam/scores/uncertainty/split_halves.hpp"
#include "amalgam/scores/uncertainty/stability.hpp"
#include "cli/output.hpp"
#include "cli/rank_commands.hpp"
#include "cli/rank_options.hpp"
#include "cli/rank_page.hpp"

namespace amalgam::cli {
namespace {

struct StabilityCommand {
  ScoreOptions scores;
  MethodOptions method;
  std::string removed = "ballots";
  std::vector<double> fractions = scores::StabilityOptions{}.fractions;
  std::size_t draws = 50;
  bool halves = false;
  std::string html;
  CommonOptions common;
};

Json json_of(const scores::SplitHalves& halves) {
  return {{"draws", halves.draws},
          {"failed", halves.failed},
          {"agreed", halves.agreed},
          {"confirmed", halves.confirmed},
          {"first_failure", halves.first_failure.empty() ? Json() : Json(halves.first_failure)}};
}

std::string text_of(const scores::SplitHalves& halves) {
  if (halves.draws == 0) return fmt::format("random halves: {}\n", halves.first_failure);
  if (std::isnan(halves.confirmed)) {
    return "random halves of the measurements agree about no two systems\n";
  }
  return fmt::format(
      "random halves of the measurements agree about {:.1f} % of all pairs of systems; all "
      "measurements together confirm {:.1f} % of these ({} draws, {} failed)\n",
      100 * halves.agreed, 100 * halves.confirmed, halves.draws, halves.failed);
}

Json json_of(const scores::StabilityCurve& curve, const std::string& method) {
  Json points = Json::array();
  for (const scores::StabilityPoint& point : curve.points) {
    points.push_back({{"fraction", point.fraction},
                      {"removed", point.removed},
                      {"draws", point.draws},
                      {"failed", point.failed},
                      {"tau_b", point.mean},
                      {"deviation", point.deviation},
                      {"low", point.spread.low},
                      {"high", point.spread.high},
                      {"same_best", point.same_best},
                      {"unranked", point.unranked}});
  }
  return {{"method", method},
          {"removed", scores::removed_name(curve.removed)},
          {"parts", curve.parts},
          {"points", std::move(points)},
          {"first_failure", curve.first_failure.empty() ? Json() : Json(curve.first_failure)}};
}

void show(const scores::StabilityCurve& curve, const std::string& method) {
  using Align = Table::Align;
  using Removed = scores::StabilityOptions::Removed;
  const bool reverses = curve.removed == Removed::reversed_tasks;
  Table table({{reverses ? "reversed" : "removed", Align::right},
               {"tau-b", Align::right},
               {"deviation", Align::right},
               {"5 % to 95 %", Align::right},
               {"same best", Align::right},
               {"unranked", Align::right},
               {"failed", Align::right}});
  for (const scores::StabilityPoint& point : curve.points) {
    if (std::isnan(point.mean)) {
      table.add_row({fmt::format("{:.1f} %", 100 * point.removed), "-", "-", "-", "-", "-",
                     fmt::to_string(point.failed)});
      continue;
    }
    table.add_row({fmt::format("{:.1f} %", 100 * point.removed), fmt::format("{:.4f}", point.mean),
                   fmt::format("{:.4f}", point.deviation),
                   fmt::format("{:.3f} to {:.3f}", point.spread.low, point.spread.high),
                   fmt::format("{:.0f} %", 100 * point.same_best),
                   fmt::format("{:.1f}", point.unranked), fmt::to_string(point.failed)});
  }
  std::string what;
  if (reverses) {
    what = fmt::format(
        "some of {} tasks, at random, say the reverse: how like the ranking is to that of all as "
        "they are",
        curve.parts);
  } else if (curve.removed == Removed::last_ballots) {
    what = fmt::format(
        "the last of {} ballots, of every task: how like the ranking of the first ones is to that "
        "of all",
        curve.parts);
  } else {
    what = fmt::format(
        "taken away at random from {} {}: how like the ranking of the rest is to that of all",
        curve.parts, scores::removed_name(curve.removed));
  }
  print(fmt::format("method {}; {}\n\n{}", method, what, table.text()));
}

void run(const StabilityCommand& command) {
  check_outputs(command.scores.paths, {command.html});
  check_method(command.method);
  scores::ScoreNotes notes;
  const scores::ScoreTable table = read_scores(command.scores, command.common, &notes);
  const scores::RankAggregator& method = method_of(command.method, table);
  const scores::RankContext context = context_of(command.method, method, command.common);
  const scores::Ranking ranking = scores::rank_checked(method, table, context);
  for (const std::string& warning : ranking.warnings) log::warn("{}", warning);
  const scores::StabilityOptions::Removed removed = scores::removed_of_name(command.removed);
  const bool draws = removed != scores::StabilityOptions::Removed::last_ballots;
  Progress progress("draw", (draws ? command.draws : 1) * command.fractions.size(),
                    Progress::Unit::items, command.common.progress_mode());
  const scores::StabilityCurve curve =
      scores::stability_curve(method, table, context, ranking,
                              {.removed = removed,
                               .fractions = command.fractions,
                               .draws = command.draws,
                               .seed = command.common.seed,
                               .parallel = command.common.parallel()},
                              [&](std::size_t done) { progress.advance(done); });
  progress.finish();
  std::optional<scores::SplitHalves> halves;
  if (command.halves) {
    halves = scores::split_halves(method, table, context, ranking,
                                  {.draws = command.draws,
                                   .seed = command.common.seed,
                                   .parallel = command.common.parallel()});
  }
  std::size_t failed = 0;
  std::size_t all = 0;
  for (const scores::StabilityPoint& point : curve.points) {
    failed += point.failed;
    all += point.failed + point.draws;
  }
  if (failed > 0) {
    log::warn("{} of {} draws could not be ranked and are left out: {}", failed, all,
              curve.first_failure);
  }
  if (!command.html.empty()) {
    TextOutput out(command.html);
    out.write(rank_page({.title = fmt::format("Ranking by {}", method.info().name),
                         .provenance = command.scores.paths,
                         .table = &table,
                         .method = &method.info(),
                         .missing = context.missing,
                         .ranking = &ranking,
                         .stability = &curve,
                         .warnings = notes.warnings}));
    out.commit();
  }
  if (command.common.json) {
    Json json = json_of(curve, method.info().name);
    json["halves"] = halves ? json_of(*halves) : Json();
    print_json(json);
  } else {
    show(curve, method.info().name);
    if (halves) print("\n" + text_of(*halves));
  }
}

}  // namespace

void register_rank_stability(CLI::App& rank) {
  CLI::App* app = rank.add_subcommand(
      "stability", "How the ranking changes when measurements, tasks or systems are taken away.");
  app->footer(example(
      "amalgam rank stability answers.csv --method borda-two-level\n"
      "amalgam rank stability answers.csv --remove cells --fractions 0.5,0.9,0.95,0.99\n"
      "amalgam rank stability answers.csv --remove last-ballots --fractions 0.5,0.75,0.9\n"
      "amalgam rank stability leaderboard.csv --remove tasks --draws 200 --html page.html"));
  auto command = std::make_shared<StabilityCommand>();
  add_score_options(*app, command->scores);
  add_method_options(*app, command->method);
  app->add_option("--remove", command->removed,
                  "What is taken away: ballots (instances with all their values; comparisons), "
                  "cells (single values), last-ballots (the last instances of every task, without "
                  "drawing: a shorter test), tasks, systems; reversed-tasks: nothing, but tasks "
                  "say the reverse")
      ->check(
          CLI::IsMember({"ballots", "cells", "last-ballots", "tasks", "systems", "reversed-tasks"}))
      ->capture_default_str();
  app->add_option("--fractions", command->fractions, "Shares that are taken away")
      ->delimiter(',')
      ->check(CLI::Range(0.0, 0.9999))
      ->type_name("F,...")
      ->capture_default_str();
  app->add_option("--draws", command->draws, "Random choices for each share, where any are made")
      ->check(whole_number() & CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app->add_flag("--halves", command->halves,
                "Also split the measurements into random halves, and say of how many pairs of "
                "systems both say the same and all together confirm it");
  app->add_option("--html", command->html, "Write a page with the ranking and the curve")
      ->type_name("PAGE.html");
  add_common_options(*app, command->common,
                     {Common::json, Common::quiet, Common::seed, Common::threads});
  app->callback([command] { run(*command); });
}

}  // namespace amalgam::cli
