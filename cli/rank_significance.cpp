#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/data/csv_output.hpp"
#include "amalgam/scores/uncertainty/paired_comparison.hpp"
#include "amalgam/scores/uncertainty/power.hpp"
#include "cli/output.hpp"
#include "cli/rank_commands.hpp"
#include "cli/rank_options.hpp"

namespace amalgam::cli {
namespace {

using scores::PairComparison;
using scores::PairedMeasurements;
using scores::System;

struct SignificanceCommand {
  ScoreOptions scores;
  MethodOptions method;
  std::string test = "automatic";
  std::string clusters = "none";
  std::string pairs = "all";
  std::string against;
  double confidence = 0.95;
  double power = 0.8;
  std::size_t resamples = 2000;
  std::string out;
  CommonOptions common;
};

// What was compared and how.
struct Significance {
  scores::ScoreTable table;
  std::string method;  // that orders the systems
  scores::PairedTest test = scores::PairedTest::mean;
  std::vector<PairComparison> pairs;
  std::vector<std::string> warnings;

  std::string name(System system) const { return std::string(table.systems[system]); }
};

PairedMeasurements::Clusters clusters_of(const std::string& name) {
  if (name == "instances") return PairedMeasurements::Clusters::instances;
  return name == "tasks" ? PairedMeasurements::Clusters::tasks : PairedMeasurements::Clusters::none;
}

// The better-ranked system of each pair first.
std::vector<std::pair<System, System>> chosen_pairs(const SignificanceCommand& command,
                                                    const scores::ScoreTable& table,
                                                    const std::vector<System>& order) {
  std::vector<std::pair<System, System>> pairs;
  if (!command.against.empty()) {
    const std::uint32_t other = table.systems.find(command.against);
    if (other == StringPool::npos) {
      std::vector<std::string> names;
      for (System i = 0; i < table.system_count(); ++i) names.emplace_back(table.systems[i]);
      throw InputError("--against: the table has no system '{}'{}", command.against,
                       did_you_mean(command.against, names));
    }
    for (const System system : order) {
      if (system != other) pairs.emplace_back(system, other);
    }
    return pairs;
  }
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::size_t end = command.pairs == "neighbours" ? i + 2 : order.size();
    if (command.pairs == "best" && i > 0) break;
    for (std::size_t j = i + 1; j < std::min(end, order.size()); ++j) {
      pairs.emplace_back(order[i], order[j]);
    }
  }
  return pairs;
}

void add_warnings(Significance& found, const SignificanceCommand& command) {
  const auto untested = std::ranges::count_if(
      found.pairs, [](const PairComparison& pair) { return std::isnan(pair.result.p); });
  if (untested > 0) {
    found.warnings.push_back(
        fmt::format("{} of {} pairs have fewer than two common measurements and were not tested",
                    untested, found.pairs.size()));
  }
  const bool of_values =
      found.test == scores::PairedTest::mean || found.test == scores::PairedTest::bootstrap;
  const bool not_cardinal = std::ranges::any_of(found.table.task_infos, [](const auto& info) {
    return info.kind == scores::ScoreKind::ordinal;
  });
  if (of_values && not_cardinal) {
    found.warnings.emplace_back(
        "some tasks are ordinal: differences of their values mean nothing; "
        "use --test sign");
  }
  const bool mixes = of_values && found.table.task_count() > 1 && command.test == "automatic" &&
                     std::ranges::any_of(found.table.task_infos, [](const auto& info) {
                       return info.kind == scores::ScoreKind::cardinal;
                     });
  if (mixes) {
    found.warnings.emplace_back(
        "means over tasks were tested: if their scales differ, one with a "
        "wide scale decides (--test sign does not look at sizes)");
  }
  if (!found.table.comparisons.weights.empty()) {
    found.warnings.emplace_back("weights of comparisons are not used by paired tests");
  }
}

Significance compare(const SignificanceCommand& command) {
  check_method(command.method);
  Significance found;
  found.table = read_scores(command.scores, command.common);
  const scores::RankAggregator& method = method_of(command.method, found.table);
  const scores::Ranking ranking =
      scores::rank_checked(method, found.table, context_of(command.method, method, command.common));
  const std::vector<System> order =
      scores::order_of(scores::ranks_of(ranking.scores, ranking.tie_tolerance));
  found.method = method.info().name;
  const PairedMeasurements::Clusters clusters = clusters_of(command.clusters);
  found.test = command.test == "automatic" ? scores::fitting_test(found.table, clusters)
                                           : scores::paired_test_of_name(command.test);
  const PairedMeasurements measurements(found.table, clusters);
  found.pairs = scores::compare_pairs(measurements, chosen_pairs(command, found.table, order),
                                      {.test = found.test,
                                       .confidence = command.confidence,
                                       .power = command.power,
                                       .resamples = command.resamples,
                                       .seed = command.common.seed},
                                      command.common.parallel());
  add_warnings(found, command);
  return found;
}

double preference(const PairComparison& pair) {
  return (static_cast<double>(pair.result.wins) + 0.5 * static_cast<double>(pair.result.ties)) /
         static_cast<double>(pair.result.pairs);
}

Json json_of(const SignificanceCommand& command, const Significance& found) {
  Json pairs = Json::array();
  std::size_t significant = 0;
  const double level = 1 - command.confidence;
  for (const PairComparison& pair : found.pairs) {
    const scores::PairedResult& result = pair.result;
    significant += pair.p_holm < level ? 1 : 0;
    const auto votes = static_cast<double>(result.pairs);
    pairs.push_back(
        {{"first", found.table.systems[pair.first]},
         {"second", found.table.systems[pair.second]},
         {"pairs", result.pairs},
         {"units", result.units},
         {"wins", result.wins},
         {"losses", result.losses},
         {"ties", result.ties},
         {"difference", result.difference},
         {"low", result.interval.low},
         {"high", result.interval.high},
         {"p", result.p},
         {"p_holm", pair.p_holm},
         {"p_benjamini_hochberg", pair.p_benjamini_hochberg},
         {"significant", pair.p_holm < level},
         {"detectable", result.detectable},
         {"pairs_needed", result.pairs_needed},
         {"preference", preference(pair)},
         {"hoeffding", votes > 0 ? Json(scores::hoeffding_half_width(votes, level)) : Json()},
         {"hoeffding_uniform",
          votes > 0 ? Json(scores::uniform_half_width(found.table.system_count(), votes, level))
                    : Json()}});
  }
  return {{"test", scores::paired_test_name(found.test)},
          {"order_by", found.method},
          {"confidence", command.confidence},
          {"power", command.power},
          {"tested", found.pairs.size()},
          {"significant", significant},
          {"pairs", std::move(pairs)},
          {"warnings", found.warnings}};
}

void write_pairs(const std::string& path, const Significance& found) {
  CsvOutput out(path);
  for (const char* title :
       {"first", "second", "pairs", "units", "wins", "losses", "ties", "difference", "low", "high",
        "p", "p_holm", "p_benjamini_hochberg", "detectable", "pairs_needed"}) {
    out.field(title);
  }
  out.end();
  for (const PairComparison& pair : found.pairs) {
    const scores::PairedResult& result = pair.result;
    out.field(found.table.systems[pair.first]).field(found.table.systems[pair.second]);
    for (const std::uint64_t count : {std::uint64_t{result.pairs}, std::uint64_t{result.units},
                                      result.wins, result.losses, result.ties}) {
      out.field(fmt::to_string(count));
    }
    for (const double value :
         {result.difference, result.interval.low, result.interval.high, result.p, pair.p_holm,
          pair.p_benjamini_hochberg, result.detectable, result.pairs_needed}) {
      if (std::isfinite(value)) {
        out.field(value);
      } else {
        out.field("");
      }
    }
    out.end();
  }
  out.commit();
}

std::string shown(double value) {
  return std::isfinite(value) ? fmt::format("{:.4g}", value) : std::string("-");
}

std::string p_text(double p) {
  if (std::isnan(p)) return "-";
  return p < 0.0001 ? "<0.0001" : fmt::format("{:.4f}", p);
}

void show(const SignificanceCommand& command, const Significance& found) {
  constexpr std::size_t kMostShown = 60;
  const double level = 1 - command.confidence;
  using Align = Table::Align;
  Table table({{"first"},
               {"second"},
               {"pairs", Align::right},
               {"won-lost-tied", Align::right},
               {"difference", Align::right},
               {fmt::format("{:g} % interval", 100 * command.confidence), Align::right},
               {"p", Align::right},
               {"Holm", Align::right},
               {"", Align::left},
               {"detectable", Align::right},
               {"pairs needed", Align::right}});
  std::size_t significant = 0;
  for (std::size_t i = 0; i < found.pairs.size(); ++i) {
    const PairComparison& pair = found.pairs[i];
    const scores::PairedResult& result = pair.result;
    const bool differs = pair.p_holm < level;
    significant += differs ? 1 : 0;
    if (i >= kMostShown) continue;
    table.add_row({found.name(pair.first), found.name(pair.second), fmt::to_string(result.pairs),
                   fmt::format("{}-{}-{}", result.wins, result.losses, result.ties),
                   shown(result.difference),
                   fmt::format("{} to {}", shown(result.interval.low), shown(result.interval.high)),
                   p_text(result.p), p_text(pair.p_holm), differs ? "*" : "",
                   shown(result.detectable), shown(result.pairs_needed)});
  }
  std::string text = fmt::format("test: {}; systems in the order of {}\n\n",
                                 scores::paired_test_name(found.test), found.method);
  text += table.text();
  if (found.pairs.size() > kMostShown) {
    text += fmt::format("and {} pairs more (--out, --json)\n", found.pairs.size() - kMostShown);
  }
  text += fmt::format(
      "\n* {} of {} pairs differ at level {:g} after Holm's correction\n"
      "detectable: the smallest difference that one such test finds with probability {:g}; pairs "
      "needed: to find the one that was seen\n",
      significant, found.pairs.size(), level, command.power);
  print(text);
}

void run(const SignificanceCommand& command) {
  check_outputs(command.scores.paths, {command.out});
  const Significance found = compare(command);
  for (const std::string& warning : found.warnings) log::warn("{}", warning);
  if (!command.out.empty()) write_pairs(command.out, found);
  if (command.common.json) {
    print_json(json_of(command, found));
  } else {
    show(command, found);
  }
}

}  // namespace

