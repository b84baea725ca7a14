#pragma once

#include <string>
#include <vector>

#include "amalgam/learning/number_evaluation.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {

/// {"examples", "mse", "mse_interval", "rmse", "mae", "r2"}; r2 is null where it is undefined.
Json number_figures_json(const learning::NumberFigures& figures);

/// A row of a table of them.
struct NumberRow {
  std::string name;
  learning::NumberFigures figures;
};
/// `first`: the title of the first column.
void print_number_table(const std::string& first, const std::vector<NumberRow>& rows);

}  // namespace amalgam::cli
