#include <fmt/format.h>

#include <memory>

#include "amalgam/core/text.hpp"
#include "amalgam/scores/rank_aggregator.hpp"
#include "cli/common_options.hpp"
#include "cli/output.hpp"
#include "cli/parameter_text.hpp"
#include "cli/rank_commands.hpp"

namespace amalgam::cli {
namespace {

struct MethodsOptions {
  std::string name;
  CommonOptions common;
};

// The default first.
std::vector<std::string> missing_names(const scores::RankAggregatorInfo& info) {
  using scores::Missing;
  std::vector<std::string> names = {std::string(scores::missing_name(info.missing))};
  if (!info.other_missing) return names;
  for (const Missing other : {Missing::observed, Missing::complete, Missing::drop}) {
    const bool possible = other != Missing::complete || info.completes;
    if (other != info.missing && possible) names.emplace_back(scores::missing_name(other));
  }
  return names;
}

std::string missing_text(const scores::RankAggregatorInfo& info) {
  return join(missing_names(info), ", ");
}

Json json_of(const scores::RankAggregatorInfo& info) {
  return {{"name", info.name},
          {"summary", info.summary},
          {"source", info.source},
          {"score", info.score},
          {"raw", info.raw.empty() ? info.score : info.raw},
          {"missing", missing_names(info)},
          {"ordinal", info.ordinal},
          {"needs_values", info.from_ballots},
          {"needs_comparisons", info.from_comparisons},
          {"random", info.random},
          {"depends_on_order", info.ordered},
          {"parameters", parameters_json(info.parameters)}};
}

void show_one(const scores::RankAggregatorInfo& info) {
  print(
      fmt::format("{}: {}\n\nscore    {}\nraw      {}\nmissing  {}\nvalues   {}\nseed     {}\n"
                  "source   {}\n",
                  info.name, info.summary, info.score, info.raw.empty() ? "the score" : info.raw,
                  missing_text(info),
                  info.ordinal ? "only their order on a task matters" : "their size matters",
                  info.random ? "the result depends on it" : "not used", info.source));
  if (info.ordered) print("order    the result depends on that of the comparisons\n");
  print(parameter_table(info.parameters));
}

void methods(const MethodsOptions& options) {
  if (!options.name.empty()) {
    const scores::RankAggregatorInfo& info = scores::find_rank_aggregator(options.name).info();
    if (options.common.json) return print_json(json_of(info));
    return show_one(info);
  }
  if (options.common.json) {
    Json all = Json::array();
    for (const scores::RankAggregator* method : scores::rank_aggregators()) {
      all.push_back(json_of(method->info()));
    }
    return print_json({{"methods", std::move(all)}});
  }
  Table table({{"method"}, {"missing"}, {"parameters (default)"}, {"what it does"}, {"source"}});
  for (const scores::RankAggregator* method : scores::rank_aggregators()) {
    const scores::RankAggregatorInfo& info = method->info();
    table.add_row({info.name, missing_text(info), parameter_names(info.parameters), info.summary,
                   info.source});
  }
  print(table.text());
}

}  // namespace

void register_rank_methods(CLI::App& rank) {
  CLI::App* app = rank.add_subcommand("methods", "List the rank methods, or show one.");
  app->footer(example("amalgam rank methods\namalgam rank methods kemeny --json"));
  auto options = std::make_shared<MethodsOptions>();
  app->add_option("name", options->name, "Show this method with its parameters");
  add_common_options(*app, options->common, {Common::json});
  app->callback([options] { methods(*options); });
}

}  // namespace amalgam::cli
