#include "cli/learning/search.hpp"

#include <fmt/format.h>

#include "amalgam/core/text.hpp"
#include "amalgam/weights/search_grid.hpp"
#include "cli/learning/evaluation_output.hpp"

namespace amalgam::cli {
namespace {

using learned::ParameterSearch;
using learned::SearchFigure;
using learned::SearchTrial;

std::size_t counted_members(const Recipe& recipe, const RuleInfo& rule) {
  std::size_t count = 0;
  for (const RecipeSource& source : recipe.models) {
    const bool is_base = recipe.base_model && source.model == *recipe.base_model;
    if (!is_base || rule.base == BaseUse::ignored) ++count;
  }
  return count;
}

Json trial_json(const SearchTrial& trial) {
  return {{"parameters", trial.parameters}, {"accuracy", trial.accuracy}, {"nll", trial.nll}};
}

}  // namespace

std::vector<std::vector<std::string>> search_points(const Recipe& recipe, const RuleInfo& method,
                                                    std::uint64_t seed) {
  std::vector<SearchAxis> axes;
  for (const RecipeSearch& search : recipe.search) {
    const std::string where = search.line.number == 0
                                  ? fmt::format("--search {}", search.parameter)
                                  : fmt::format("{}:{}: search of '{}'", recipe.label,
                                                search.line.number, search.parameter);
    axes.push_back(parse_search_axis(search, method, counted_members(recipe, method), seed, where));
  }
  return search_grid(axes);
}

SearchFigure search_figure(const Recipe& recipe) {
  return recipe.search_by == "nll" ? SearchFigure::nll : SearchFigure::accuracy;
}

Json search_json(const ParameterSearch& search, const Recipe& recipe, const MergeData& data) {
  Json json{{"by", recipe.search_by.empty() ? "accuracy" : recipe.search_by},
            {"data", data.describe()},
            {"best", trial_json(search.trials[search.best])},
            {"trials", Json::array()}};
  for (const SearchTrial& trial : search.trials) json["trials"].push_back(trial_json(trial));
  return json;
}

void print_search(const ParameterSearch& search, const Recipe& recipe, const MergeData& data) {
  using Align = Table::Align;
  Table table({{"parameters"}, {"accuracy %", Align::right}, {"nll", Align::right}, {""}});
  for (std::size_t i = 0; i < search.trials.size(); ++i) {
    const SearchTrial& trial = search.trials[i];
    table.add_row({join(trial.parameters, " "), percent(trial.accuracy),
                   fmt::format("{:.4f}", trial.nll), i == search.best ? "best" : ""});
  }
  print(table.text());
  print(fmt::format("chosen by {} on {}: {}\n",
                    recipe.search_by.empty() ? "accuracy" : recipe.search_by, data.describe(),
                    join(search.trials[search.best].parameters, " ")));
}

}  // namespace amalgam::cli
