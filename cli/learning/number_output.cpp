#include "cli/learning/number_output.hpp"

#include <fmt/format.h>

#include <cmath>

namespace amalgam::cli {

Json number_figures_json(const learning::NumberFigures& figures) {
  return {{"examples", figures.examples},
          {"mse", figures.mse},
          {"mse_interval", {figures.mse_interval.low, figures.mse_interval.high}},
          {"rmse", std::sqrt(figures.mse)},
          {"mae", figures.mae},
          {"r2", std::isfinite(figures.r2) ? Json(figures.r2) : Json()}};
}

void print_number_table(const std::string& first, const std::vector<NumberRow>& rows) {
  using Align = Table::Align;
  Table table({{first},
               {"R2", Align::right},
               {"mse", Align::right},
               {"95 % interval", Align::right},
               {"rmse", Align::right},
               {"mae", Align::right}});
  for (const auto& [name, figures] : rows) {
    table.add_row(
        {name, learning::r2_text(figures.r2), fmt::format("{:.6g}", figures.mse),
         fmt::format("{:.6g} - {:.6g}", figures.mse_interval.low, figures.mse_interval.high),
         fmt::format("{:.6g}", std::sqrt(figures.mse)), fmt::format("{:.6g}", figures.mae)});
  }
  print(table.text());
}

}  // namespace amalgam::cli