void register_rank_significance(CLI::App& rank) {
  CLI::App* app = rank.add_subcommand(
      "significance", "Which systems differ, by paired tests on what both were measured on.");
  app->footer(
      example("amalgam rank significance answers.csv --kind accuracy=binary\n"
              "amalgam rank significance results.csv --test bootstrap --clusters instances --json\n"
              "amalgam rank significance battles.csv --battles --cluster judge --pairs neighbours "
              "--out pairs.csv"));
  auto command = std::make_shared<SignificanceCommand>();
  add_score_options(*app, command->scores);
  add_method_options(*app, command->method);
  app->add_option("--test", command->test,
                  "mcnemar (right or wrong), sign, mean (Student's t, by clusters), bootstrap; by "
                  "default what fits the table")
      ->check(CLI::IsMember(
          {"automatic", "mcnemar", "mcnemar-chi-squared", "sign", "mean", "bootstrap"}))
      ->capture_default_str();
  app->add_option("--clusters", command->clusters,
                  "What belongs together: an instance's values in all tasks, or all of a task's "
                  "(comparisons: --cluster)")
      ->check(CLI::IsMember({"none", "instances", "tasks"}))
      ->capture_default_str();
  auto* pairs = app->add_option("--pairs", command->pairs,
                                "All pairs, neighbours in rank, or the best with all others")
                    ->check(CLI::IsMember({"all", "neighbours", "best"}))
                    ->capture_default_str();
  app->add_option("--against", command->against, "This system with all others")
      ->type_name("SYSTEM")
      ->excludes(pairs);
  app->add_option("--confidence", command->confidence, "Of intervals; tests are at 1 minus it")
      ->check(CLI::Range(0.5, 0.9999))
      ->capture_default_str();
  app->add_option("--power", command->power,
                  "With what probability the detectable difference is found")
      ->check(CLI::Range(0.5, 0.9999))
      ->capture_default_str();
  app->add_option("--resamples", command->resamples, "Of --test bootstrap")
      ->check(whole_number() & CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app->add_option("--out", command->out, "Write all pairs")->type_name("PAIRS.csv");
  add_common_options(*app, command->common,
                     {Common::json, Common::quiet, Common::seed, Common::threads});
  app->callback([command] { run(*command); });
}

}  // namespace amalgam::cli
