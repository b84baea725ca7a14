#pragma once

#include <optional>
#include <string>
#include <vector>

namespace amalgam::report {

/// A matrix as colours, with names at its sides and, where there is room, values in its cells.
struct HeatMap {
  enum class Colours {
    sequential,  ///< pale for low, dark for high
    diverging,   ///< two colours for what is below and above the middle of the scale
  };

  std::string title;
  std::vector<std::string> rows;     ///< names, at the left
  std::vector<std::string> columns;  ///< names, above
  std::vector<double> values;        ///< [rows, columns]; NaN: an empty cell
  Colours colours = Colours::sequential;
  std::optional<double> low = {};   ///< the lower end of the scale; by default that of the values
  std::optional<double> high = {};  ///< the upper end; values beyond the ends have their colours
  std::string legend;               ///< what the values are
  std::string row_title;            ///< what rows are, and columns; may be empty
  std::string column_title;
  int decimals = 2;               ///< of the values written
  std::size_t most_written = 16;  ///< values are written in maps of up to so many columns
};

/// The map as an SVG element of its own. InputError if there is nothing to draw, or if names and
/// values do not fit each other.
std::string draw(const HeatMap& map);

}  // namespace amalgam::report
