#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "amalgam/core/text.hpp"
#include "amalgam/scores/files/ranking_file.hpp"
#include "cli/common_options.hpp"
#include "cli/output.hpp"
#include "cli/rank_commands.hpp"

namespace amalgam::cli {
namespace {

struct CompareOptions {
  std::string first;
  std::string second;
  std::vector<std::size_t> tops{1, 3, 5, 10};
  double persistence = 0.9;
  CommonOptions common;
};

std::string number_text(double value) {
  return std::isfinite(value) ? fmt::format("{:.4f}", value) : "undefined (all are tied)";
}

Json json_of(const CompareOptions& options, const scores::RankingFile& first,
             const scores::RankingFile& second, const scores::RankingComparison& found) {
  const auto method = [](const scores::RankingFile& file) {
    return file.method.empty() ? Json() : Json(file.method);
  };
  Json tops = Json::array();
  for (const auto& [k, overlap] : found.tops) tops.push_back({{"k", k}, {"overlap", overlap}});
  Json moves = Json::array();
  for (const auto& [system, before, after] : found.moves) {
    moves.push_back({{"system", system}, {"first", before}, {"second", after}});
  }
  return {{"first", {{"path", options.first}, {"method", method(first)}}},
          {"second", {{"path", options.second}, {"method", method(second)}}},
          {"common_systems", found.common},
          {"only_in_first", found.only_first},
          {"only_in_second", found.only_second},
          {"kendall_tau_a", found.tau_a},
          {"kendall_tau_b", found.tau_b},
          {"spearman", found.spearman},
          {"kendall_distance", found.distance},
          {"largest_kendall_distance", found.largest_distance},
          {"rank_biased_overlap", found.rank_biased_overlap},
          {"persistence", options.persistence},
          {"top_overlap", std::move(tops)},
          {"moves", std::move(moves)}};
}

// "3 systems are in A.json alone: x, y, z".
std::string only_text(const std::vector<std::string>& systems, const std::string& path) {
  if (systems.empty()) return "";
  constexpr std::size_t kMostShown = 10;
  const std::size_t shown = std::min(kMostShown, systems.size());
  const std::vector<std::string> names(systems.begin(),
                                       systems.begin() + static_cast<std::ptrdiff_t>(shown));
  return printable(fmt::format("{} {} in {} alone: {}{}", systems.size(),
                               systems.size() == 1 ? "system is" : "systems are", path,
                               join(names, ", "), systems.size() > shown ? ", ..." : "")) +
         "\n";
}

void show(const CompareOptions& options, const scores::RankingComparison& found) {
  std::string text = fmt::format("{} systems are in both rankings\n", found.common) +
                     only_text(found.only_first, options.first) +
                     only_text(found.only_second, options.second);
  text += fmt::format(
      "\nKendall's tau-b       {}\nKendall's tau-a       {}\nSpearman's rho        {}\n"
      "Kendall distance      {:g} of {:g} pairs\nrank-biased overlap   {:.4f} (p = {:g})\n",
      number_text(found.tau_b), number_text(found.tau_a), number_text(found.spearman),
      found.distance, found.largest_distance, found.rank_biased_overlap, options.persistence);
  for (const auto& [k, overlap] : found.tops) {
    text += fmt::format("{:<22}{:.4f}\n", fmt::format("overlap of the top {}", k), overlap);
  }
  constexpr std::size_t kMostShown = 10;
  if (!found.moves.empty()) {
    using Align = Table::Align;
    Table table({{"largest moves"}, {"first", Align::right}, {"second", Align::right}});
    for (std::size_t i = 0; i < std::min(kMostShown, found.moves.size()); ++i) {
      table.add_row({found.moves[i].system, format_number(found.moves[i].first),
                     format_number(found.moves[i].second)});
    }
    text += "\n" + table.text();
    if (found.moves.size() > kMostShown) {
      text += fmt::format("and {} systems more (--json)\n", found.moves.size() - kMostShown);
    }
  }
  print(text);
}

void run(const CompareOptions& options) {
  const scores::RankingFile first = scores::read_ranking(options.first);
  const scores::RankingFile second = scores::read_ranking(options.second);
  const scores::RankingComparison found =
      scores::compare_rankings(first, second, options.tops, options.persistence);
  if (options.common.json) {
    print_json(json_of(options, first, second, found));
  } else {
    show(options, found);
  }
}

}  // namespace

void register_rank_compare(CLI::App& rank) {
  CLI::App* app = rank.add_subcommand("compare", "How alike two rankings are, and what moved.");
  app->footer(
      example("amalgam rank scores.csv --method borda --json > borda.json\n"
              "amalgam rank scores.csv --method kemeny --json > kemeny.json\n"
              "amalgam rank compare borda.json kemeny.json"));
  auto options = std::make_shared<CompareOptions>();
  app->add_option("first", options->first,
                  "A ranking: what 'amalgam rank --json' writes, or a .csv with columns system and "
                  "rank")
      ->required()
      ->type_name("A.json");
  app->add_option("second", options->second, "Another one")->required()->type_name("B.json");
  app->add_option("--top", options->tops, "Depths k of the overlap of the best k")
      ->delimiter(',')
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app->add_option("--persistence", options->persistence,
                  "p of the rank-biased overlap: the best 1 / (1 - p) systems have most of the "
                  "weight")
      ->capture_default_str();
  add_common_options(*app, options->common, {Common::json});
  app->callback([options] { run(*options); });
}

}  // namespace amalgam::cli
